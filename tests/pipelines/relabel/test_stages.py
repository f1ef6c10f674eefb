"""The decode stage alone, without Ray, and the rows between stages."""

import os
from dataclasses import replace

import numpy as np
import pytest

from nrray.decode import DecodeConfig, GuardedDecoder, SampledFrames
from nrray.decode.request import undamaged
from nrray.errors import DecodeError, ErrorKind
from nrray.models.shown import Shown
from nrray.pipelines.relabel.stages import DecodeStage
from nrray.pipelines.relabel.unit_rows import decoded_unit, with_labels
from nrray.results.journal import EntryLimits, Journal
from nrray.sampling import Sampling, unit_samples_us
from nrray.storage import Folder, source_facts
from nrray.tables import rows_from_table, table_from_rows
from nrray.types import NO_STATE, Answers, DecodedUnit, UnitRequest, UnitResult, UnitStatus, WindowLabels
from tests.videos import frame_number, write_video

SAMPLING = Sampling(frame_width_px=80, frame_height_px=48)  # 12 frames a window, 4 of them new


@pytest.fixture
def decoded(tmp_path):
    """A function from a request to what the stage makes of it."""
    output = Folder(str(tmp_path / "out"))
    Journal(output, "run").create()
    stage = DecodeStage(
        output=str(output),
        run_id="run",
        decode=DecodeConfig(),
        shown=Shown.FILMED,
        sampling=SAMPLING,
        limits=EntryLimits(),
    )

    def unit_of(request: UnitRequest) -> DecodedUnit:
        (table,) = stage(table_from_rows([request], UnitRequest))
        return rows_from_table(table, DecodedUnit)[0]

    return unit_of


def request_of(video, *, num_windows=2, duration_us=4_000_000) -> UnitRequest:
    size_bytes, modified_us = source_facts(str(video))
    return UnitRequest(
        unit_id="a-0",
        video_id="a",
        first_window=0,
        num_windows=num_windows,
        earlier_attempts=0,
        uri=str(video),
        size_bytes=size_bytes,
        modified_us=modified_us,
        start_us=0,
        duration_us=duration_us,
        seekable=True,
    )


def test_a_file_that_changes_while_it_is_decoded_has_no_labels(tmp_path, decoded, monkeypatch):
    video = write_video(tmp_path / "a.mp4", fps=25, num_frames=100)
    request = request_of(video)
    assert decoded(request).status is UnitStatus.OK
    sample = GuardedDecoder.sample

    def sample_and_change(decoder, request):
        frames = sample(decoder, request)
        os.utime(video, ns=(0, 0))
        return frames

    monkeypatch.setattr(GuardedDecoder, "sample", sample_and_change)
    after = decoded(request)
    assert (after.status, after.error_kind) == (UnitStatus.FAILED, ErrorKind.CHANGED)
    assert not after.window_decoded.any()


def test_a_file_that_changed_since_the_scan_is_not_decoded(tmp_path, decoded):
    request = request_of(write_video(tmp_path / "a.mp4", fps=25, num_frames=100))
    (tmp_path / "a.mp4").write_bytes(b"no video any more")
    assert decoded(request).error_kind is ErrorKind.CHANGED, "and not for what a decoder says of it"


