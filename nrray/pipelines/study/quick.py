"""`nrray study --quick`: a whole small study on a laptop, of the models in the package on simulated cases.

The cases are drawn by a renderer that took no part in making either model, so that what fine-tuning gains can be seen.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nrray.config import load_config
from nrray.console.reporter import Reporter
from nrray.errors import ConfigError
from nrray.evaluate.config import SplitConfig
from nrray.evaluate.split import split
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.pipelines.study.job import StudyConfig
from nrray.simulate import SimulateConfig
from nrray.wording import counted

FOLDER = "nrray-study"
NUM_CASES, CASE_SECONDS, FRAMES_PER_SECOND, SEED = 24, 40.0, 4, 20_260_212  # as many frames as the models sample
FRACTIONS = {"train": 0.4, "validation": 0.2, "test": 0.4}
NUM_STEPS = 100
_BASE: dict[str, Any] = {"path": "embedded-base"}
_STEPS = {"num_steps": NUM_STEPS, "validate_every_steps": 25}
_FROZEN = {"tower": "frozen", "projector": "frozen", "language_model": "frozen"}
ROWS: tuple[dict[str, Any], ...] = (
    {"name": "base asked yes or no", "model": _BASE, "strategy": {"kind": "yes_no"}},
    {"name": "embedded asked yes or no", "strategy": {"kind": "yes_no"}},
    # Of this model alone: the claims of the shipped label set are its words, and none of the base's.
    {"name": "embedded captions judged by words", "strategy": {"kind": "judge", "not_stated": "absent"}},
    {"name": "base frozen with a head", "model": _BASE, "finetune": {"parts": _FROZEN, "training": _STEPS}},
    {
        "name": "base with LoRA of its language model",
        "model": _BASE,
        "finetune": {"parts": {**_FROZEN, "language_model": "adapter"}, "training": _STEPS},
    },
    {"name": "base fine-tuned with its tower", "model": _BASE, "finetune": {"training": _STEPS}},
    {
        "name": "TimeSformer from scratch",
        "finetune": {
            "timesformer": {"hidden_size": 48, "num_layers": 2, "num_heads": 3, "patch_px": 32},
            "training": _STEPS,
        },
    },
    {"name": "embedded as it is"},
)


def quick_study(config: str | Path | None, overrides: Sequence[str] | None, reporter: Reporter) -> StudyConfig:
    """The config of the small study, whose cases are simulated, scanned and split where that was not done yet. overrides: of its
    settings. Raises ConfigError for a config file, DataError, StorageError."""
    if config is not None:
        raise ConfigError(
            f"--quick: found the config {config}, expected none: the small study has its own. Leave out one of them."
        )
    given = [override.partition("=") for override in overrides or ()]
    root = Path(next((value for key, _, value in given if key.strip() == "output"), FOLDER)).absolute()
    archive, manifest, parts = root / "archive", root / "scan" / "manifest.parquet", root / "split.json"
    settings = load_config(
        StudyConfig,
        None,
        overrides or (),
        defaults={
            "manifest": str(manifest),
            "annotations": str(archive / "truth"),
            "cases": str(archive / "cases.csv"),
            "split": str(parts),
            "output": str(root),
            "rows": ROWS,
            "seeds": [0],
        },
    )
    if not manifest.is_file():
        cases = SimulateConfig(
            output=str(archive),
            num_cases=NUM_CASES,
            case_seconds=CASE_SECONDS,
            videos_per_case=1,
            frames_per_second=FRAMES_PER_SECOND,
            renderer="textured",
            seed=SEED,
        )
        reporter.say(f"simulate {counted(NUM_CASES, 'case')} of {CASE_SECONDS:g} s")
        with ray_session():
            simulate(cases, reporter)
            scan(ScanConfig(archive=str(archive / "videos"), output=str(manifest.parent)), reporter)
    if not parts.is_file():
        split(
            SplitConfig(
                manifest=str(manifest),
                annotations=settings.annotations,
                cases=settings.cases,
                output=str(parts),
                fractions=FRACTIONS,
            )
        )
    return settings
