"""The frames of a training have digests, video by video."""

from pathlib import Path

import numpy as np

from nrray.decode.request import undamaged
from nrray.pipelines.finetune.extract import frames_digests
from nrray.train.examples import Chunk
from nrray.train.frame_store import store_file, write_frames


def written_chunk(store: Path, name: str, path: str, *, brightness: int) -> Chunk:
    pixels = np.full((2, 4, 4, 3), brightness, np.uint8)
    frames = undamaged(
        pixels=pixels, pts_us=np.arange(2, dtype=np.int64), frame_of_sample=np.arange(2, dtype=np.int32), shortfall=None
    )
    write_frames(store_file(store, name), frames)
    targets = np.zeros((1, 1), bool)
    return Chunk(
        name=name,
        video_id=path,
        path=path,
        case=path,
        split="train",
        first_sample=0,
        num_starts=1,
        targets=targets,
    )


def test_other_pixels_of_a_chunk_change_the_digest_of_its_video_alone(tmp_path):
    chunks = [
        written_chunk(tmp_path, "a0", "a.mp4", brightness=1),
        written_chunk(tmp_path, "a1", "a.mp4", brightness=2),
        written_chunk(tmp_path, "b0", "b.mp4", brightness=1),
    ]
    before = frames_digests(tmp_path, chunks)
    assert before.keys() == {"a.mp4", "b.mp4"}
    assert frames_digests(tmp_path, chunks[::-1]) == before
    written_chunk(tmp_path, "a1", "a.mp4", brightness=3)
    after = frames_digests(tmp_path, chunks)
    assert after["a.mp4"] != before["a.mp4"]
    assert after["b.mp4"] == before["b.mp4"]
