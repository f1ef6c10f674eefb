"""What a search came to: its table and picture, the best trial ready to relabel with, and what that is worth."""

import shlex
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from nrray.archive.cases import read_cases
from nrray.archive.splits import part_cases, read_split
from nrray.console.reporter import Reporter
from nrray.errors import TrainingError
from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.evaluation import evaluate
from nrray.models import ModelConfig
from nrray.models.config import EMBEDDED
from nrray.pipelines.finetune.job import ResolvedFinetune
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.tune.job import Range, Scale, Space, TuneConfig
from nrray.pipelines.tune.trials import (
    Trial,
    TrialStatus,
    as_good,
    best_trial,
    read_trials,
    said_values,
    saved_share,
    trial_table,
)
from nrray.report.search_picture import TrialPoints, search_picture
from nrray.storage import Folder
from nrray.train.job import FinetuneJob, artefact_folder, is_adapter_folder

TRIALS, BEST = "trials", "best"
TABLE_FILE, PICTURE_FILE, BEST_CONFIG = "trials.parquet", "search.png", "best.yaml"


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search came to. test: macro F1 of the best on the test part with its interval, where there is such a part."""

    output: str
    trials: list[Trial]
    best: Trial | None
    test: dict[str, Any] | None
    num_as_good: int


def report_tune(result: Tuned, config: TuneConfig, reporter: Reporter) -> None:
    """The trials, the best, what it is worth, and the next command."""
    rows = [
        [
            trial.name,
            trial.status.value.replace("_", " "),
            said_values(trial.values),
            trial.macro_f1,
            f"{trial.steps} of {trial.num_steps}",
            f"{trial.seconds / 60:.1f}",
        ]
        for trial in result.trials
    ]
    if rows:
        reporter.table("Trials", ["trial", "", "settings", "validation macro F1", "steps", "min"], rows)
        reporter.say(f"Giving up trials saved {100 * saved_share(result.trials):.0f} % of all steps")
    for trial in result.trials:
        if trial.error is not None:
            reporter.say(f"{trial.name} failed: {trial.error}")
    if result.best is not None:
        reporter.say(f"Best: {result.best.name}, {said_values(result.best.values)}")
        if result.num_as_good:
            reporter.say(
                f"On these validation cases it cannot be told from {result.num_as_good} of the other finished trials: any of "
                f"them may be as good. More validation cases would tell."
            )
        if result.test is not None:
            low, high = result.test["low"], result.test["high"]
            interval = (
                f" ({low:.3f} to {high:.3f} over cases)" if low is not None else ", of too few cases for an interval"
            )
            reporter.say(f"On the test part: macro F1 {result.test['estimate']:.3f}{interval}")
        reporter.say(f"Trials:  {result.output}/{TABLE_FILE}, {PICTURE_FILE}")
        artefact = artefact_folder(f"{result.output}/{BEST}")
        assert artefact is not None  # it was just copied there
        is_adapter = is_adapter_folder(artefact)
        reporter.say(f"Best:    {artefact}; nrray finetune {result.output}/{BEST_CONFIG} trains it again")
        words = [
            *("nrray", "relabel", "--set", f"manifest={config.manifest}", "--set", f"output={result.output}-labels"),
            *(["--set", f"label_set={config.label_set}"] if config.label_set is not None else []),
            *(["--set", f"model.path={config.model.path}"] if is_adapter and config.model.path != EMBEDDED else []),
            *("--set", f"model.{'adapter' if is_adapter else 'path'}={artefact}"),
        ]
        reporter.next_command(shlex.join(words))
    reporter.finish(
        {
            "output": result.output,
            "best": result.best.name if result.best is not None else None,
            "values": result.best.values if result.best is not None else None,
            "validation_macro_f1": result.best.macro_f1 if result.best is not None else None,
            "test_macro_f1": result.test,
            "num_as_good": result.num_as_good,
            "saved_share": saved_share(result.trials),
            "trials": {status.value: sum(t.status is status for t in result.trials) for status in TrialStatus},
        }
    )


def write_table(output: Folder, space: Space) -> None:
    """Trials so far as a table and as a picture."""
    root = Path(output.uri)
    trials = read_trials(root / TRIALS)
    if not trials:
        return
    output.write_table(TABLE_FILE, trial_table(trials))
    points = [
        TrialPoints(
            status=trial.status.value,
            values=trial.values,
            macro_f1=trial.macro_f1,
            course=[
                (event["step"], event["validation_macro_f1"])
                for event in trial.history
                if event.get("validation_macro_f1") is not None
            ],
            minutes=trial.seconds / 60,
        )
        for trial in trials
    ]
    log_paths = [path for path, values in space.items() if isinstance(values, Range) and values.scale is Scale.LOG]
    output.write_bytes(PICTURE_FILE, search_picture(points, log_paths=log_paths, title=root.name))


def search_result(config: TuneConfig, resolved: ResolvedFinetune, output: Folder, *, was_finished: bool) -> Tuned:
    """The best trial, copied, measured on the test part and compared with the others."""
    root = Path(resolved.job.output)
    trials = read_trials(root / TRIALS)
    best = best_trial(trials)
    if best is None:
        raise TrainingError(
            f"not one of {len(trials)} trials was finished: {next((t.error for t in trials if t.error), 'all were ended')}. "
            f"What they did is in {root / TRIALS}; delete {root} to search anew."
        )
    others = as_good(best, trials, resolved.job.label_set)
    if not was_finished or artefact_folder(str(root / BEST)) is None:
        artefact = artefact_folder(str(best.folder))
        assert artefact is not None  # it is finished
        shutil.rmtree(root / BEST, ignore_errors=True)
        shutil.copytree(artefact, root / BEST / artefact.name)
        document = _best_config(config, best, resolved.job)
        output.write_bytes(BEST_CONFIG, yaml.safe_dump(document, sort_keys=False).encode())
    return Tuned(
        output=str(root),
        trials=trials,
        best=best,
        test=_test_score(config, resolved, root),
        num_as_good=len(others),
    )


def _best_config(config: TuneConfig, best: Trial, job: FinetuneJob) -> dict[str, Any]:
    found = config.finetune_config(best.values)
    document = found.model_dump(mode="json", exclude_defaults=True)
    store = {**document.get("store", {}), "folder": job.store}
    return {**document, "output": f"{job.output}-best", "store": store}


def _test_score(config: TuneConfig, resolved: ResolvedFinetune, root: Path) -> dict[str, Any] | None:
    """Macro F1 of the best on the test part, read once: what was measured before is told again."""
    cases = set(part_cases(read_split(config.split), "test"))
    if not cases:
        return None
    folder = root / "test"
    place = Folder(str(folder))
    if not place.exists("score.json"):
        case_ids = read_cases(config.cases).case_ids(resolved.manifest["path"].to_pylist())
        is_test = [case_id in cases for case_id in case_ids]
        place.create()
        place.write_table("manifest.parquet", resolved.manifest.filter(pa.array(is_test)))
        artefact = artefact_folder(str(root / BEST))
        assert artefact is not None  # it was just copied there
        is_adapter = is_adapter_folder(artefact)
        model = {"adapter": str(artefact)} if is_adapter else {"path": str(artefact), "adapter": None}
        quiet = Reporter(is_json=True)
        labelled = relabel(
            RelabelConfig(
                manifest=str(folder / "manifest.parquet"),
                output=str(folder / "labels"),
                label_set=config.label_set,
                model=ModelConfig.model_validate({**config.model.model_dump(mode="json"), **model}),
                decode=config.decode,
            ),
            RelabelOptions(),
            quiet,
        )
        if labelled.counts["ok"] == 0:
            return None
        evaluation = evaluate(
            EvaluateConfig(
                candidate=str(folder / "labels"),
                reference=config.annotations,
                output=str(folder / "evaluation"),
                cases=config.cases,
                label_set=config.label_set,
                split=config.split,
            )
        )
        place.write_json("score.json", asdict(evaluation.document.macro_row.values["windows f1"]))
    score: dict[str, Any] = place.read_json("score.json")
    return score
