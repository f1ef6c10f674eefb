import hashlib
import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrray.console.reporter import Reporter
from nrray.errors import DataError, StorageError
from nrray.evaluate.labelling import read_labelling
from nrray.formats.exporting import export_annotations
from nrray.formats.options import ExportConfig, Format
from nrray.pipelines.relabel.status import output_status, report_status
from nrray.plan import Packing, plan_units
from nrray.report import draw_version_timelines
from nrray.results import ledger_tables as grouping
from nrray.results.ledger import Ledger
from nrray.results.ledger_tables import ledger_tables
from nrray.results.publish import VersionTables, write_version
from nrray.results.segments import SegmentRule
from nrray.results.version import VersionKind, read_version_record, version_names
from nrray.sampling import Sampling
from nrray.storage import Folder
from nrray.tables import table_from_rows
from nrray.types import Origin, Segment, Video
from tests.made_tables import ACTIVITIES, bad_video, manifest, unit_results, video
from tests.made_versions import merge_provenance, provenance, write_record
from tests.test_storage import mounted_tmpfs

VIDEOS = [video(f"case{index}/overhead.mp4", seconds=10.0 + index) for index in range(4)]
BAD = [bad_video("broken.mp4"), bad_video("empty.mp4")]
TABLES = ("labels.parquet", "segments.parquet", "coverage.parquet")


class Archive:
    """An output folder, its plan, and what units came to."""

    def __init__(self, folder: Folder, videos=VIDEOS, bad=BAD) -> None:
        self.output = folder
        self.videos = list(videos)
        self.manifest = manifest(*videos, *bad)
        self.units = plan_units(self.manifest, Sampling(), Packing(max_unit_windows=4)).units
        self.ledger = Ledger(folder)
        self.output.create()
        self.ledger.create()

    def settle(self, positions, **outcome):
        units = self.units.take(pa.array(positions, pa.int64()))
        self.ledger.append(unit_results(units, self.videos, Sampling(), **outcome))

    def publish(self):
        return write_version(self.output, provenance(), self.tables())

    def tables(self):
        return ledger_tables(
            self.ledger,
            manifest=self.manifest,
            units=self.units,
            index=self.ledger.index(),
            sampling=Sampling(),
            activities=ACTIVITIES,
            rule=SegmentRule(),
            source="model:x",
        )


@pytest.fixture
def archive(tmp_path):
    return Archive(Folder(str(tmp_path / "out")))


def rows_of(published, table):
    return published.folder.read_table(f"{table}.parquet").to_pylist()


def test_every_planned_window_and_unreadable_file_has_one_coverage_row(archive):
    archive.settle([0, 3, 4])
    archive.settle([1], status="failed")
    archive.settle([2], status="quarantined")
    published = archive.publish()
    rows = rows_of(published, "coverage")
    windows = archive.units["num_windows"].to_pylist()
    timed = [row for row in rows if row["start_us"] is not None]
    assert len({(row["video_id"], row["start_us"]) for row in timed}) == len(timed) == sum(windows)
    assert published.num_windows == Counter(row["status"] for row in timed)
    assert published.num_windows == {
        "ok": windows[0] + windows[3] + windows[4],
        "failed": windows[1],
        "quarantined": windows[2],
        "not_run": sum(windows[5:]),
    }
    unread = [row for row in rows if row["start_us"] is None]
    assert [(row["path"], row["status"], row["error_kind"]) for row in unread] == [
        ("broken.mp4", "failed", "empty"),
        ("empty.mp4", "failed", "empty"),
    ]


def test_labels_are_of_ok_windows_only(archive):
    archive.settle([0, 5])
    archive.settle([1], status="failed")
    published = archive.publish()
    ok = {(row["video_id"], row["start_us"]) for row in rows_of(published, "coverage") if row["status"] == "ok"}
    labels = rows_of(published, "labels")
    assert {(row["video_id"], row["start_us"]) for row in labels} == ok
    assert len(labels) == len(ok) * len(ACTIVITIES) == published.num_labels


