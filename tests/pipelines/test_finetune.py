"""`nrray finetune` on Ray: two workers, one of them killed, against the same training in one process."""

import json
import shutil
import signal

import numpy as np
import pyarrow.parquet as pq
import pytest
from accelerate import Accelerator

from nrray.pipelines.finetune_job import FinetuneConfig, resolved_finetune
from nrray.storage import Folder
from nrray.train.finetuned import finetune
from tests.pipelines.support import descendants, nrray, started, wait_until, words

FAST = {
    "adapter__rank": 2,
    "training__num_epochs": 4,
    "training__batch_windows": 4,
    "training__micro_batch_windows": 2,
    "training__validate_every_steps": 4,
    "training__checkpoint_every_steps": 2,
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Four simulated cases of ten seconds, scanned and split by hand."""
    folder = tmp_path_factory.mktemp("archive")
    made = nrray(
        "simulate",
        *words(output=folder / "sim", num_cases=4, case_seconds=10, videos_per_case=1, seed=3, frames_per_second=8),
    )
    assert made.returncode == 0, made.stderr
    scanned = nrray(
        "scan",
        *words(archive=folder / "sim/videos", cases=folder / "sim/cases.csv", output=folder / "scan"),
    )
    assert scanned.returncode == 0, scanned.stderr
    cases = sorted(set(pq.read_table(folder / "scan/cases.parquet")["case_id"].to_pylist()))
    parts = {"train": cases[:2], "validation": cases[2:3], "test": cases[3:]}
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


def settings(archive, output, **changes):
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


def config_of(values):
    nested: dict = {}
    for key, value in values.items():
        *parents, last = key.split("__")
        target = nested
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = str(value) if not isinstance(value, int | float) else value
    return FinetuneConfig.model_validate(nested)


def losses(output):
    events = [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]
    return {
        (event["step"], "loss" in event): event.get("loss", event.get("validation_loss"))
        for event in events
        if "num_workers" not in event
    }


def starts(output):
    events = [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]
    return [event["step"] for event in events if "num_workers" in event]


def test_two_workers_of_which_one_is_killed_train_as_one_process_does(archive, tmp_path):
    shared = tmp_path / "shared"
    command = words(**settings(archive, shared, workers__num_workers=2, workers__cpus_per_worker=0.5))
    with started("finetune", *command, log=tmp_path / "log") as process:
        states = Folder(str(shared / "checkpoints"))
        wait_until(
            lambda: any(name >= "step-00000004" for name in states.names(".safetensors")) or process.poll() is not None,
            timeout_seconds=240,
            what="the fourth step",
        )
        workers = descendants(process.pid, "RayTrainWorker")
        assert len(workers) == 2, (tmp_path / "log").read_text()
        workers[1].send_signal(signal.SIGKILL)
        assert process.wait(timeout=240) == 0, (tmp_path / "log").read_text()
    alone = tmp_path / "alone"
    job = resolved_finetune(config_of(settings(archive, alone))).job
    alone.mkdir()
    finetune(job, Accelerator(cpu=True))
    first, again = starts(shared)
    assert first == 0
    assert again >= 4
    ours, theirs = losses(shared), losses(alone)
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose([ours[key] for key in theirs], list(theirs.values()), rtol=1e-3, atol=1e-5)
    assert (shared / "adapter/nrray.json").is_file()
    assert (shared / "curves.png").stat().st_size > 1000
    assert not (shared / ".ray-train").exists()


def test_settings_that_are_wrong_are_said_before_anything_is_done(archive, tmp_path):
    output = tmp_path / "out"
    (archive / "other.json").write_text(
        json.dumps({"parts": {"train": ["nobody"], "validation": ["noone"], "test": []}})
    )
    found = nrray("finetune", *words(**settings(archive, output, split=archive / "other.json")))
    assert found.returncode == 1
    assert "cases to train and validate on are of no video here, such as 'nobody'" in found.stderr
    assert not output.exists()


def test_a_dry_run_says_what_the_frames_take_and_writes_nothing(archive, tmp_path):
    output = tmp_path / "out"
    found = nrray("finetune", "--dry-run", *words(**settings(archive, output)))
    assert found.returncode == 0, found.stderr
    assert "train 2 cases" in found.stdout
    assert "GiB in" in found.stdout
    assert not output.exists()