def test_a_window_that_lacks_frames_of_a_cut_video_is_not_decoded(tmp_path, decoded):
    path = write_video(tmp_path / "cut.mkv", num_frames=200, b_frames=0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    unit = decoded(request_of(path, num_windows=6, duration_us=8_000_000))
    assert unit.status is UnitStatus.OK
    assert "decoding stopped at" in unit.shortfall
    last_us = int(unit.pts_us[-1])
    assert 3_000_000 < last_us < 6_000_000, "some windows are whole, and some of the others have their first frames"
    # Window w samples from w to w + 2.75 s; the last picture serves its own 40 ms.
    whole = [w * 1_000_000 + 2_750_000 < last_us + 40_000 for w in range(6)]
    assert unit.window_decoded.tolist() == whole
    frames = unit.frames(frames_per_second=4.0)
    assert frames.window_frames.shape == (sum(whole), 12)
    assert frames.window_start_us.tolist() == [w * 1_000_000 for w in range(6) if whole[w]]
    for start_us, rows in zip(frames.window_start_us.tolist(), frames.window_frames, strict=True):
        shown = [frame_number(frames.pixels[row]) for row in rows]
        assert shown == [(start_us + 250_000 * i) // 40_000 for i in range(12)]


def sampled_without(*missing: int, num_samples: int) -> SampledFrames:
    """A frame per sample, but for those that are missing."""
    present = [sample for sample in range(num_samples) if sample not in missing]
    frame_of_sample = np.full(num_samples, -1, np.int32)
    frame_of_sample[present] = np.arange(len(present))
    return undamaged(
        pixels=np.array(present, np.uint8)[:, None, None, None] * np.ones((1, 48, 80, 3), np.uint8),
        pts_us=np.array(present, np.int64) * 250_000,
        frame_of_sample=frame_of_sample,
        shortfall="a hole",
    )


@pytest.fixture
def request_of_four(tmp_path):
    (tmp_path / "a").touch()
    return request_of(tmp_path / "a", num_windows=4, duration_us=6_000_000)


@pytest.mark.parametrize(
    ("missing", "whole"),
    [
        ((), [True, True, True, True]),
        ((3,), [False, True, True, True]),  # of the first window alone, one frame of twelve
        ((4,), [False, False, True, True]),
        ((11,), [False, False, False, True]),
        ((23,), [True, True, True, False]),
    ],
)
def test_one_missing_frame_leaves_a_window_undecoded_and_no_other(request_of_four, missing, whole):
    num_samples = len(unit_samples_us(SAMPLING, start_us=0, first_window=0, num_windows=4))
    sampled = sampled_without(*missing, num_samples=num_samples)
    unit = decoded_unit(request_of_four, sampled, SAMPLING, attempts=1, seconds=0.0, max_damaged_fraction=0.5)
    assert unit.window_decoded.tolist() == whole
    frames = unit.frames(frames_per_second=4.0)
    assert (frames.window_start_us // 1_000_000).tolist() == [w for w in range(4) if whole[w]]
    shown = frames.pixels[frames.window_frames][:, :, 0, 0, 0]
    assert shown.tolist() == [list(range(4 * w, 4 * w + 12)) for w in range(4) if whole[w]]


def test_a_unit_without_a_whole_window_has_no_frames_and_says_why(request_of_four):
    sampled = sampled_without(8, 16, 23, num_samples=24)
    with pytest.raises(DecodeError, match="a hole") as caught:
        decoded_unit(request_of_four, sampled, SAMPLING, attempts=1, seconds=0.0, max_damaged_fraction=0.5)
    assert caught.value.kind is ErrorKind.NO_FRAMES


def test_damaged_pictures_degrade_a_window_or_fail_it_where_they_are_too_many(request_of_four):
    sampled = sampled_without(num_samples=24)  # 12 frames a window, 4 a second
    concealed = np.isin(np.arange(24), np.arange(18, 24))
    repeated = np.isin(np.arange(24), [4])
    sampled = replace(sampled, is_concealed=concealed, is_repeated=repeated, dropped_us=np.array([1_500_000]))
    unit = decoded_unit(request_of_four, sampled, SAMPLING, attempts=1, seconds=0.0, max_damaged_fraction=0.4)
    assert unit.window_decoded.tolist() == [True, True, True, False]  # 1, 1, 2 and 6 of 12
    assert unit.window_damage.reshape(4, 3).tolist() == [[0, 1, 1], [0, 1, 1], [2, 0, 0], [6, 0, 0]]
    assert "more than 40% of the pictures are damaged in 1 window" in unit.shortfall


def test_a_unit_of_damaged_pictures_alone_is_one_that_cannot_be_decoded(request_of_four):
    sampled = replace(sampled_without(num_samples=24), is_concealed=np.ones(24, bool))
    with pytest.raises(DecodeError, match=r"damaged in 4 windows") as caught:
        decoded_unit(request_of_four, sampled, SAMPLING, attempts=1, seconds=0.0, max_damaged_fraction=0.9)
    assert caught.value.kind is ErrorKind.DECODE_FAILED


def unlabelled(window_labelled) -> UnitResult:
    times = np.arange(len(window_labelled), dtype=np.int64)
    return UnitResult(
        unit_id="a-0",
        video_id="a",
        first_window=0,
        num_windows=len(window_labelled),
        status=UnitStatus.OK,
        error_kind=None,
        error=None,
        shortfall="a hole",
        attempts=1,
        window_start_us=times,
        window_end_us=times + 1,
        window_labelled=np.array(window_labelled),
        window_damage=None,
        scores=np.zeros(0, np.float32),
        states=np.zeros(0, np.uint8),
        questions=None,
        answers=None,
        answer_states=None,
        answer_tokens=None,
        answer_seconds=None,
        looks_distances=None,
        num_frames=0,
        decode_seconds=0.0,
        label_seconds=0.0,
        finished_us=0,
        run_id="run",
        device="cpu",
    )


def test_labels_go_to_the_windows_that_were_looked_at():
    labels = WindowLabels(
        scores=np.float32([[0.1, 0.2], [0.3, 0.4]]),
        states=np.uint8([[1, 0], [0, 3]]),
        answers=Answers(
            questions=("all", "all#2", "all#3"),
            texts=[["no", "yes", "a"], ["yes", "?", "b"]],
            states=np.uint8([[1, 0, NO_STATE], [0, 3, NO_STATE]]),
            num_tokens=np.int32([[1, 2, 3], [4, 5, 6]]),
            seconds=np.float32([[1, 2, 3], [4, 5, 6]]),
        ),
        looks_distances=np.float32([1.0, 2.0]),
    )
    result = with_labels(unlabelled([True, False, True]), labels)
    nothing = [np.nan, np.nan]
    np.testing.assert_array_equal(result.scores, np.float32([0.1, 0.2, *nothing, 0.3, 0.4]))
    assert result.states[:2].tolist() + result.states[4:].tolist() == [1, 0, 0, 3]
    assert result.questions == ["all", "all#2", "all#3"]
    assert result.answers == ["no", "yes", "a", None, None, None, "yes", "?", "b"]
    assert result.answer_states.tolist() == [1, 0, NO_STATE, NO_STATE, NO_STATE, NO_STATE, 0, 3, NO_STATE]
    assert result.answer_tokens.tolist() == [1, 2, 3, 0, 0, 0, 4, 5, 6]
    assert result.answer_seconds.tolist() == [1, 2, 3, 0, 0, 0, 4, 5, 6]
    np.testing.assert_array_equal(result.looks_distances, np.float32([1.0, np.nan, 2.0]))
    silent = with_labels(unlabelled([True, False, True]), replace(labels, answers=None, looks_distances=None))
    assert (silent.questions, silent.answers, silent.answer_states) == (None, None, None)
    assert silent.looks_distances is None
