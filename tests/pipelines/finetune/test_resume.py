"""A training that was stopped goes on from what it trusts alone: not from flipped bits, not over other pixels, not with more
workers than there are now."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nrray.storage import Folder
from tests.pipelines.finetune.test_finetune import wait_for_step
from tests.pipelines.relabel.test_trouble import can_unshare, on_small_disk
from tests.pipelines.support import nrray, one_ray, started, words
from tests.pipelines.training_support import settings, starts
from tests.pipelines.weights import assert_same_weights
from tests.videos import write_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SHORT = {"training__num_steps": 10}


def flipped(file: Path) -> None:
    """One bit of the file's last byte, which is of a tensor."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def stopped_training(command: list[str], output: Path, log: Path, *, at_step: int = 4) -> None:
    """A training that is killed once it has a state of some step."""
    with started(*command, log=log) as process:
        wait_for_step(output, at_step, process, log)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)


def other_video_of_the_same_facts(file: Path) -> None:
    """Another picture under the name, size and time that the manifest has of a file."""
    before = file.stat()
    write_video(file, fps=8, num_frames=80, size=(64, 48))
    spare = before.st_size - file.stat().st_size
    assert spare >= 8, "a video as large as the one before"
    with file.open("ab") as end:  # a box that MP4 has for this
        end.write(spare.to_bytes(4, "big") + b"free" + bytes(spare - 8))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def trained_path(archive: Path) -> str:
    """Of a video that is trained on, within the archive."""
    case = json.loads((archive / "split.json").read_text())["parts"]["train"][0]
    cases = pq.read_table(archive / "scan/cases.parquet").to_pylist()
    return next(row["video_path"] for row in cases if row["case_id"] == case)


def test_what_changed_since_is_found_and_what_is_sound_is_gone_on_from(annotated_archive, tmp_path):
    archive = shutil.copytree(annotated_archive, tmp_path / "archive")
    whole, output, store, log = (tmp_path / name for name in ("whole", "out", "frames", "log"))
    places = {"store__folder": store, **SHORT}
    scanned = nrray(
        "scan",
        *words(archive=archive / "sim/videos", cases=archive / "sim/cases.csv", output=archive / "scan"),
    )
    assert scanned.returncode == 0, scanned.stderr

    def command(output: Path) -> list[str]:
        return ["finetune", *words(**settings(archive, output, **places))]

    with one_ray():
        undisturbed = nrray(*command(whole))
        assert undisturbed.returncode == 0, undisturbed.stderr
        stopped_training(command(output), output, log)

        checkpoints = Folder(str(output / "checkpoints"))
        earlier, last = checkpoints.names(".safetensors")
        kept = shutil.copytree(output / "checkpoints", tmp_path / "checkpoints")
        for name in (earlier, last):
            flipped(output / "checkpoints" / name)
        refused = nrray(*command(output))
        assert refused.returncode == 1
        assert f"{output}/checkpoints: found no checkpoint that can be read, of {last}" in refused.stderr
        assert "its bytes are not those that were written" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not (output / "adapter").exists()

        shutil.copy(kept / earlier, output / "checkpoints" / earlier)
        video = archive / "sim/videos" / trained_path(archive)
        original = shutil.copy2(video, tmp_path / "original.mp4")
        other_video_of_the_same_facts(video)
        shutil.rmtree(store)
        refused = nrray(*command(output))
        assert refused.returncode == 1
        assert "holds a training that has seen other pixels of 1 video, such as" in refused.stderr
        assert video.name in refused.stderr
        assert not (output / "adapter").exists()

        shutil.copy2(original, video)
        shutil.rmtree(store)
        finished = nrray(*command(output))
        assert finished.returncode == 0, finished.stderr
        assert_same_weights(output / "adapter", whole / "adapter")
        first_step = int(earlier.removeprefix("step-").removesuffix(".safetensors"))
        assert [step for step, _ in starts(output)] == [0, first_step]


def test_fewer_cpus_than_before_are_told_or_made_do_with(annotated_archive, tmp_path):
    output, log = tmp_path / "out", tmp_path / "log"
    command = ["finetune", *words(**settings(annotated_archive, output, workers__num_workers=2, **SHORT))]
    with one_ray(num_cpus=2):
        stopped_training(command, output, log)
    with one_ray(num_cpus=1):
        refused = nrray(*command)
        assert refused.returncode == 1
        assert "2 workers of 1 CPUs do not fit" in " ".join(refused.stderr.split())
        assert "Lower workers.num_workers" in " ".join(refused.stderr.split())
        finished = nrray(*command, *words(workers__min_workers=1))
        assert finished.returncode == 0, finished.stderr
    assert [count for _, count in starts(output)] == [2, 1]
    assert starts(output)[1][0] >= 4


@pytest.mark.skipif(not can_unshare("-m"), reason="needs the right to mount a small file system")
def test_a_disk_that_is_full_at_a_checkpoint_is_said_and_gone_on_from_when_there_is_room(annotated_archive, tmp_path):
    places = {"store__folder": tmp_path / "frames", **SHORT}
    whole = nrray("finetune", *words(**settings(annotated_archive, tmp_path / "whole", **places)))
    assert whole.returncode == 0, whole.stderr
    state_bytes = next((tmp_path / "whole" / "checkpoints").glob("*.safetensors")).stat().st_size
    words_ = " ".join(f"'{word}'" for word in words(**settings(annotated_archive, tmp_path / "disk" / "out", **places)))
    command = f"'{sys.executable}' -m nrray finetune {words_}"
    script = f"""
        mount -t tmpfs -o size={state_bytes * 3 // 2} none "$DISK" || exit 99
        {command}; echo "first $?"
        ls "$DISK/out/checkpoints"
        mount -o remount,size=64m none "$DISK"
        {command}; echo "second $?"
        cp -r "$DISK/out" kept
    """
    finished = on_small_disk(script, cwd=tmp_path)
    assert "first 1\nstep-" in finished.stdout, finished.stdout + finished.stderr
    assert "no space is left" in finished.stderr, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    assert "second 0" in finished.stdout, finished.stdout + finished.stderr
    assert_same_weights(tmp_path / "kept" / "adapter", tmp_path / "whole" / "adapter")
