"""The windows of a step: the same for any number of processes, moved in time and augmented each by itself."""

import numpy as np
import pytest
import torch

from nrray.decode.request import undamaged
from nrray.models.frame_stacking import FrameStacking
from nrray.sampling import Sampling
from nrray.train.batches import PlainWindows, TrainingWindows
from nrray.train.examples import Chunk, examples_of
from nrray.train.frame_store import FrameStore, store_file, write_frames
from nrray.train.order import Order
from nrray.train.training_config import AugmentConfig

SAMPLING = Sampling(frame_width_px=16, frame_height_px=16)
STARTS = 29
EVERY = np.eye(3, dtype=np.float32)
LUMA = FrameStacking.LUMA_TRIPLETS.channels


@pytest.fixture
def stored(tmp_path):
    """Two chunks of frames whose first pixel tells their number, and the windows in them."""
    chunks, whole = [], []
    for number in range(2):
        pixels = np.zeros((STARTS + 11, 16, 16, 3), np.uint8)
        pixels[:] = (np.arange(len(pixels)) + 100 * number)[:, None, None, None]
        rows = np.arange(len(pixels), dtype=np.int32)
        write_frames(
            store_file(tmp_path, str(number)),
            undamaged(pixels=pixels, pts_us=rows.astype(np.int64), frame_of_sample=rows, shortfall=""),
        )
        targets = np.zeros((STARTS, 2), bool)
        targets[10:20, number] = True
        chunks.append(
            Chunk(
                name=str(number),
                video_id=f"id-{number}",
                path=f"video-{number}",
                case=f"case-{number}",
                split="train",
                first_sample=0,
                num_starts=STARTS,
                targets=targets,
            )
        )
        whole.append(np.ones(STARTS, bool))
    return tmp_path, chunks, whole


def pixels_themselves(windows):
    return {"pixels": torch.from_numpy(windows)}


def training_windows(
    stored,
    *,
    process=0,
    num_processes=1,
    micro_batch_windows=4,
    max_jitter_seconds=0.5,
    augment=None,
    seed=3,
    channels=EVERY,
):
    folder, chunks, whole = stored
    examples = examples_of(chunks, whole, "train", SAMPLING)
    return TrainingWindows(
        examples,
        chunks=chunks,
        whole=whole,
        store=FrameStore(folder, ["0", "1"], frames_per_window=12),
        inputs=pixels_themselves,
        channels=channels,
        order=Order(examples.targets, examples.cases, batch_windows=6, seed=seed, min_positive_share=0.0),
        augment=augment or AugmentConfig(),
        sampling=SAMPLING,
        max_jitter_seconds=max_jitter_seconds,
        micro_batch_windows=micro_batch_windows,
        process=process,
        num_processes=num_processes,
    )


NOTHING = AugmentConfig(
    flip_fraction=0.0,
    max_turn_degrees=0.0,
    max_zoom=0.0,
    max_shift=0.0,
    max_hue_degrees=0.0,
    max_gain=0.0,
    max_light=0.0,
    max_sharpness=0.0,
    max_gamma=0.0,
    invert_fraction=0.0,
    max_noise=0.0,
)


@pytest.mark.parametrize("channels", [EVERY, LUMA], ids=["colours", "luma"])
@pytest.mark.parametrize("num_processes", [2, 3])
def test_any_number_of_processes_makes_the_same_windows(stored, num_processes, channels):
    def windows_of(num_processes, micro_batch_windows):
        found = {}
        for process in range(num_processes):
            windows = training_windows(
                stored,
                process=process,
                num_processes=num_processes,
                micro_batch_windows=micro_batch_windows,
                channels=channels,
            )
            for batch in windows[2]:
                for index, pixels, targets in zip(batch.indices, batch.inputs["pixels"], batch.targets, strict=True):
                    found[int(index)] = (pixels.numpy(), targets.numpy())
        return found

    alone, shared = windows_of(1, 4), windows_of(num_processes, 1)
    assert alone.keys() == shared.keys() == set(range(6))
    for index, (pixels, targets) in alone.items():
        np.testing.assert_array_equal(pixels, shared[index][0])
        np.testing.assert_array_equal(targets, shared[index][1])


def drawn_windows(stored, step, **changes):
    """(index in the step, pixels) of every window of a step, where all of them show the same window of video."""
    folder, chunks, _ = stored
    windows = training_windows((folder, chunks[:1], [np.arange(STARTS) == 8]), **changes)
    found = {}
    for batch in windows[step]:
        found |= dict(zip(batch.indices.tolist(), batch.inputs["pixels"].numpy(), strict=True))
    return found


def test_each_index_of_a_step_draws_from_a_stream_of_its_own(stored):
    windows = list(drawn_windows(stored, 2).values())
    assert len(windows) == 6
    assert all((a != b).any() for n, a in enumerate(windows) for b in windows[:n])


