import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrray.errors import DataError, OutputBusyError, StorageError
from nrray.plan import Packing, plan_units
from nrray.results.ledger import (
    RESULT_SCHEMA,
    Ledger,
    LedgerWriter,
    missing_units,
    unit_counts,
)
from nrray.sampling import Sampling
from nrray.storage import Folder
from nrray.tables import rows_from_table
from nrray.types import UnitResult
from nrray.writer_lock import WriterLock, is_locked, owner_text
from tests import object_store  # noqa: F401  for URIs objects://
from tests.made_tables import manifest, unit_results, video

VIDEOS = [video(f"v{index}.mp4", seconds=12.0) for index in range(3)]
UNITS = plan_units(manifest(*VIDEOS), Sampling(), Packing(max_unit_windows=3)).units  # 4 units of each video
IDS = UNITS["unit_id"].to_pylist()


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(Folder(str(tmp_path)))
    made.create()
    return made


def results(positions, **outcome):
    return unit_results(UNITS.take(pa.array(positions, pa.int64())), VIDEOS, Sampling(), **outcome)


def result(position, **outcome):
    return rows_from_table(results([position], **outcome), UnitResult)[0]


def all_results(ledger, index):
    return ledger.results(pc.unique(UNITS["video_id"].combine_chunks()), index)


def ledger_files(folder: Path) -> list[Path]:
    return sorted((folder / "ledger").glob("*.parquet"))


def test_an_empty_ledger_misses_the_whole_plan(ledger):
    index = ledger.index()
    assert index.num_rows == 0
    assert missing_units(UNITS, index, retry_failed=False)["unit_id"].to_pylist() == IDS
    assert unit_counts(UNITS, index) == {"ok": 0, "failed": 0, "quarantined": 0, "not_run": len(IDS)}
    assert all_results(ledger, index).num_rows == 0


def test_what_is_appended_comes_back_whole(ledger):
    rows = results([0, 5, 7])
    ledger.append(rows)
    assert all_results(ledger, ledger.index()).equals(rows.sort_by("unit_id"))


def test_a_file_is_named_by_what_it_holds(ledger, tmp_path):
    first = ledger.append(results([0, 1], finished_us=1))
    assert ledger.append(results([1, 0], finished_us=2)) == first, "a late file of the same units replaces itself"
    assert ledger.append(results([0, 1], attempts=2)) != first
    assert ledger.append(results([0, 1], status="failed")) != first
    assert len(ledger_files(tmp_path)) == 3


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ({"status": "failed", "attempts": 5}, {"status": "ok", "attempts": 1}, "second"),
        ({"status": "ok", "attempts": 1}, {"status": "quarantined", "attempts": 9}, "first"),
        ({"status": "failed", "attempts": 1}, {"status": "quarantined", "attempts": 2}, "second"),
        ({"status": "ok", "finished_us": 5}, {"status": "ok", "finished_us": 4, "score": 0.3}, "first"),
    ],
)
def test_of_two_rows_of_a_unit_one_counts(ledger, first, second, winner):
    rows = {"first": results([0], **first), "second": results([0, 1], **second)}
    ledger.append(rows["first"])
    ledger.append(rows["second"])
    index = ledger.index()
    assert index["unit_id"].to_pylist() == IDS[:2]
    found = all_results(ledger, index).slice(0, 1)
    assert str(found.to_pylist()) == str(rows[winner].slice(0, 1).to_pylist())  # as text: NaN is not equal to itself


rows_of_files = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from(["ok", "failed", "quarantined"]), st.integers(1, 3), st.integers(0, 3)
        ),
        min_size=1,
        max_size=5,
    ),
    max_size=6,
)


@settings(max_examples=40)
@given(rows_of_files)
def test_results_are_exactly_the_rows_that_count(tmp_path_factory, files):
    ledger = Ledger(Folder(str(tmp_path_factory.mktemp("ledger"))))
    ledger.create()
    last_of_name = {}
    for rows in files:
        tables = [results([unit], status=status, attempts=tries, finished_us=at) for unit, status, tries, at in rows]
        last_of_name[ledger.append(pa.concat_tables(tables))] = rows
    index = ledger.index()
    best = {}
    for rows in last_of_name.values():
        for unit, status, tries, at in rows:
            best[IDS[unit]] = max(best.get(IDS[unit], (False, 0, -1)), (status == "ok", tries, at))
    found = all_results(ledger, index)
    assert found["unit_id"].to_pylist() == index["unit_id"].to_pylist() == sorted(best)
    for table in (index, found):
        ranks = zip(*(table[name].to_pylist() for name in ("status", "attempts", "finished_us")), strict=True)
        assert [(status == "ok", tries, at) for status, tries, at in ranks] == [best[unit] for unit in sorted(best)]
    counts = unit_counts(UNITS, index)
    assert sum(counts.values()) == len(IDS)
    for retry_failed in (False, True):
        todo = missing_units(UNITS, index, retry_failed=retry_failed)
        settled = {unit for unit, rank in best.items() if rank[0] or not retry_failed}
        missing = [unit for unit in IDS if unit not in settled]
        assert todo["unit_id"].to_pylist() == sorted(
            missing, key=lambda unit: unit in best
        )  # what was never tried is first
        assert todo["attempts"].to_pylist() == [best.get(unit, (0, 0, 0))[1] for unit in todo["unit_id"].to_pylist()]


