"""The study's table (arXiv 2602.12002) on simulated cases, one study for each renderer: `flat`, whose looks the embedded model
was trained on, and `textured`, which took part in the making of no model.

    python tests/benchmarks/study_tables.py DIR [--renderers textured flat] [--train 24] [--validation 8] [--test 44]
        [--steps 150] [--seeds 0 1 2]

The rows are those of `nrray study --quick`. Leaves `DIR/RENDERER/study`, and prints the columns of its table that
docs/results.md has, and which differences may be claimed; what is there already is not done again.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from nrray.evaluate.figure_text import interval, number
from nrray.pipelines.study.document import STUDY_FILE, StudyDocument
from nrray.pipelines.study.quick import CASE_SECONDS, FRAMES_PER_SECOND, ROWS, SEED

NUM_POINTS = 12
"""Of a training's validation curve."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--renderers", nargs="+", default=["textured", "flat"])
    parser.add_argument("--train", type=int, default=24, help="cases to learn from")
    parser.add_argument("--validation", type=int, default=8, help="cases to choose on")
    parser.add_argument("--test", type=int, default=44, help="cases to measure on")
    parser.add_argument("--seconds", type=float, default=CASE_SECONDS, help="of each case")
    parser.add_argument("--steps", type=int, default=150, help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=[row["name"] for row in ROWS], help="names of rows")
    arguments = parser.parse_args()
    for renderer in arguments.renderers:
        folder = arguments.folder.absolute() / renderer
        if not (folder / "split.json").exists():
            for verb, config in archive_configs(folder, renderer, arguments).items():
                run(folder, verb, config)
        run(folder, "study", study_config(folder, arguments))
        document = StudyDocument.model_validate_json((folder / "study" / STUDY_FILE).read_bytes())
        print(markdown(document), *claims(document), sep="\n")


def archive_configs(folder: Path, renderer: str, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Verb to config, in the order in which they are run."""
    archive = folder / "archive"
    parts = {part: getattr(arguments, part) for part in ("train", "validation", "test")}
    num_cases = sum(parts.values())
    inputs = {"cases": str(archive / "cases.csv"), "manifest": str(folder / "scan" / "manifest.parquet")}
    return {
        "simulate": {
            "output": str(archive),
            "num_cases": num_cases,
            "case_seconds": arguments.seconds,
            "videos_per_case": 1,
            "frames_per_second": FRAMES_PER_SECOND,
            "renderer": renderer,
            "seed": SEED,
        },
        "scan": {"archive": str(archive / "videos"), "output": str(folder / "scan")},
        "split": {
            **inputs,
            "annotations": str(archive / "truth"),
            "output": str(folder / "split.json"),
            "fractions": {part: number / num_cases for part, number in parts.items()},
        },
    }


def study_config(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Of the renderer's study."""
    rows = [row for row in ROWS if row["name"] in arguments.rows]
    steps = {"num_steps": arguments.steps, "validate_every_steps": max(1, arguments.steps // NUM_POINTS)}
    return {
        "manifest": str(folder / "scan" / "manifest.parquet"),
        "annotations": str(folder / "archive" / "truth"),
        "cases": str(folder / "archive" / "cases.csv"),
        "split": str(folder / "split.json"),
        "output": str(folder / "study"),
        "seeds": arguments.seeds,
        "rows": [
            {**row, "finetune": {**row["finetune"], "training": steps}} if "finetune" in row else row for row in rows
        ],
    }


def markdown(document: StudyDocument) -> str:
    """A table, the best row first."""
    macro, names = document.scopes[0], document.macro_activities
    header = [
        "way",
        "macro F1 (95 %)",
        *names,
        "claimed without it",
        "calibration error",
        "balanced subset",
        "windows/s",
    ]
    lines = [header, ["---"] * len(header)]
    for row in sorted(document.rows, key=lambda row: -(row.f1[macro].estimate or 0)):
        seeds = f", seeds {min(row.macro_by_seed):.2f} to {max(row.macro_by_seed):.2f}" if len(row.seeds) > 1 else ""
        errors = [] if row.calibration_error is None else [row.calibration_error[name].estimate for name in names]
        known = [error for error in errors if error is not None]
        lines.append(
            [
                row.name,
                interval(row.f1[macro], 2) + seeds,
                *(number(row.f1[name].estimate, 2) for name in names),
                ", ".join(number(row.false_yes[name].estimate, 2) for name in names),
                number(sum(known) / len(known) if known else None, 2),
                number(row.balanced_macro_f1, 2),
                number(row.costs.windows_per_second, 0),
            ]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def claims(document: StudyDocument) -> list[str]:
    """Of all pairs of rows in macro F1, a line each, with whether it may be claimed."""
    found = []
    for each in document.differences:
        if each.scope != document.scopes[0] or each.value.low is None or each.value.high is None:
            continue
        may = "may" if each.value.low > 0 or each.value.high < 0 else "may not"
        found.append(f"{each.first} minus {each.second}: {interval(each.value, 2)}, {may} be claimed")
    return found


def run(folder: Path, verb: str, config: dict[str, Any]) -> None:
    """One verb, as a user runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{verb}.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "nrray", verb, str(file)], check=True)


if __name__ == "__main__":
    main()
