import numpy as np
import pyarrow as pa
import pytest

from nrray.plan import Packing, plan_units
from nrray.results.coverage_table import COVERAGE_SCHEMA, coverage_rows, unreadable_rows
from nrray.results.segments import SegmentRule
from nrray.results.version_tables import LABEL_SCHEMA, SEGMENT_SCHEMA, answer_rows, label_rows, segment_rows
from nrray.sampling import Sampling
from nrray.types import STATE_INDEX, LabelState
from tests.made_tables import ACTIVITIES, bad_video, manifest, unit_results, video


def made(*, activities=ACTIVITIES, seconds=(10.0, 7.0), start_us=0, **outcome):
    videos = [video(f"v{index}.mp4", seconds=value, start_us=start_us) for index, value in enumerate(seconds)]
    units = plan_units(manifest(*videos), Sampling(), Packing(max_unit_windows=3)).units
    results = unit_results(units, videos, Sampling(), activities=activities, **outcome)
    return results, {item.video_id: item.path for item in videos}


def labels_of(results, paths, rethreshold=None, activities=ACTIVITIES):
    return label_rows(results, paths=paths, activities=activities, source="model:x", rethreshold=rethreshold)


def test_labels_have_one_row_per_labelled_window_and_activity():
    results, paths = made()
    labels = labels_of(results, paths)
    assert labels.schema == LABEL_SCHEMA
    rows = labels.to_pylist()
    keys = {(row["video_id"], row["start_us"], row["activity"]) for row in rows}
    assert len(keys) == len(rows) == (8 + 5) * len(ACTIVITIES)
    assert {row["path"] for row in rows} == {"v0.mp4", "v1.mp4"}


def test_scores_stay_with_their_activity():
    results, paths = made(activities=("a", "b"), seconds=(5.0,))
    column = pa.array([[0.1, 0.9] * count for count in results["num_windows"].to_pylist()], pa.list_(pa.float32()))
    results = results.set_column(results.column_names.index("scores"), "scores", column)
    labels = labels_of(results, paths, activities=("a", "b")).to_pylist()
    assert {(row["activity"], round(row["score"], 3)) for row in labels} == {("a", 0.1), ("b", 0.9)}


def test_answers_stay_with_their_window():
    results, paths = made(activities=("a", "b"), seconds=(5.0, 4.0))
    answers = [
        [f"{unit}.{index}" for index in range(2 * count)] if position % 2 else None
        for position, (unit, count) in enumerate(
            zip(results["unit_id"].to_pylist(), results["num_windows"].to_pylist(), strict=True)
        )
    ]
    results = results.set_column(
        results.column_names.index("answers"), "answers", pa.array(answers, pa.list_(pa.string()))
    )
    found = labels_of(results, paths, activities=("a", "b"))["answer"].to_pylist()
    expected = [
        answer
        for row, count in zip(answers, results["num_windows"].to_pylist(), strict=True)
        for answer in (row or [None] * 2 * count)
    ]
    assert found == expected


def test_windows_without_labels_have_no_label_row():
    results, paths = made(status="failed")
    assert labels_of(results, paths).num_rows == 0


def test_states_may_be_decided_anew_from_scores():
    results, paths = made()
    suction = list(ACTIVITIES).index("suction")

    def rethreshold(scores, states):
        assert scores.shape == states.shape == (8 + 5, len(ACTIVITIES))
        decided = states.copy()
        decided[:, suction] = np.where(
            scores[:, suction] >= 0.25, STATE_INDEX[LabelState.PRESENT], STATE_INDEX[LabelState.ABSENT]
        )
        return decided

    for row in labels_of(results, paths, rethreshold).to_pylist():
        limit = 0.25 if row["activity"] == "suction" else 0.5
        assert row["state"] == ("present" if row["score"] >= limit else "absent")


@pytest.mark.parametrize(("status", "expected"), [("ok", "ok"), ("failed", "failed"), ("quarantined", "quarantined")])
def test_coverage_says_what_became_of_every_window(status, expected):
    results, paths = made(status=status)
    coverage = coverage_rows(results, paths=paths, source="model:x")
    assert coverage.schema == COVERAGE_SCHEMA
    rows = coverage.to_pylist()
    assert len(rows) == 8 + 5
    assert {row["status"] for row in rows} == {expected}
    assert {row["error_kind"] for row in rows} == {None if status == "ok" else "decode_failed"}
    assert {row["reason"] for row in rows} == {None if status == "ok" else "it broke"}


def test_an_unlabelled_window_of_a_good_unit_is_failed_with_the_units_shortfall():
    results, paths = made(labelled=False)
    results = results.set_column(
        results.column_names.index("shortfall"), "shortfall", pa.array(["ended early"] * results.num_rows)
    )
    rows = coverage_rows(results, paths=paths, source="model:x").to_pylist()
    assert {(row["status"], row["error_kind"], row["reason"]) for row in rows} == {
        ("failed", "decode_failed", "ended early")
    }


def test_labels_and_coverage_partition_the_windows():
    results, paths = made()
    half = [[index % 2 == 0 for index in range(count)] for count in results["num_windows"].to_pylist()]
    results = results.set_column(
        results.column_names.index("window_labelled"), "window_labelled", pa.array(half, pa.list_(pa.bool_()))
    )
    labels = labels_of(results, paths).to_pylist()
    coverage = coverage_rows(results, paths=paths, source="model:x").to_pylist()
    ok = {(row["video_id"], row["start_us"]) for row in coverage if row["status"] == "ok"}
    assert {(row["video_id"], row["start_us"]) for row in labels} == ok
    assert 0 < len(ok) < len(coverage)