def test_a_unit_that_lacks_windows_is_tried_again_with_the_failed_ones(ledger):
    ledger.append(results([0, 1], shortfall="decoding stopped"))
    ledger.append(results([1], attempts=2))  # its file was whole the second time
    index = ledger.index()
    assert missing_units(UNITS.slice(0, 2), index, retry_failed=False).num_rows == 0
    assert missing_units(UNITS.slice(0, 2), index, retry_failed=True)["unit_id"].to_pylist() == IDS[:1]


def test_units_of_another_plan_do_not_count(ledger):
    ledger.append(results([0, 11]))
    plan = UNITS.slice(0, 4)
    index = ledger.index()
    assert unit_counts(plan, index) == {"ok": 1, "failed": 0, "quarantined": 0, "not_run": 3}
    assert missing_units(plan, index, retry_failed=True)["unit_id"].to_pylist() == IDS[1:4]


def test_results_of_some_videos_are_theirs_alone(ledger):
    ledger.append(results(range(len(IDS))))
    found = ledger.results(pa.array([VIDEOS[1].video_id]), ledger.index())
    assert set(found["video_id"].to_pylist()) == {VIDEOS[1].video_id}
    assert found.num_rows == 4


def cut_short(data):
    return data[: len(data) // 2]


def emptied(data):
    return b""


def scrambled(data):
    return data[:4] + bytes(len(data) // 2 - 4) + data[len(data) // 2 :]


def other_table(data):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"something": [1, 2]}), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("damage", [cut_short, emptied, scrambled, other_table])
def test_a_damaged_file_is_named(ledger, tmp_path, damage):
    ledger.append(results([0]))
    ledger.append(results([1]))
    victim = ledger_files(tmp_path)[0]
    victim.write_bytes(damage(victim.read_bytes()))
    with pytest.raises(DataError) as caught:
        all_results(ledger, ledger.index())
    assert victim.name in str(caught.value)
    assert ledger_files(tmp_path)[1].name not in str(caught.value)


def test_a_deleted_file_costs_its_own_units_only(ledger, tmp_path):
    for position in range(4):
        ledger.append(results([position]))
    ledger_files(tmp_path)[0].unlink()
    assert ledger.index().num_rows == 3


def test_temporary_files_of_a_killed_writer_are_not_read(ledger, tmp_path):
    ledger.append(results([0]))
    (tmp_path / "ledger" / ".tmp-abc").write_bytes(b"half a fi")
    assert ledger.index().num_rows == 1
    ledger.remove_leftovers()
    assert list((tmp_path / "ledger").iterdir()) == ledger_files(tmp_path)


@contextmanager
def writing(ledger, output, *, max_units, max_seconds, on_written=lambda _: None, lease_seconds=600.0):
    """A writer of `ledger`, under the lock of its output."""
    with (
        WriterLock(output, lease_seconds=lease_seconds) as lock,
        LedgerWriter(ledger, lock, max_units=max_units, max_seconds=max_seconds, on_written=on_written) as writer,
    ):
        yield writer


def test_a_writer_collects_units_into_files(ledger, tmp_path):
    written = []
    with writing(
        ledger, Folder(str(tmp_path)), max_units=5, max_seconds=3600, on_written=lambda ids: written.append(len(ids))
    ) as writer:
        for position in range(len(IDS)):
            writer.add(result(position))
        assert written == [5, 5]
    assert written == [5, 5, 2]
    assert len(ledger_files(tmp_path)) == 3
    assert ledger.index()["unit_id"].to_pylist() == IDS


def test_a_writer_does_not_sit_on_old_results(ledger, tmp_path):
    with writing(ledger, Folder(str(tmp_path)), max_units=64, max_seconds=0.0) as writer:
        writer.add(result(0))
        assert len(ledger_files(tmp_path)) == 1


def wait_until(holds, seconds=30.0):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "the condition did not come true"
        time.sleep(0.01)


