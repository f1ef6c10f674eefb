"""Every strategy on the models of the package, over a small simulated archive: one Markdown table.

    python tests/benchmarks/strategies.py DIR [--cases 24] [--seconds 30] [--models embedded embedded-base] [--only yes_no list]

A row per model and strategy: macro F1 of windows at natural prevalence, without the activity that says that there is somebody to
see, with its 95 % interval over cases, where what is unsure or could not be read counts as no; the shares of windows without
ventilation, stimulation and suction that it claims; windows with claims that cannot be true at once; labels that could not be
read, and that are unsure; windows whose likeliest option changes with the order of the options; windows per second of one
labeler, its start left out. `yes_no, calibrated` is fitted by `nrray calibrate` on eight more cases. What DIR has already is not
labelled again.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nrray.archive.cases import read_cases
from nrray.archive.splits import part_cases, read_split
from nrray.config import load_config, validate_mapping
from nrray.console.reporter import Reporter
from nrray.evaluate.figure_text import interval, number
from nrray.evaluate.labelling import read_labelling
from nrray.labels import read_label_set
from nrray.pipelines.calibrate import CalibrateConfig, calibrate
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.relabel.restate import restate
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.pipelines.study.costs import labelling_of
from nrray.pipelines.study.measuring import measured_rows
from nrray.results.ledger import Ledger
from nrray.results.version import read_version_record
from nrray.simulate import SimulateConfig
from nrray.storage import Folder

SEED = 20_260_212  # of cases that no model of the package was trained on
NUM_TO_CALIBRATE = 8
CALIBRATED = "yes_no, calibrated"
HEADLESS = ("embedded-base", "head")
SCORED = {"kind": "yes_no", "answer_tokens": 0}
SMOLLM2 = {"model": "smollm2"}
CLAIMS = {"embedded-base": str(Path(__file__).parent / "everyday_claims.yaml")}
"""The label set whose claims are a model's own words, for strategies that read captions."""
STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "head": {"kind": "head"},
    "yes_no": {"kind": "yes_no"},
    "yes_no, scored": SCORED,
    CALIBRATED: SCORED,
    "yes_no, rules applied": {"kind": "yes_no", "rules": "applied"},
    "yes_no, 3 votes": {"kind": "yes_no", "temperature": 0.7, "votes": 3},
    "list": {"kind": "list"},
    "multiple_choice": {"kind": "multiple_choice"},
    "json": {"kind": "json"},
    "vector": {"kind": "vector"},
    "judge, words": {"kind": "judge"},
    "focused_judge, words": {"kind": "focused_judge"},
    "judge, smollm2": {"kind": "judge", "judge": SMOLLM2},
    "judge_json, smollm2": {"kind": "judge_json", "judge": SMOLLM2, "object_tokens": 64},
}
"""By the name of a row."""
HEADER = (
    "model",
    "strategy",
    "macro F1 (95 %)",
    "claimed without it",
    "broken rules",
    "unparsed",
    "unsure",
    "order decides",
    "windows/s",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each case")
    parser.add_argument("--models", nargs="+", default=["embedded", "embedded-base"])
    parser.add_argument("--only", nargs="+", default=list(STRATEGIES), help="names of rows")
    parser.add_argument("--measure-only", action="store_true", help="of what DIR has; nothing is labelled")
    arguments = parser.parse_args()
    root, quiet = arguments.folder.absolute(), Reporter(is_json=True)
    rows = [(model, name) for model in arguments.models for name in arguments.only if (model, name) != HEADLESS]
    if not arguments.measure_only:
        with ray_session():
            manifest = _archive(root, num_cases=arguments.cases, seconds=arguments.seconds, reporter=quiet)
            for model, name in rows:
                _label(root, manifest, model, name, quiet)
                print(markdown([_cells(root, model, name)]).splitlines()[-1], flush=True)
    print(markdown([_cells(root, *row) for row in rows if (_output(root, *row) / "latest").exists()]))


def _archive(root: Path, *, num_cases: int, seconds: float, reporter: Reporter) -> str:
    """Simulate, scan and split; the manifest."""
    archive = root / "archive"
    manifest = root / "scan" / "manifest.parquet"
    if not manifest.is_file():
        cases = SimulateConfig(
            output=str(archive),
            num_cases=num_cases + NUM_TO_CALIBRATE,
            case_seconds=seconds,
            videos_per_case=1,
            seed=SEED,
        )
        simulate(cases, reporter)
        scan(ScanConfig(archive=str(archive / "videos"), output=str(root / "scan")), reporter)
        names = sorted(set(pd.read_csv(archive / "cases.csv", dtype=str)["case_id"]))
        parts = {"train": [], "validation": names[:NUM_TO_CALIBRATE], "test": names[NUM_TO_CALIBRATE:]}
        (root / "split.json").write_text(json.dumps({"parts": parts}))
    return str(manifest)


def _label(root: Path, manifest: str, model: str, name: str, reporter: Reporter) -> None:
    strategy = STRATEGIES[name]
    output = _output(root, model, name)
    label_set = {"label_set": CLAIMS.get(model)} if "judge" in strategy["kind"] else {}
    settings = {
        "manifest": manifest,
        "output": str(output),
        "model": {"path": model, "num_threads": 1},
        "strategy": strategy,
        "outside_domain": "label",
        **label_set,
    }
    relabel(validate_mapping(RelabelConfig, settings, where=name), RelabelOptions(), reporter)
    if name == CALIBRATED:
        measured: dict[str, Any] = {
            "reference": str(root / "archive" / "truth"),
            "cases": str(root / "archive" / "cases.csv"),
            "split": str(root / "split.json"),
        }
        fitted = calibrate(CalibrateConfig(labels=str(output), output=str(root / "calibration" / model), **measured))
        restate(load_config(RelabelConfig, fitted.relabel_config), reporter)


def _cells(root: Path, model: str, name: str) -> tuple[str, ...]:
    """Measured as `nrray study` measures: what is unsure, or could not be read, counts as no."""
    output, label_set = _output(root, model, name), read_label_set()
    found = measured_rows(
        {name: [read_labelling(str(output), activities=label_set.names)]},
        read_labelling(str(root / "archive" / "truth"), activities=label_set.names),
        read_cases(str(root / "archive" / "cases.csv")),
        case_ids=part_cases(read_split(str(root / "split.json")), "test"),
        label_set=label_set,
        balanced_windows=0,
    )
    row = found.rows[name]
    record = read_version_record(Folder(str(output)) / "latest")
    num_windows, seconds = labelling_of(Ledger(Folder(str(output))))
    order = record.order_disagreement
    return (
        model,
        name,
        interval(row.f1[found.scopes[0]], 2),
        ", ".join(number(row.false_yes[each].estimate, 2) for each in found.macro_activities),
        number(row.broken_rules, 2),
        f"{row.unparsed:.1%}",
        f"{row.unsure:.1%}",
        "-" if order is None else f"{order:.1%}",
        f"{num_windows / seconds:.1f}",
    )


def _output(root: Path, model: str, name: str) -> Path:
    return root / "labels" / f"{model}-{name.replace(', ', '-').replace(' ', '-')}"


def markdown(rows: list[tuple[str, ...]]) -> str:
    """A table of rows under HEADER."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (HEADER, ("---",) * len(HEADER), *rows))


if __name__ == "__main__":
    main()
