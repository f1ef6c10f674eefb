"""A study of a tiny model on six drawn cases, and its settings."""

import json
from pathlib import Path
from typing import Any

from nrray.console.reporter import Reporter
from nrray.labels import read_label_set
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.pipelines.study.document import StudyDocument
from nrray.simulate import SimulateConfig
from tests.checkpoints import CHECKPOINTS

QUIET = Reporter(is_json=True)
SAMPLING = {"frames_per_second": 2, "window_seconds": 2, "frame_width_px": 64, "frame_height_px": 64}
TRAINING = {
    "num_steps": 4,
    "min_positive_windows": 1,
    "batch_windows": 4,
    "micro_batch_windows": 2,
    "validate_every_steps": 2,
}


def study_settings(root: Path, *, output: Path) -> dict[str, Any]:
    """Six cases, of which each two to train on show every activity, scanned into `root`; rows: the model trained, and asked.
    Needs Ray."""
    drawing = SimulateConfig(
        output=str(root), num_cases=6, case_seconds=50, videos_per_case=1, frames_per_second=4, seed=1
    )
    simulate(drawing, QUIET)
    manifest = scan(ScanConfig(archive=str(root / "videos"), output=str(root / "scan")), QUIET).manifest
    cases = [f"case-1-{number:05d}" for number in range(6)]
    parts = {"train": cases[:2], "validation": cases[2:4], "test": cases[4:]}
    (root / "split.json").write_text(json.dumps({"parts": parts}))
    model = {"path": str(CHECKPOINTS["fast_vlm"](root / "model", read_label_set()))}
    return {
        "manifest": manifest,
        "annotations": str(root / "truth"),
        "cases": str(root / "cases.csv"),
        "split": str(root / "split.json"),
        "output": str(output),
        "seeds": [0, 1],
        "balanced_windows": 20,
        "rows": [
            {"name": "trained", "model": model, "finetune": {"sampling": SAMPLING, "training": TRAINING}},
            {"name": "asked", "model": model, "strategy": {"kind": "yes_no", "answer_tokens": 0}},
        ],
    }


def figures(document: StudyDocument) -> list[dict[str, object]]:
    """All that was measured of rows, without what it cost."""
    left_out = {"costs", "versions", "settings"}
    rows = document.model_dump(mode="json", by_alias=True)["rows"]
    return [{key: value for key, value in row.items() if key not in left_out} for row in rows]
