"""A model's domain: a video is as far as its median window, and nothing is claimed of one that is outside."""

import numpy as np
import pyarrow as pa
import pytest

from nrray.plan import Packing, plan_units
from nrray.results.domain import (
    OUTSIDE_MARK,
    DomainRecord,
    DomainRule,
    OutsideDomain,
    domain_of,
    median_distances,
    unit_medians,
)
from nrray.results.ledger import Ledger
from nrray.results.ledger_tables import ledger_tables
from nrray.results.publish import write_version
from nrray.results.segments import SegmentRule
from nrray.results.version import PublishedState
from nrray.sampling import Sampling
from nrray.storage import Folder
from tests.made_tables import ACTIVITIES, manifest, unit_results, video
from tests.made_versions import provenance

NEAR, FAR = "near.mp4", "far.mp4"
VIDEOS = [video(NEAR, seconds=10.0), video(FAR, seconds=10.0)]
UNITS = plan_units(manifest(*VIDEOS), Sampling(), Packing(max_unit_windows=3)).units


def rule(outside=OutsideDomain.NOT_ASSESSABLE):
    return DomainRule(model="tiny", far=1.2, outside=outside)


def with_distances(results):
    """Single windows of either video are on the other side; their medians are not."""
    rows = results.to_pylist()
    for row in rows:
        count = row["num_windows"]
        values = np.full(count, 1.0 if row["video_id"] == f"id-{NEAR}" else 1.4, np.float32)
        values[0] = 2.4 - values[0]
        row["looks_distances"] = values
    return pa.Table.from_pylist(rows, results.schema)


def published(folder, outside=OutsideDomain.NOT_ASSESSABLE, results=None):
    output = Folder(str(folder))
    ledger = Ledger(output)
    output.create()
    ledger.create()
    ledger.append(with_distances(unit_results(UNITS, VIDEOS, Sampling(), score=0.9)) if results is None else results)
    state = PublishedState(
        units={}, ledger_rows=3, attempts=3, videos="v", segment_rule=SegmentRule(), domain_rule=rule(outside)
    )
    tables = ledger_tables(
        ledger,
        manifest=manifest(*VIDEOS),
        units=UNITS,
        index=ledger.index(),
        sampling=Sampling(),
        activities=ACTIVITIES,
        rule=SegmentRule(),
        source="model:x",
        domain_rule=rule(outside),
    )
    return write_version(output, provenance(state=state), tables)


def rows_by_path(version, table):
    found = {NEAR: [], FAR: []}
    for row in version.folder.read_table(f"{table}.parquet").to_pylist():
        found[row["path"]].append(row)
    return found


def test_a_video_is_as_far_as_its_median_window_and_unknown_ones_do_not_count():
    ids = pa.array(["a", "b", "a", "a", "c", "b"]).dictionary_encode()
    distances = pa.array([1.0, 3.0, 5.0, 2.0, None, float("nan")], pa.float32())
    assert median_distances(ids, distances) == {"a": 2.0, "b": 3.0}


def test_units_of_a_release_before_have_no_distance():
    results = unit_results(UNITS, VIDEOS, Sampling())
    assert unit_medians(results) == {}
    assert domain_of({}, None) is None
    assert domain_of({"a": 1.2, "b": 1.19}, rule()).outside == {"a": 1.2}


def test_nothing_is_claimed_of_a_video_outside_and_coverage_says_why(tmp_path):
    version = published(tmp_path)
    labels, coverage = rows_by_path(version, "labels"), rows_by_path(version, "coverage")
    assert {row["state"] for row in labels[NEAR]} == {"present"}
    assert {(row["state"], row["score"]) for row in labels[FAR]} == {("not_assessable", None)}
    assert len(labels[FAR]) == len(labels[NEAR])
    assert {row["path"] for row in version.folder.read_table("segments.parquet").to_pylist()} == {NEAR}
    assert {(row["status"], row["error_kind"]) for row in coverage[NEAR]} == {("ok", None)}
    assert {(row["status"], row["error_kind"]) for row in coverage[FAR]} == {("not_assessable", "outside_domain")}
    assert {row["reason"] for row in coverage[FAR]} == {
        "the video looks 1.40 times as far from what the model was trained on as that itself (outside from 1.20 on)"
    }
    assert sorted({round(row["looks_distance"], 1) for row in coverage[FAR]}) == [1.0, 1.4]


def test_a_video_that_is_labelled_all_the_same_is_marked_in_every_table(tmp_path):
    version = published(tmp_path, OutsideDomain.LABEL)
    for table in ("labels", "segments", "coverage"):
        rows = rows_by_path(version, table)
        assert {row["source"] for row in rows[NEAR]} == {"model:x"}
        assert {row["source"] for row in rows[FAR]} == {f"model:x{OUTSIDE_MARK}"}
    assert {row["status"] for row in rows_by_path(version, "coverage")[FAR]} == {"ok"}


@pytest.mark.parametrize("outside", list(OutsideDomain))
def test_the_record_says_how_many_videos_are_outside_and_what_became_of_them(tmp_path, outside):
    version = published(tmp_path, outside)
    assert version.record.domain == DomainRecord(
        **rule(outside).model_dump(), num_videos=2, num_outside=1, farthest=1.4, farthest_path=FAR
    )
    said = version.record.domain.sentence()
    assert "1 of 2 videos are unlike those that tiny was trained on" in said
    assert f"{FAR}: 1.40" in said
    assert ("not assessable" in said) is (outside is OutsideDomain.NOT_ASSESSABLE)


def test_labels_are_counted_by_activity_and_state(tmp_path):
    counts = published(tmp_path).record.states
    assert tuple(counts) == ACTIVITIES
    num = sum(unit["num_windows"] for unit in UNITS.to_pylist()) // 2
    assert counts["suction"] == {"present": num, "not_assessable": num}


def test_the_most_frequent_answers_that_could_not_be_parsed_are_kept(tmp_path):
    rows = unit_results(UNITS, VIDEOS, Sampling(), score=0.9).to_pylist()
    for row in rows:
        count = row["num_windows"] * len(ACTIVITIES)
        is_last = np.arange(count) == count - 1
        row["states"] = np.where(is_last, 0, 3).astype(np.uint8)
        row["answers"] = ["yes" if last else ("maybe" if place else "perhaps") for place, last in enumerate(is_last)]
    results = pa.Table.from_pylist(rows, unit_results(UNITS, VIDEOS, Sampling()).schema)
    record = published(tmp_path, results=results).record
    labels = sum(row["num_windows"] for row in rows) * len(ACTIVITIES)
    assert record.unparsed_answers == ("maybe", "perhaps")
    assert record.unparsed_share == pytest.approx(1 - len(rows) / labels)