def test_an_empty_ledger_publishes_that_nothing_was_run(archive):
    published = archive.publish()
    assert published.num_windows == {"not_run": sum(archive.units["num_windows"].to_pylist())}
    assert published.num_labels == published.num_segments == 0


def test_an_archive_of_bad_files_only_is_published(tmp_path):
    published = Archive(Folder(str(tmp_path)), videos=[]).publish()
    assert [row["path"] for row in rows_of(published, "coverage")] == ["broken.mp4", "empty.mp4"]


def test_the_document_says_what_the_tables_hold(archive):
    archive.settle(range(archive.units.num_rows))
    published = archive.publish()
    document = published.folder.read_json("run.json")
    assert document["rows"] == {name: published.folder.read_table(name).num_rows for name in TABLES}
    assert document["windows"] == published.num_windows
    assert document["unreadable_files"] == 2
    assert document["activities"] == list(ACTIVITIES)
    assert document["run_id"] == "r"


def test_versions_increase_and_old_ones_stay_as_they_were(archive):
    archive.settle([0])
    first = archive.publish()
    digest = {name: hashlib.sha256(first.folder.read_bytes(name)).hexdigest() for name in first.folder.names()}
    archive.settle([1, 2])
    second = archive.publish()
    assert version_names(archive.output) == ["v0001", "v0002"] == [first.name, second.name]
    assert digest == {name: hashlib.sha256(first.folder.read_bytes(name)).hexdigest() for name in digest}
    assert (archive.output / "latest").read_json("run.json")["version"] == "v0002"


def test_versions_are_in_order_beyond_four_digits(archive):
    for name in ("v9999", "v10000", "notes"):
        write_record(archive.output / "versions" / name)
    assert version_names(archive.output) == ["v9999", "v10000"]
    assert archive.publish().name == "v10001"


def test_a_version_without_its_document_does_not_exist(archive):
    half = archive.output / "versions" / "v0001"
    half.create()
    half.write_bytes("labels.parquet", b"half")
    assert version_names(archive.output) == []


class _Killed(BaseException):
    pass


def test_a_crash_while_publishing_leaves_no_version_and_the_next_run_succeeds(archive, monkeypatch):
    archive.settle([0, 1])

    def killed(*args, **kwargs):
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(grouping, "segment_rows", killed)
        with pytest.raises(_Killed):
            archive.publish()
    assert version_names(archive.output) == []
    assert os.listdir(archive.output.path("versions")) == []
    assert archive.publish().name == "v0001"


def test_what_a_killed_publisher_left_is_cleared_by_the_next(archive):
    left = archive.output / "versions" / ".tmp-left"
    left.create()
    left.write_bytes("labels.parquet", b"half")
    archive.publish()
    assert os.listdir(archive.output.path("versions")) == ["v0001"]


def test_a_disk_that_fills_up_while_publishing_leaves_no_version(tmp_path):
    with mounted_tmpfs(tmp_path / "small", kib=128):
        archive = Archive(Folder(str(tmp_path / "small")))
        archive.settle([0, 1])
        used = sum(file.stat().st_size for file in (tmp_path / "small").rglob("*") if file.is_file())
        archive.output.write_bytes("ballast", os.urandom(128 * 1024 - used - 16 * 1024))
        with pytest.raises(StorageError, match="no space is left"):
            archive.publish()
        assert os.listdir(tmp_path / "small" / "versions") == []
        archive.output.remove("ballast")
        assert archive.publish().name == "v0001"


def test_files_of_a_version_are_private(archive):
    published = archive.publish()
    for name in (*TABLES, "run.json"):
        assert os.stat(published.folder.path(name)).st_mode & 0o777 == 0o600
    assert os.stat(published.folder.path()).st_mode & 0o777 == 0o700


def plain_rows(published, table):
    return [str(row) for row in rows_of(published, table)]


def all_rows(published):
    return {name: plain_rows(published, name) for name in ("labels", "segments", "coverage")}


