"""An archive of 100,000 files, few of which are videos: counted right, in minutes and in bounded memory."""

import json
import os
import resource
import time

import pyarrow.parquet as pq
import pytest

from tests.pipelines.support import nrray, words
from tests.videos import write_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

NUM_OTHERS, NUM_TEXTS, NUM_EMPTY, NUM_COPIES, NUM_VIDEOS = 85_000, 7_000, 1_000, 6_900, 100
MAX_MIB = 1024  # of any process of the scan


def test_a_hundred_thousand_files_are_counted_right_in_bounded_memory(tmp_path):
    archive = tmp_path / "archive"
    for number in range(200):
        (archive / f"{number:03d}").mkdir(parents=True)
    videos = [
        write_video(archive / f"{number:03d}" / f"video-{number}.mp4", num_frames=4 + number, size=(32, 32))
        for number in range(NUM_VIDEOS)
    ]
    for number in range(NUM_COPIES):
        os.link(videos[number % NUM_VIDEOS], archive / f"{number % 200:03d}" / f"copy-{number}.mp4")
    for number in range(NUM_TEXTS):
        (archive / f"{number % 200:03d}" / f"text-{number}.mp4").write_text(f"no video {number}\n")
    for number in range(NUM_EMPTY):
        (archive / f"{number % 200:03d}" / f"empty-{number}.mov").touch()
    for number in range(NUM_OTHERS):
        (archive / f"{number % 200:03d}" / f"note-{number}.{('txt', 'jpg', 'xyz')[number % 3]}").write_text("x")

    began = time.monotonic()
    scanned = nrray("scan", "--json", *words(archive=archive, output=tmp_path / "scan"), timeout_seconds=3000)
    seconds = time.monotonic() - began
    assert scanned.returncode == 3, scanned.stderr
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{seconds:.0f} s, {peak_mib:.0f} MiB in the largest process")
    assert peak_mib < MAX_MIB
    document = json.loads(scanned.stdout)
    num_rows = NUM_TEXTS + NUM_EMPTY + NUM_COPIES + NUM_VIDEOS
    assert (document["videos"], document["unreadable"]) == (num_rows, NUM_TEXTS + NUM_EMPTY)
    table = pq.read_table(tmp_path / "scan" / "manifest.parquet")
    sound = [row for row in table.select(["content_id", "status"]).to_pylist() if row["status"] == "ok"]
    assert len(sound) == NUM_COPIES + NUM_VIDEOS
    assert len({row["content_id"] for row in sound}) == NUM_VIDEOS
    assert len(set(table["video_id"].to_pylist())) == num_rows

    began = time.monotonic()
    again = nrray("scan", "--json", *words(archive=archive, output=tmp_path / "scan"), timeout_seconds=3000)
    print(f"again: {time.monotonic() - began:.0f} s")
    assert json.loads(again.stdout)["probed"] == NUM_TEXTS, "unreadable ones alone, whose fault may be elsewhere"