def test_a_writer_writes_old_results_also_while_no_further_one_comes(ledger, tmp_path):
    written = []
    with writing(ledger, Folder(str(tmp_path)), max_units=64, max_seconds=0.1, on_written=written.append) as writer:
        writer.add(result(0))
        wait_until(lambda: written)
        assert written == [{IDS[0]}], "so that journal and progress move on too"
        assert ledger.index()["unit_id"].to_pylist() == IDS[:1]
    assert len(ledger_files(tmp_path)) == 1, "nothing is written twice"


def test_what_could_not_be_written_is_still_pending(ledger, tmp_path):
    (tmp_path / "ledger").rmdir()
    with writing(ledger, Folder(str(tmp_path)), max_units=2, max_seconds=3600) as writer:
        writer.add(result(0))
        with pytest.raises(StorageError, match="cannot write"):
            writer.add(result(1))
        with pytest.raises(StorageError, match="cannot write"):
            writer.flush()
        ledger.create()
        writer.add(result(2))
        assert len(ledger_files(tmp_path)) == 1
    assert ledger.index()["unit_id"].to_pylist() == IDS[:3]
    assert len(ledger_files(tmp_path)) == 1


def test_a_late_result_that_cannot_be_written_ends_a_run_that_waits_for_the_next_one(ledger, tmp_path):
    (tmp_path / "ledger").rmdir()
    before = threading.active_count()

    def run():
        with writing(ledger, Folder(str(tmp_path)), max_units=64, max_seconds=0.05) as writer:
            writer.add(result(0))
            threading.Event().wait(60)

    with pytest.raises(StorageError, match="cannot write"):
        run()
    assert threading.active_count() == before


def test_an_interrupted_writer_leaves_what_it_has(ledger, tmp_path):
    def interrupted_run():
        with writing(ledger, Folder(str(tmp_path)), max_units=64, max_seconds=3600) as writer:
            writer.add(result(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()
    assert ledger.index()["unit_id"].to_pylist() == IDS[:1]


def take_over(output):
    """Another run puts its lease in the place of one that went stale."""
    output.write_bytes("lock.1", owner_text().encode())


def on_objects(tmp_path):
    output = Folder(f"objects://{tmp_path}/output")
    ledger = Ledger(output)
    ledger.create()
    return output, ledger


def test_a_run_whose_lease_was_taken_over_stops_before_it_writes_again(tmp_path):
    output, ledger = on_objects(tmp_path)

    def zombie():
        with writing(ledger, output, max_units=2, max_seconds=3600) as writer:
            writer.add(result(0))
            take_over(output)
            writer.add(result(1))

    with pytest.raises(OutputBusyError, match="another run has taken this output over"):
        zombie()
    assert ledger.index().num_rows == 0
    assert is_locked(output), "a zombie gives back nothing that is not its own"


def test_a_run_without_units_learns_by_the_clock_that_its_lease_was_taken_over(tmp_path):
    output, ledger = on_objects(tmp_path)

    def zombie():
        with writing(ledger, output, max_units=64, max_seconds=3600, lease_seconds=1.0) as writer:
            writer.add(result(0))
            take_over(output)
            threading.Event().wait(60)

    before = threading.active_count()
    with pytest.raises(OutputBusyError, match="another run has taken this output over"):
        zombie()
    assert ledger.index().num_rows == 0
    assert is_locked(output)
    assert threading.active_count() == before


def test_a_ledger_on_an_object_store_is_the_same():
    output = Folder("memory://test-ledger")
    ledger = Ledger(output)
    ledger.create()
    rows = results([0, 1])
    ledger.append(rows)
    index = ledger.index()
    assert index["unit_id"].to_pylist() == IDS[:2]
    assert all_results(ledger, index).equals(rows)
    assert all_results(ledger, index).schema == RESULT_SCHEMA


def test_a_ledger_of_the_first_version_reads(ledger, tmp_path):
    """Its files have no schema_version."""
    rows = results([0, 3])
    pq.write_table(rows.drop_columns(["schema_version"]), tmp_path / "ledger" / "units-02-old.parquet")
    ledger.append(results([5]))
    index = ledger.index()
    assert index["unit_id"].to_pylist() == [IDS[0], IDS[3], IDS[5]]
    assert all_results(ledger, index)["schema_version"].to_pylist() == [1, 1, 1]


def test_a_ledger_of_a_newer_version_is_refused_with_a_sentence(ledger, tmp_path):
    rows = results([0])
    position = rows.column_names.index("schema_version")
    newer = rows.set_column(position, "schema_version", pa.array([7], pa.int16()))
    pq.write_table(newer, tmp_path / "ledger" / "units-01-new.parquet")
    with pytest.raises(DataError, match=r"ledger has schema_version 7, expected at most 3.*newer nrray"):
        ledger.index()
