"""Which windows are trained on, with which targets, and annotations that cannot be true."""

from dataclasses import replace

import numpy as np
import pytest

from nrray.archive.annotations import read_annotations, write_annotations
from nrray.archive.cases import Cases
from nrray.decode.request import DecodeConfig
from nrray.errors import DataError
from nrray.labels import read_label_set
from nrray.sampling import Sampling
from nrray.storage import Folder
from nrray.train.examples import (
    all_examples,
    examples_of,
    planned_examples,
    training_notes,
    validation_notes,
    window_name,
)
from nrray.types import ClockKind, Extent, Origin, Segment
from tests.made_tables import bad_video, cases_of, manifest, video

LABELS = read_label_set()
SAMPLING = Sampling()  # 4 Hz, 3 s windows every second
NO_SIDECAR = Cases()
DECODE = DecodeConfig()
SECOND = 1_000_000


def annotated(segments, extents):
    """Annotations as they are read from a folder; `segments` may end with an annotator's name."""
    rows = [
        Segment(
            path=path,
            activity=activity,
            start_us=round(start * SECOND),
            end_us=round(end * SECOND),
            source="".join(source) or "somebody",
            origin=Origin.HUMAN,
        )
        for path, activity, start, end, *source in segments
    ]
    examined = [
        Extent(path=path, start_us=round(start * SECOND), end_us=round(end * SECOND), source="somebody")
        for path, start, end in extents
    ]
    write_annotations(Folder("memory://annotations"), rows, examined)
    return read_annotations("memory://annotations")


def planned(videos, segments, extents, parts, *, max_chunk_mib=32, cases=NO_SIDECAR, decode=DECODE):
    return planned_examples(
        manifest(*videos),
        annotated(segments, extents),
        split_of_case=parts,
        cases=cases,
        sampling=SAMPLING,
        label_set=LABELS,
        decode=decode,
        max_chunk_mib=max_chunk_mib,
    )


def all_whole(plan):
    return [np.ones(chunk.num_starts, bool) for chunk in plan.chunks]


def windows(plan, part="train"):
    found = examples_of(plan.chunks, all_whole(plan), part, SAMPLING)
    names = [
        window_name(plan.chunks[chunk], start, SAMPLING) for chunk, start in zip(found.chunk, found.start, strict=True)
    ]
    return found, names


def test_windows_lie_whole_inside_the_examined_time():
    plan = planned([video("a", seconds=20)], [], [("a", 2.0, 7.5), ("a", 12.0, 16.0)], {"a": "train"})
    _, names = windows(plan)
    assert names == [f"a at {second:.2f} s" for second in (2, 3, 4, 12, 13)]
    assert [chunk.num_starts for chunk in plan.chunks] == [11, 5]  # every quarter of a second: for jitter


def test_extents_that_touch_are_one():
    plan = planned([video("a", seconds=10)], [], [("a", 0.0, 4.0), ("a", 4.0, 10.0)], {"a": "train"})
    assert [(chunk.first_sample, chunk.num_starts) for chunk in plan.chunks] == [(0, 29)]


def test_no_window_ends_after_its_video_where_an_extent_does():
    plan = planned([video("a", seconds=9.98)], [], [("a", 0.0, 10.02)], {"a": "train"})
    assert windows(plan)[1][-1] == "a at 6.00 s"  # 7 to 10 s would be one frame too many


