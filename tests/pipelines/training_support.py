"""A small annotated archive to train on, and the settings of a training that takes seconds."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml

from nrray.pipelines.finetune.job import FinetuneConfig
from nrray.pipelines.tune.job import TuneConfig
from nrray.storage import Folder
from nrray.train.history import StepMeasured, TrainingStarted, Validated, read_history
from tests.pipelines.support import nrray, words

FAST = {
    "adapter__rank": 2,
    "training__num_steps": 24,
    "training__min_positive_windows": 1,
    "training__patience": 100,
    "training__batch_windows": 4,
    "training__micro_batch_windows": 2,
    "training__validate_every_steps": 4,
    "training__checkpoint_every_steps": 2,
    "workers__num_workers": 1,
}


def make_annotated_archive(folder: Path) -> Path:
    """Five simulated cases of ten seconds, scanned and split by hand."""
    made = nrray(
        "simulate",
        *words(output=folder / "sim", num_cases=5, case_seconds=10, videos_per_case=1, seed=3, frames_per_second=8),
    )
    assert made.returncode == 0, made.stderr
    scanned = nrray(
        "scan",
        *words(archive=folder / "sim/videos", cases=folder / "sim/cases.csv", output=folder / "scan"),
    )
    assert scanned.returncode == 0, scanned.stderr
    cases = sorted(set(pq.read_table(folder / "scan/cases.parquet")["case_id"].to_pylist()))
    parts = {"train": cases[:2], "validation": cases[2:4], "test": cases[4:]}
    (folder / "split.json").write_text(json.dumps({"parts": parts}))
    labels = (folder / "labels.yaml").resolve()
    labels.write_text(LABELS)
    return folder


# Ten seconds show little: one activity that is always learnable.
LABELS = """
name: visible
activities:
  - name: baby_visible
    definition: A newborn lies on the table.
    starts: It is seen.
    ends: It is taken away.
    question: Is a newborn visible?
"""


def settings(archive: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """Of a training on the archive; double underscores are dots."""
    truth = archive / "truth-visible"
    if not truth.exists():
        truth.mkdir()
        segments = pq.read_table(archive / "sim/truth/segments.parquet")
        kept = segments.filter(np.array([name == "baby_visible" for name in segments["activity"].to_pylist()]))
        pq.write_table(kept, truth / "segments.parquet")
        shutil.copy(archive / "sim/truth/extents.parquet", truth)
    return {
        "manifest": archive / "scan/manifest.parquet",
        "annotations": truth,
        "split": archive / "split.json",
        "cases": archive / "sim/cases.csv",
        "label_set": archive / "labels.yaml",
        "output": output,
        "store__folder": archive / "frames",
        **FAST,
        **changes,
    }


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Settings as a config document; double underscores are dots."""
    document: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split("__")
        target = document
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = str(value) if not isinstance(value, int | float) else value
    return document


def config_of(values: dict[str, Any]) -> FinetuneConfig:
    return FinetuneConfig.model_validate(nested(values))


def tune_config_of(values: dict[str, Any]) -> TuneConfig:
    document = nested(values)
    document["space"] = {key: yaml.safe_load(value) for key, value in document["space"].items()}
    return TuneConfig.model_validate(document)


def losses(output: Path) -> dict[tuple[int, bool], float]:
    """(step, whether it is a training loss) to the loss in a training's history."""
    found = {}
    for event in read_history(Folder(str(output))):
        if isinstance(event, StepMeasured):
            found[event.step, True] = event.loss
        elif isinstance(event, Validated):
            found[event.step, False] = event.validation_loss
    return found


def starts(output: Path) -> list[tuple[int, int]]:
    """(step, number of workers) of every start of a training, in order."""
    history = read_history(Folder(str(output)))
    return [(event.step, event.num_workers) for event in history if isinstance(event, TrainingStarted)]