def test_no_result_gives_empty_tables():
    results, paths = made()
    none = results.slice(0, 0)
    labels = labels_of(none, paths)
    assert labels.num_rows == coverage_rows(none, paths=paths, source="m").num_rows == 0
    found = segment_rows(labels, paths=paths, activities=ACTIVITIES, rule=SegmentRule(), source="m")
    assert found.num_rows == 0
    assert found.schema == SEGMENT_SCHEMA


def test_unreadable_files_have_a_coverage_row_without_time():
    rows = unreadable_rows(manifest(bad_video("broken.mp4")), source="model:x").to_pylist()
    assert [(row["path"], row["start_us"], row["end_us"], row["status"], row["error_kind"]) for row in rows] == [
        ("broken.mp4", None, None, "failed", "empty")
    ]


def segments_of(labels, paths):
    return segment_rows(
        labels, paths=paths, activities=ACTIVITIES, rule=SegmentRule(min_length_seconds=0), source="model:x"
    )


def test_segments_are_sorted_and_lie_in_their_video():
    results, paths = made(seconds=(30.0, 20.0, 9.0), start_us=1_400_000)
    segments = segments_of(labels_of(results, paths), paths)
    assert segments.schema == SEGMENT_SCHEMA
    rows = segments.to_pylist()
    keys = [(row["video_id"], row["start_us"], row["activity"]) for row in rows]
    assert keys == sorted(keys)
    assert len(rows) == 3 * len(ACTIVITIES)
    assert all(row["start_us"] >= 1_400_000 for row in rows)
    assert {row["origin"] for row in rows} == {"model"}


def test_segments_of_a_table_that_was_read_back_are_the_same():
    results, paths = made(seconds=(30.0, 20.0))
    scores = [
        [0.9 if (index + position) % 4 == 1 else 0.1 for index in range(len(row))]
        for position, row in enumerate(results["scores"].to_pylist())
    ]
    states = [[STATE_INDEX[LabelState.PRESENT if v > 0.5 else LabelState.ABSENT] for v in row] for row in scores]
    results = results.set_column(
        results.column_names.index("scores"), "scores", pa.array(scores, pa.list_(pa.float32()))
    )
    results = results.set_column(results.column_names.index("states"), "states", pa.array(states, pa.list_(pa.uint8())))
    labels = labels_of(results, paths)
    backwards = labels.take(pa.array(np.arange(labels.num_rows)[::-1].copy()))
    plain = {name: backwards[name].cast(pa.string()) for name in ("video_id", "path", "activity", "state", "source")}
    for name, column in plain.items():
        backwards = backwards.set_column(backwards.column_names.index(name), name, column.dictionary_encode())
    assert segments_of(backwards, paths).to_pylist() == segments_of(labels, paths).to_pylist()


def test_answers_are_rows_by_question_and_a_label_has_the_one_about_its_activity():
    results, paths = made(activities=("a", "b"), seconds=(3.0, 3.0))
    rows = results.to_pylist()
    for number, row in enumerate(rows):
        row["questions"] = ["b", "all", "b#2"] if number else None  # the first one is of a release that named none
        count = row["num_windows"]
        texts = [f"b{number}", f"all{number}", f"again{number}"] if number else [f"a{number}", f"b{number}"]
        row["answers"] = texts * count
        for name, values in (
            ("answer_states", [0, 255, 3]),
            ("answer_tokens", [1, 2, 3]),
            ("answer_seconds", [1, 2, 3]),
        ):
            row[name] = values * count if number else None
    results = pa.Table.from_pylist(rows, results.schema)
    labels = labels_of(results, paths, activities=("a", "b")).to_pylist()
    assert [(row["path"], row["activity"], row["answer"]) for row in labels] == [
        ("v0.mp4", "a", "a0"),
        ("v0.mp4", "b", "b0"),
        ("v1.mp4", "a", "all1"),
        ("v1.mp4", "b", "b1"),
    ]
    found = answer_rows(results, paths=paths, source="model").to_pylist()
    columns = ("path", "start_us", "end_us", "question", "answer", "state", "num_tokens", "seconds", "source")
    assert [tuple(row[name] for name in columns) for row in found] == [
        ("v1.mp4", 0, 3_000_000, "b", "b1", "present", 1, 1.0, "model"),
        ("v1.mp4", 0, 3_000_000, "all", "all1", None, 2, 2.0, "model"),
        ("v1.mp4", 0, 3_000_000, "b#2", "again1", "unparsed", 3, 3.0, "model"),
    ]


def test_windows_of_damaged_pictures_are_degraded_and_say_how_many():
    results, paths = made(seconds=(5.0,))
    counts = results["num_windows"].to_pylist()
    damage = [[2, 0, 1] + [0, 4, 0] * (counts[0] - 1)] + [None] * (len(counts) - 1)
    results = results.set_column(
        results.column_names.index("window_damage"), "window_damage", pa.array(damage, pa.list_(pa.int32()))
    )
    rows = coverage_rows(results, paths=paths, source="model:x").to_pylist()
    assert [row["status"] for row in rows] == ["degraded"] + ["ok"] * (sum(counts) - 1)
    assert rows[0]["reason"] == "damaged pictures: 2 concealed, 1 repeated"
    assert [row["num_dropped"] for row in rows[: counts[0]]] == [0] + [4] * (counts[0] - 1)
    assert (rows[0]["num_concealed"], rows[0]["num_repeated"], rows[-1]["num_concealed"]) == (2, 1, 0)