@settings(max_examples=10)
@given(st.integers(1, 60))
def test_group_boundaries_do_not_show(tmp_path_factory, group_windows):
    tables = {}
    for size in (10**9, group_windows):
        archive = Archive(Folder(str(tmp_path_factory.mktemp("out"))))
        archive.settle([0, 2, 3, 6, 7, 9])
        archive.settle([1, 8], status="failed")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(grouping, "GROUP_WINDOWS", size)
            published = archive.publish()
        tables[size] = {name: sorted(plain_rows(published, name)) for name in ("labels", "segments", "coverage")}
    assert tables[10**9] == tables[group_windows]


def test_videos_that_share_a_path_prefix_and_huge_names_are_kept_apart(tmp_path):
    names = ["a" * 4000 + ".mp4", "a" * 4001 + ".mp4", "日本語 $x$\n.mp4", "a.mp4", "a.mp4/a.mp4"]
    archive = Archive(Folder(str(tmp_path)), videos=[video(name) for name in names], bad=[])
    archive.settle(range(archive.units.num_rows))
    published = archive.publish()
    assert {row["path"] for row in rows_of(published, "labels")} == set(names)


def test_tables_are_read_by_plain_parquet_readers_with_their_schema_version(archive):
    archive.settle(range(archive.units.num_rows))
    published = archive.publish()
    for name in TABLES:
        table = pq.read_table(published.folder.path(name))
        assert set(table["schema_version"].to_pylist()) == {2 if name == "coverage.parquet" else 1}


def test_a_version_on_an_object_store_is_the_same(archive, tmp_path):
    remote = Archive(Folder(f"memory://{tmp_path.name}-publish"))
    for one in (archive, remote):
        one.settle([0, 1, 5])
    here, there = archive.publish(), remote.publish()
    assert version_names(remote.output) == ["v0001"]
    for table in ("labels", "segments", "coverage"):
        assert plain_rows(here, table) == plain_rows(there, table)
    assert remote.publish().name == "v0002"


def test_a_grown_archive_keeps_the_rows_of_old_videos(tmp_path):
    before = Archive(Folder(str(tmp_path)), videos=VIDEOS[:2])
    before.settle(range(before.units.num_rows))
    old = rows_of(before.publish(), "labels")
    after = Archive(Folder(str(tmp_path)))
    new = rows_of(after.publish(), "labels")
    assert [row for row in new if row["path"] in {item.path for item in VIDEOS[:2]}] == old


def as_merged(group, *, source="anna"):
    """The group with the first second of every video claimed for suction by a person, who took all other segments out."""
    coverage = group.coverage.filter(pc.is_valid(group.coverage["start_us"]))
    ids = coverage.group_by(["video_id", "path"]).aggregate([("start_us", "min")]).to_pylist()
    rows = [
        {
            "video_id": row["video_id"],
            "path": row["path"],
            "activity": "suction",
            "start_us": row["start_us_min"],
            "end_us": row["start_us_min"] + 1_000_000,
            "score": None,
            "source": source,
            "origin": "human_edited_model",
            "schema_version": 1,
        }
        for row in ids
    ]
    segments = pa.Table.from_pylist(rows, group.segments.schema)
    return VersionTables(labels=group.labels, segments=segments, coverage=group.coverage)


@pytest.fixture
def merged(archive, tmp_path):
    """A version that corrects v0001 of a run, in an output that has no ledger."""
    archive.settle([0, 3, 4])
    archive.settle([1], status="failed")
    relabelled = archive.publish()
    parent = relabelled.folder.path()
    return write_version(
        Folder(str(tmp_path / "merged")), merge_provenance(parent), (as_merged(group) for group in archive.tables())
    )


def test_a_merged_version_needs_no_ledger(merged):
    output = Path(merged.folder.path()).parents[1]
    assert sorted(os.listdir(output)) == ["latest", "versions"]
    record = read_version_record(Folder(str(output / "latest")))
    assert (record.version, record.kind, record.state) == ("v0001", VersionKind.MERGE, None)
    assert record.rows["segments.parquet"] == len(VIDEOS) == merged.num_segments
    assert merged.folder.read_table("coverage.parquet").num_rows == record.rows["coverage.parquet"]
    assert record.unreadable_files == len(BAD)
    assert os.stat(output).st_mode & 0o777 == os.stat(output / "versions").st_mode & 0o777 == 0o700


