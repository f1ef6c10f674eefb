"""Frames on disk: what is read is what was written, and a file that is not whole is refused."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from nrray.decode.request import undamaged
from nrray.errors import DataError
from nrray.train.frame_store import (
    FrameStore,
    is_whole_file,
    read_frame_of_sample,
    store_file,
    whole_windows,
    write_frames,
)


@pytest.fixture
def sampled():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    rows = np.array([0, 0, 1, 2, 3, 4, -1], np.int32)  # a frame shown twice, and one that is missing
    return undamaged(
        pixels=pixels, pts_us=np.arange(5, dtype=np.int64), frame_of_sample=rows, shortfall="the file ends early"
    )


def test_windows_are_read_as_they_were_sampled(tmp_path, sampled):
    num_bytes = write_frames(store_file(tmp_path, "a"), sampled)
    assert num_bytes == store_file(tmp_path, "a").stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    store = FrameStore(tmp_path, ["a"], frames_per_window=3)
    for start in range(4):
        expected = sampled.pixels[sampled.frame_of_sample[start : start + 3]]
        np.testing.assert_array_equal(store.window(0, start), expected)


def test_a_window_is_whole_where_all_of_its_frames_are_there(tmp_path, sampled):
    write_frames(store_file(tmp_path, "a"), sampled)
    rows = read_frame_of_sample(store_file(tmp_path, "a"))
    assert whole_windows(rows, 3).tolist() == [True, True, True, True, False]


def test_a_file_that_was_cut_short_is_refused_by_name(tmp_path, sampled):
    file = store_file(tmp_path, "a")
    write_frames(file, sampled)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"a.safetensors: cannot be read.*Delete it and run again"):
        read_frame_of_sample(file)
    with pytest.raises(DataError, match="Delete it and run again"):
        FrameStore(tmp_path, ["a"], frames_per_window=3).window(0, 0)


def test_the_store_is_private(tmp_path, sampled):
    write_frames(store_file(tmp_path, "a"), sampled)
    assert store_file(tmp_path, "a").stat().st_mode & 0o077 == 0


def test_frames_under_another_name_are_refused(tmp_path, sampled):
    write_frames(store_file(tmp_path, "a"), sampled)
    store_file(tmp_path, "a").rename(store_file(tmp_path, "b"))
    with pytest.raises(DataError, match=r"b.safetensors: holds the frames of a\. Delete it"):
        read_frame_of_sample(store_file(tmp_path, "b"))


@pytest.mark.parametrize("name", ["pixels", "frame_of_sample"])
def test_pixels_that_were_changed_are_no_frames_of_a_store(tmp_path, sampled, name):
    file = store_file(tmp_path, "a")
    write_frames(file, sampled)
    assert is_whole_file(file)
    with safe_open(file, framework="numpy") as opened:
        facts = opened.metadata()
    tensors = load_file(file)
    tensors[name].reshape(-1)[0] ^= 1
    save_file(tensors, file, metadata=facts)
    assert not is_whole_file(file)
    write_frames(file, sampled)
    assert is_whole_file(file)


def test_a_store_of_a_release_without_digests_is_extracted_anew(tmp_path, sampled):
    file = store_file(tmp_path, "a")
    write_frames(file, sampled)
    save_file(load_file(file), file, metadata={"name": "a"})
    assert not is_whole_file(file)


def test_a_store_without_a_frame_has_a_digest_too(tmp_path, sampled):
    empty = replace(sampled, pixels=sampled.pixels[:0], frame_of_sample=np.full(3, -1, np.int32))
    write_frames(store_file(tmp_path, "a"), empty)
    assert is_whole_file(store_file(tmp_path, "a"))
