"""Scan and relabel over one archive of every codec and container, and over real videos where a folder is named."""

import os
from collections import Counter
from pathlib import Path

import pytest

from nrray.pipelines.cluster import ray_session
from nrray.pipelines.console import Reporter
from nrray.pipelines.relabel import RelabelOptions, relabel
from nrray.pipelines.relabel_job import RelabelConfig
from nrray.pipelines.relabelled import Relabelled
from nrray.pipelines.scan import ScanConfig, Scanned, scan
from nrray.types import ProbeStatus
from tests.pipelines.support import tables
from tests.videos import write_video

QUIET = Reporter(is_json=True)
SECONDS = 6
KINDS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.avi": {"b_frames": 0},
    "h264_10bit.mp4": {"pix_fmt": "yuv420p10le"},
    "hevc.mp4": {"codec": "libx265"},
    "hevc_10bit.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "odd.mkv": {"size": (161, 97), "pix_fmt": "yuv444p"},
    "turned.mp4": {"rotation_degrees": 90},
    "late.mkv": {"start_us": 5_000_000},
    "variable.mkv": {"pts_us": [n * 40_000 + (n > 70) * 900_000 for n in range(25 * SECONDS)]},
}


@pytest.fixture(scope="module", autouse=True)
def _ray():
    with ray_session():
        yield


def labelled(archive: Path, folder: Path) -> tuple[Scanned, Relabelled]:
    scanned = scan(ScanConfig(archive=str(archive), output=str(folder / "scan")), QUIET)
    config = RelabelConfig(manifest=scanned.manifest, output=str(folder / "labels"))
    return scanned, relabel(config, RelabelOptions(), QUIET)


def assert_every_file_has_rows(scanned: Scanned, result: Relabelled, output: Path) -> None:
    found = tables(output)
    assert result.counts["not_run"] == 0
    coverage = found["coverage"].to_pylist()
    assert {row["path"] for row in coverage} == {video.path for video in scanned.videos}
    assert all(row["reason"] for row in coverage if row["status"] != "ok")
    num_ok = Counter(row["status"] for row in coverage)["ok"]
    assert found["labels"].num_rows == 4 * num_ok


def test_every_codec_and_container_gets_its_rows(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    for name, settings in KINDS.items():
        write_video(archive / name, num_frames=25 * SECONDS, **settings)
    scanned, result = labelled(archive, tmp_path)
    assert all(video.status is ProbeStatus.OK for video in scanned.videos)
    assert result.counts["ok"] == sum(result.counts.values()) == len(KINDS)
    assert_every_file_has_rows(scanned, result, tmp_path / "labels")
    windows = Counter(row["path"] for row in tables(tmp_path / "labels")["coverage"].to_pylist())
    assert set(windows) == set(KINDS)
    assert {count for name, count in windows.items() if name != "variable.mkv"} == {SECONDS - 2}


@pytest.mark.slow
@pytest.mark.skipif("NRRAY_SAMPLE_VIDEOS" not in os.environ, reason="NRRAY_SAMPLE_VIDEOS names no folder of videos")
def test_every_real_video_gets_its_rows(tmp_path):
    scanned, result = labelled(Path(os.environ["NRRAY_SAMPLE_VIDEOS"]), tmp_path)
    assert_every_file_has_rows(scanned, result, tmp_path / "labels")