def test_a_merged_version_is_measured_as_any_other(merged):
    labelling = read_labelling(str(Path(merged.folder.path()).parents[1]), activities=ACTIVITIES)
    assert len(labelling.segments["suction"].start_us) == len(VIDEOS)
    assert not len(labelling.segments["ventilation"].start_us)
    assert labelling.windows is not None


def test_a_merged_version_is_exported_as_any_other(merged, tmp_path):
    output = str(Path(merged.folder.path()).parents[1])
    exported = export_annotations(
        ExportConfig(input=output, format=Format.DELIMITED, output=str(tmp_path / "exported"))
    )
    assert exported.num_segments == len(VIDEOS)
    assert "anna" in (tmp_path / "exported" / exported.files[0]).read_text()


def test_a_merged_version_has_pictures_as_any_other(merged, tmp_path):
    assert len(drawn(merged, tmp_path)) == len(VIDEOS)


def test_the_status_of_a_merged_version_names_its_kind(merged, capsys):
    status = output_status(Folder(str(Path(merged.folder.path()).parents[1])))
    report_status(status, Reporter())
    assert f"Label versions: v0001 (merge of {merged.record.parents[0]})" in capsys.readouterr().out.replace("\n", " ")
    assert status.document()["versions"] == ["v0001"]
    assert status.document()["planned"] == status.document()["counts"] == {}
    assert {file.path for file in status.not_labelled} >= {video.path for video in BAD}


def test_the_status_of_a_run_under_a_merged_version_tells_whose_plan_it_counts(archive, capsys):
    archive.publish()
    write_version(archive.output, merge_provenance("v0001"), archive.tables())
    report_status(output_status(archive.output), Reporter())
    said = "Label versions: v0001, v0002 (merge of v0001); of v0001's plan: 1 not run, 3 ok units"
    assert said in capsys.readouterr().out.replace("\n", " ")


def test_a_version_of_a_run_leaves_a_merged_one_the_latest(archive):
    archive.publish()
    write_version(archive.output, merge_provenance("v0001"), archive.tables())
    assert archive.publish().name == "v0003"
    assert os.readlink(archive.output.path("latest")) == "versions/v0002"
    write_version(archive.output, merge_provenance("v0002", "v0003"), archive.tables())
    assert os.readlink(archive.output.path("latest")) == "versions/v0004"


def test_rows_are_sorted_whatever_order_they_come_in(archive):
    archive.settle(range(archive.units.num_rows))
    (bad, group) = archive.tables()
    mixed = [table.take(list(range(table.num_rows))[::-1]) for table in (group.labels, group.segments, group.coverage)]
    tables = VersionTables(**dict(zip(("labels", "segments", "coverage"), mixed, strict=True)))
    assert all_rows(write_version(archive.output, provenance(), [bad, tables])) == all_rows(archive.publish())


def test_a_video_in_two_groups_is_refused_and_nothing_is_left(archive):
    archive.settle([0])
    with pytest.raises(DataError, match="stands in two groups"):
        write_version(archive.output, provenance(), [*archive.tables(), *archive.tables()])
    assert os.listdir(archive.output.path("versions")) == []


def test_segments_of_time_that_nobody_looked_at_are_refused(archive):
    archive.settle(range(archive.units.num_rows))
    _, group = archive.tables()
    bare = VersionTables(labels=group.labels, segments=group.segments, coverage=group.coverage.slice(0, 0))
    with pytest.raises(DataError, match="no coverage rows"):
        write_version(archive.output, provenance(), [bare])


def test_nothing_is_published_over_a_version_whose_record_is_damaged(archive):
    published = archive.publish()
    published.folder.write_bytes("run.json", b"{}")
    with pytest.raises(DataError, match=r"run\.json of .*/v0001 lacks"):
        archive.publish()
    assert version_names(archive.output) == ["v0001"]