def test_windows_have_the_channels_that_the_model_is_shown_and_the_same_amounts(stored):
    colours = AugmentConfig(max_noise=0.0, max_gamma=0.0, max_sharpness=0.0, max_hue_degrees=0.0, max_gain=0.0)
    three = drawn_windows(stored, 2, augment=colours)  # grey frames: every colour is the luma
    one = drawn_windows(stored, 2, augment=colours, channels=LUMA)
    for index, pixels in one.items():
        assert pixels.shape == (12, 16, 16, 1)
        np.testing.assert_allclose(three[index][..., :1].astype(int), pixels.astype(int), atol=1)
    assert len({int(pixels[0, 8, 8, 0]) for pixels in one.values()}) > 1


def test_each_step_draws_anew_at_the_same_index(stored):
    first, second = drawn_windows(stored, 2), drawn_windows(stored, 3)
    assert all((first[index] != second[index]).any() for index in first)


def test_jitter_is_drawn_for_each_index_of_a_step(stored):
    windows = training_windows(stored, augment=NOTHING)
    starts = [int(pixels[0, 0, 0, 0]) for batch in windows[0] for pixels in batch.inputs["pixels"]]
    assert len({start % 4 for start in starts}) > 1


def test_jitter_moves_windows_and_their_truth_together(stored):
    moved = set()
    windows = training_windows(stored, augment=NOTHING)
    for step in range(20):
        for batch in windows[step]:
            for pixels, targets in zip(batch.inputs["pixels"], batch.targets, strict=True):
                number, start = divmod(int(pixels[0, 0, 0, 0]), 100)
                assert pixels[:, 0, 0, 0].tolist() == list(range(100 * number + start, 100 * number + start + 12))
                assert targets[number].item() == (10 <= start < 20)
                moved.add(start % 4)
    assert moved == {0, 1, 2, 3}


def starts_about(stored, start, *, steps, **settings):
    """Where the windows of some steps start, each of which shows the window at `start`, moved."""
    folder, chunks, _ = stored
    whole = np.isin(np.arange(STARTS), range(start - 3, start + 4))  # the next ones on the stride are not
    windows = training_windows((folder, chunks[:1], [whole]), augment=NOTHING, **settings)
    return [
        int(pixels[0, 0, 0, 0]) for step in range(steps) for batch in windows[step] for pixels in batch.inputs["pixels"]
    ]


def test_jitter_reaches_as_far_as_it_may_both_ways(stored):
    assert set(starts_about(stored, 8, steps=6)) == {6, 7, 8, 9, 10}  # half a second at 4 a second


def test_another_seed_draws_otherwise(stored):
    assert starts_about(stored, 8, steps=2) != starts_about(stored, 8, steps=2, seed=4)


def test_without_jitter_windows_start_on_the_stride(stored):
    windows = training_windows(stored, augment=NOTHING, max_jitter_seconds=0.0)
    starts = [int(p[0, 0, 0, 0]) % 100 % 4 for step in range(5) for b in windows[step] for p in b.inputs["pixels"]]
    assert set(starts) == {0}


def test_jitter_never_reaches_a_window_that_lacks_a_frame(stored):
    _, _, whole = stored
    whole[0][5:8] = False
    whole[1][5:8] = False
    windows = training_windows(stored, augment=NOTHING)
    starts = {int(p[0, 0, 0, 0]) % 100 for step in range(30) for b in windows[step] for p in b.inputs["pixels"]}
    assert not starts & {5, 6, 7}
    assert starts & {3, 4, 8, 9}


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_held_out_windows_are_shared_and_none_is_missing(stored, num_processes):
    folder, chunks, whole = stored
    examples = examples_of(chunks, whole, "train", SAMPLING)
    indices = []
    for process in range(num_processes):
        part = PlainWindows(
            examples,
            store=FrameStore(folder, ["0", "1"], frames_per_window=12),
            inputs=pixels_themselves,
            micro_batch_windows=4,
            process=process,
            num_processes=num_processes,
        )
        for batch in part:
            for index, pixels in zip(batch.indices, batch.inputs["pixels"], strict=True):
                assert int(pixels[0, 0, 0, 0]) == 100 * examples.chunk[index] + examples.start[index]
                indices.append(int(index))
    assert sorted(indices) == list(range(len(examples)))


def test_only_the_first_of_many_windows_are_named(stored):
    assert training_windows(stored).names(0, []).endswith(" and 2 more")


def test_windows_are_named_by_video_and_second(stored):
    folder, chunks, _ = stored
    windows = training_windows((folder, chunks[:1], [np.arange(STARTS) == 8]))
    assert windows.names(0, [1, 4]) == "video-0 at 2.00 s, video-0 at 2.00 s"
