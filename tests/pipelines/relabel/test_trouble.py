"""A whole command line in trouble: full and read-only disks, no network, files that grow, misspelt settings."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator

from nrray.errors import ModelError
from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.digests import read_files
from nrray.models.metadata import MATRICES_FILE
from nrray.sampling import Sampling
from nrray.train.run import finetune
from tests.checkpoints import CHECKPOINTS
from tests.pipelines.support import SMALL_UNITS, ledger_units, make_archive, nrray, tables, words
from tests.train.support import bright_job, model_of

LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
os.execv(sys.executable, [sys.executable, "-m", "nrray", *sys.argv[1:]])
"""


def can_unshare(*flags: str) -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return subprocess.run([unshare, *flags, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trouble")
    archive = make_archive(root / "archive", num_videos=2, seconds=12.0)
    scanned = nrray("scan", *words(archive=archive, output=root / "scan"))
    assert scanned.returncode == 0, scanned.stderr
    return root / "scan" / "manifest.parquet"


def relabel_words(manifest: Path, output: Path) -> list[str]:
    small = [word for setting in SMALL_UNITS for word in ("--set", setting)]
    return ["relabel", *words(manifest=manifest, output=output), *small]


def on_small_disk(script: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`script` in a mount namespace of its own, where $DISK may be mounted as small as one likes."""
    disk = cwd / "disk"
    disk.mkdir()
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "DISK": str(disk)},
        check=False,
    )


@pytest.mark.harsh
@pytest.mark.skipif(not can_unshare("-m"), reason="needs the right to mount a small file system")
def test_a_full_disk_is_said_and_the_same_command_goes_on_when_there_is_room(manifest, tmp_path):
    words_ = " ".join(f"'{word}'" for word in relabel_words(manifest, tmp_path / "disk" / "out"))
    command = f"'{sys.executable}' -m nrray {words_}"
    script = f"""
        mount -t tmpfs -o size=64k none "$DISK" || exit 99
        {command}; echo "first $?"
        mount -o remount,size=64m none "$DISK"
        {command}; echo "second $?"
        cp -r "$DISK/out" kept
    """
    finished = on_small_disk(script, cwd=tmp_path)
    assert "first 1\n" in finished.stdout, finished.stdout + finished.stderr
    assert "no space is left" in finished.stderr, finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    assert "second 0" in finished.stdout, finished.stdout + finished.stderr
    assert ledger_units(tmp_path / "kept") == 10
    assert {row["status"] for row in tables(tmp_path / "kept")["coverage"].to_pylist()} == {"ok"}


@pytest.mark.skipif(not can_unshare("-m"), reason="needs the right to mount a small file system")
def test_a_read_only_output_is_said_before_anything_runs(manifest, tmp_path):
    words_ = " ".join(f"'{word}'" for word in relabel_words(manifest, tmp_path / "disk" / "out"))
    finished = on_small_disk(
        f"mount -t tmpfs -o ro none \"$DISK\" || exit 99\n'{sys.executable}' -m nrray {words_}", cwd=tmp_path
    )
    assert finished.returncode == 1
    assert "read-only" in finished.stderr
    assert "running on" not in finished.stdout


@pytest.mark.harsh
@pytest.mark.skipif(not can_unshare("-n"), reason="needs the right to make a network namespace")
def test_the_demo_runs_with_the_network_cut(tmp_path):
    finished = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", LOOPBACK_UP, "demo", str(tmp_path / "demo"), "--cases", "1", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert document["units"]["ok"] == sum(document["units"].values()) > 0
    assert len(document["pictures"]) == 2
    assert {row["activity"] for row in document["activities"]} == {
        "baby_visible",
        "ventilation",
        "stimulation",
        "suction",
    }


def test_an_adapter_with_a_flipped_bit_labels_nothing(manifest, tmp_path):
    label_set = read_label_set()
    sampling = Sampling(frames_per_second=2.0, frame_width_px=64, frame_height_px=64)
    (tmp_path / "base").mkdir()
    base = CHECKPOINTS["fast_vlm"](tmp_path / "base", label_set)
    job = bright_job(tmp_path, base, label_set, sampling, num_steps=2)
    finetune(job, Accelerator(cpu=True))
    choice = CheckpointChoice(path=str(base), adapter=str(model_of(job)))
    assert resolve_checkpoint(choice)
    for file in read_files(model_of(job)):
        sound = file.read_bytes()
        for place in (0, len(sound) // 3, len(sound) // 2, len(sound) - 2):
            file.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
            with pytest.raises(ModelError):
                resolve_checkpoint(choice)
        if file.name != MATRICES_FILE:
            file.write_bytes(sound)
    chosen = words(model__path=base, model__adapter=model_of(job))
    refused = nrray(*relabel_words(manifest, tmp_path / "labels"), *chosen)
    assert refused.returncode == 1
    assert f"{MATRICES_FILE} is not the file that was trained" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "labels").exists()


def test_a_misspelt_key_names_the_closest_one(tmp_path):
    config = tmp_path / "relabel.yaml"
    config.write_text("manifest: x\noutput: y\nmodel:\n  devise: cpu\n")
    finished = nrray("relabel", str(config))
    assert finished.returncode == 2
    assert "model.devise" in finished.stderr
    assert "did you mean 'model.device'" in finished.stderr


@pytest.mark.harsh
def test_a_backend_that_is_not_there_is_said_in_a_sentence(manifest, tmp_path):
    """A package that cannot be imported hides the installed one."""
    broken = tmp_path / "broken" / "decord"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no wheel for this machine')\n")
    finished = nrray(
        *relabel_words(manifest, tmp_path / "out"),
        *words(decode__backend="decord"),
        env={"PYTHONPATH": str(tmp_path / "broken")},
    )
    assert finished.returncode in (1, 2), finished.stdout
    assert "decord cannot be used here (no wheel for this machine)" in finished.stderr
    assert "pip install 'nrray[decord]'" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("arguments", [["nothing"], ["bench"], ["relabel", "--limit", "0"], ["status"]])
def test_wrong_usage_is_exit_2(arguments):
    assert nrray(*arguments).returncode == 2


def test_an_output_that_is_none_is_said(tmp_path):
    finished = nrray("status", str(tmp_path))
    assert finished.returncode == 1
    assert "is not an output of nrray relabel" in finished.stderr