def test_an_extent_may_start_a_rounding_before_its_video_and_no_more():
    late = video("a", seconds=10, start_us=SECOND // 2)
    assert planned([late], [], [("a", 0.45, 10.5)], {"a": "train"}).chunks
    with pytest.raises(DataError, match=r"an? extent goes from 0\.449 s to 10\.500 s, the video from 0\.500 s"):
        planned([late], [], [("a", 0.449, 10.5)], {"a": "train"})


def test_targets_are_those_of_the_coverage_rule_at_every_start():
    plan = planned(
        [video("a", seconds=10, start_us=7 * SECOND)],
        [("a", "ventilation", 10.0, 12.0)],
        [("a", 7.0, 17.0)],
        {"a": "train"},
    )
    (chunk,) = plan.chunks
    covered = chunk.targets[:, LABELS.names.index("ventilation")]
    # More than half of a 3 s window is covered from 1.75 s after the video's start on, up to 3.25 s.
    assert np.flatnonzero(covered).tolist() == list(range(7, 14))
    found, _ = windows(plan)
    assert found.targets[:, LABELS.names.index("ventilation")].tolist() == [s in (2, 3) for s in range(8)]


def test_long_chunks_are_cut_and_no_window_is_lost_or_there_twice():
    videos, extents = [video("a", seconds=120)], [("a", 0.0, 120.0)]
    whole = windows(planned(videos, [], extents, {"a": "train"}))[1]
    cut = planned(videos, [], extents, {"a": "train"}, max_chunk_mib=4)
    assert len(cut.chunks) > 3
    assert max(chunk.num_samples(SAMPLING) * SAMPLING.frame_bytes for chunk in cut.chunks) <= 4 * 2**20
    assert windows(cut)[1] == whole
    assert len({chunk.name for chunk in cut.chunks}) == len(cut.chunks)


def test_windows_whose_frames_are_not_all_there_are_left_out():
    plan = planned([video("a", seconds=10)], [], [("a", 0.0, 10.0)], {"a": "train"})
    whole = [np.arange(29) != 4]
    found = examples_of(plan.chunks, whole, "train", SAMPLING)
    assert found.start.tolist() == [0, 8, 12, 16, 20, 24, 28]


def test_splits_and_cases_follow_the_sidecar():
    plan = planned(
        [video("a/1"), video("a/2"), video("b/1"), video("c/1")],
        [],
        [(path, 0.0, 10.0) for path in ("a/1", "a/2", "b/1", "c/1")],
        {"A": "train", "B": "validation"},
        cases=cases_of({"a/1": "A", "a/2": "A", "b/1": "B", "c/1": "C"}),
    )
    assert [(chunk.path, chunk.split) for chunk in plan.chunks] == [
        ("a/1", "train"),
        ("a/2", "train"),
        ("b/1", "validation"),
    ]
    assert set(windows(plan)[0].cases.tolist()) == {0}


def test_videos_that_nobody_examined_and_unreadable_ones_are_noted():
    plan = planned(
        [video("a"), video("b"), bad_video("c")], [], [("a", 0.0, 10.0)], {"a": "train", "b": "train", "c": "train"}
    )
    assert [chunk.path for chunk in plan.chunks] == ["a"]
    assert "1 videos have no window inside the annotations' extents and are not used, such as 'b'." in plan.notes
    assert "1 files of the manifest are unreadable and are not used." in plan.notes


def test_a_part_without_a_window_is_refused():
    with pytest.raises(DataError, match="the validation split has no window"):
        planned([video("a"), video("b")], [], [("a", 0.0, 10.0)], {"a": "train", "b": "validation"})


def every_activity(paths, seconds):
    """All activities, each in the first seconds of videos of 40 s."""
    return [(path, name, 0.0, seconds) for path in paths for name in LABELS.names]


def examples(segments, parts):
    plan = planned([video(path, seconds=40) for path in parts], segments, [(path, 0.0, 40.0) for path in parts], parts)
    return [all_examples(plan.chunks, part, SAMPLING) for part in sorted(set(parts.values()))]


def test_an_activity_of_few_positives_is_refused_with_its_number_and_what_to_do():
    segments = [segment for segment in every_activity("ab", 20.0) if segment[1] != "suction"]
    (train,) = examples([*segments, ("a", "suction", 10.0, 13.5)], dict.fromkeys("ab", "train"))
    with pytest.raises(
        DataError,
        match=r"too little of suction \(3 positive windows\); expected at least 10 .* Annotate more .* label set",
    ):
        training_notes(train, LABELS, min_positive_windows=10)
    assert training_notes(train, LABELS, min_positive_windows=3) == [
        "A single case of those to train on shows suction: what is learned of it may be that case's looks."
    ]
    (without,) = examples(segments, dict.fromkeys("ab", "train"))
    with pytest.raises(DataError, match=r"suction \(0 positive windows\)"):
        training_notes(without, LABELS, min_positive_windows=1)


def test_a_single_case_to_validate_on_is_refused():
    parts = {"a": "train", "b": "validation"}
    _, validation = examples(every_activity("ab", 20.0), parts)
    with pytest.raises(DataError, match=r"windows of 1 case, too few cases for any validation; expected at least 2"):
        validation_notes(validation, LABELS, min_positive_windows=10)


def test_what_validation_shows_little_of_is_noted():
    parts = dict.fromkeys("bc", "validation")
    segments = [segment for segment in every_activity("bc", 20.0) if segment[1] not in ("suction", "stimulation")]
    (validation,) = examples([*segments, ("b", "suction", 10.0, 13.5)], parts)
    assert validation_notes(validation, LABELS, min_positive_windows=10) == [
        "No window of the validation split shows stimulation: no checkpoint is chosen by it.",
        "The validation split shows little of suction (3 positive windows): their figures and thresholds mean little.",
    ]
    (nothing,) = examples([], parts)
    with pytest.raises(DataError, match="no window of the validation split shows any of"):
        validation_notes(nothing, LABELS, min_positive_windows=10)


@pytest.mark.parametrize(
    ("segments", "extents", "message"),
    [
        ([("a", "suction", 8.0, 12.0)], [], "goes from 8.000 s to 12.000 s, the video from 0.000 s to 10.000 s"),
        ([], [("a", 0.0, 3600.0)], "an? extent goes from 0.000 s to 3600.000 s"),
        ([("a", "singing", 1.0, 2.0)], [], "annotations name singing"),
        ([("z", "suction", 1.0, 2.0)], [], "1 videos that are not in the manifest, such as 'z'"),
    ],
)
def test_annotations_that_cannot_be_true_are_refused(segments, extents, message):
    with pytest.raises(DataError, match=message):
        planned([video("a")], segments, [*extents, ("a", 0.0, 10.0)], {"a": "train"})


def test_seconds_that_were_read_as_milliseconds_are_refused_with_the_evidence():
    paths = [f"case-{n}" for n in range(3)]
    segments = [(path, "ventilation", 0.02, 0.118) for path in paths]  # 20 to 118 s, read as milliseconds
    with pytest.raises(
        DataError, match=r"of 120.000 s, the last one ends at 0.118 s.*Seconds that were read as milliseconds"
    ):
        planned(
            [video(path, seconds=120) for path in paths],
            segments,
            [(path, 0.0, 120.0) for path in paths],
            dict.fromkeys(paths, "train"),
        )


def test_a_single_video_whose_annotations_are_shorter_than_a_glance_is_refused():
    videos = [video(name, seconds=120) for name in "abc"]
    segments = [("a", "suction", 10, 40), ("b", "suction", 5, 30), ("c", "suction", 0.01, 0.04)]
    extents = [(name, 0, 120) for name in "abc"]
    with pytest.raises(
        DataError, match=r"all annotations of 1 of 3 videos .* in 'c', of 120.000 s, .* ends at 0.040 s"
    ):
        planned(videos, segments, extents, {"a": "train", "b": "validation", "c": "train"})
    early = [*segments[:2], ("c", "suction", 0.01, 0.5)]  # short, but somebody may have seen it
    assert planned(videos, early, extents, {"a": "train", "b": "validation", "c": "train"}).chunks


def test_two_annotators_of_one_video_are_not_mixed():
    with pytest.raises(
        DataError, match=r"1 videos, such as 'a', were annotated by several: other, somebody\..*annotator=NAME"
    ):
        planned(
            [video("a", seconds=20), video("b", seconds=20)],
            [("a", "suction", 1, 5), ("a", "suction", 1, 5, "other")],
            [("a", 0, 20), ("b", 0, 20)],
            {"a": "train", "b": "validation"},
        )


SCANNED = replace(video("a.mp4"), stream_index=0, clock=ClockKind.STEADY, measured_fps=25.0)


def chunk_names(row=SCANNED, **decode):
    plan = planned([row], [], [("a.mp4", 0, 9)], {"a.mp4": "train"}, decode=DecodeConfig(**decode))
    return {chunk.name for chunk in plan.chunks}


@pytest.mark.parametrize(
    "setting", [{"stream": 1}, {"raw_frames_per_second": 50.0}, {"restarts": "refuse"}, {"backend": "decord"}]
)
def test_frames_of_another_choice_of_the_decoder_are_stored_under_another_name(setting):
    assert not chunk_names() & chunk_names(**setting)


@pytest.mark.parametrize(
    "scanned", [{"stream_index": 1}, {"start_us": 5}, {"clock": ClockKind.NONE}, {"measured_fps": 50.0}]
)
def test_frames_of_a_video_that_was_scanned_otherwise_are_stored_under_another_name(scanned):
    assert not chunk_names() & chunk_names(replace(SCANNED, **scanned))


def test_what_changes_no_frame_changes_no_name():
    assert chunk_names() == chunk_names(threads=4, timeout_seconds=9.0, max_damaged_fraction=0.1)