def drawn(published, tmp_path, **arguments):
    settings = {"reference": None, "max_pictures": 100, **arguments}
    return draw_version_timelines(published.folder.path(), tmp_path / "timelines", **settings)


def test_every_readable_video_has_a_picture_in_order_of_path(archive, tmp_path):
    archive.settle([0, 1, 5])
    paths = drawn(archive.publish(), tmp_path)
    assert paths == [str(tmp_path / "timelines" / f"{number:04d}-overhead.png") for number in range(1, 5)]
    for path in paths:
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert Path(path).read_bytes().startswith(b"\x89PNG")


def test_only_so_many_pictures_are_drawn(archive, tmp_path):
    assert len(drawn(archive.publish(), tmp_path, max_pictures=2)) == 2


@pytest.mark.parametrize("group_windows", [1, 13, 10**9])
def test_pictures_do_not_depend_on_how_videos_were_grouped(archive, tmp_path, monkeypatch, group_windows):
    archive.settle([0, 1, 3, 4, 5, 8, 9])
    contents = []
    for size in (10**9, group_windows):
        monkeypatch.setattr(grouping, "GROUP_WINDOWS", size)
        contents.append([Path(path).read_bytes() for path in drawn(archive.publish(), tmp_path)])
    assert contents[0] == contents[1]
    assert len(contents[0]) == 4


def test_a_reference_changes_the_picture_of_its_video_only(archive, tmp_path):
    archive.settle(range(archive.units.num_rows))
    published = archive.publish()
    pictures = {}
    for name, path in (("first", VIDEOS[0].path), ("second", VIDEOS[1].path)):
        there = {"activity": "suction", "start_us": 0, "end_us": 5_000_000}
        table = table_from_rows([Segment(path=path, **there, source="simulation", origin=Origin.SIMULATED)], Segment)
        pictures[name] = [Path(path).read_bytes() for path in drawn(published, tmp_path, reference=table)]
    same = [a == b for a, b in zip(pictures["first"], pictures["second"], strict=True)]
    assert same == [False, False, True, True]


def test_pictures_of_names_from_strangers_have_safe_names(tmp_path):
    names = ["../../etc/passwd", "日本.mp4", "a" * 300 + ".mp4", "x/$(rm -rf).mp4", "Ünï.mp4", "same.mp4", "d/same.mp4"]
    videos: list[Video] = [video(name) for name in names]
    archive = Archive(Folder(str(tmp_path / "out")), videos=videos, bad=[])
    paths = drawn(archive.publish(), tmp_path)
    found = [os.path.relpath(path, tmp_path / "timelines") for path in paths]
    assert len(set(found)) == len(names)
    assert all(len(name) < 80 and name.isascii() and "/" not in name and " " not in name for name in found)


def rewritten(published, name, change):
    """The version's table after `change`, as somebody else's tool might leave it."""
    path = published.folder.path(name)
    pq.write_table(change(pq.read_table(path)), path)
    return published


def test_tables_in_another_order_are_refused_not_drawn_as_silence(archive, tmp_path):
    archive.settle(range(archive.units.num_rows))
    published = rewritten(
        archive.publish(), "labels.parquet", lambda table: table.take(list(range(table.num_rows))[::-1])
    )
    with pytest.raises(DataError, match="not in the order"):
        drawn(published, tmp_path)


def test_a_version_with_a_damaged_table_is_refused_by_name(archive, tmp_path):
    published = archive.publish()
    Path(published.folder.path("labels.parquet")).write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"labels\.parquet"):
        drawn(published, tmp_path)


def test_the_order_of_segments_does_not_change_a_picture(archive, tmp_path):
    archive.settle(range(archive.units.num_rows))
    published = archive.publish()
    before = [Path(path).read_bytes() for path in drawn(published, tmp_path)]
    rewritten(published, "segments.parquet", lambda table: table.take(list(range(table.num_rows))[::-1]))
    assert [Path(path).read_bytes() for path in drawn(published, tmp_path)] == before
