"""`nrray status`: what a running or finished output has come to, read from its files alone; starts no Ray."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nrray.console.progress import duration_text
from nrray.console.reporter import Reporter
from nrray.errors import DataError
from nrray.results.journal import Journal
from nrray.results.ledger import Ledger
from nrray.results.publish import version_names
from nrray.storage import Folder
from nrray.types import CoverageStatus, UnitStatus
from nrray.writer_lock import is_locked

MAX_FILES = 20
_TRIED_IN_VAIN = pa.array([CoverageStatus.FAILED.value, CoverageStatus.QUARANTINED.value])


@dataclass(frozen=True, kw_only=True)
class OutputStatus:
    """`counts` are ledger rows by status; `trying` the units that are (or were, when their run died) being tried; `planned` the
    units of the last version's plan by status; `not_labelled` its files of which something has no labels."""

    output: str
    is_running: bool
    counts: dict[str, int]
    error_kinds: dict[str, int]
    trying: list[str]
    versions: list[str]
    planned: dict[str, int]
    not_labelled: list[dict[str, Any]]
    progress: dict[str, Any] | None
    failures: list[dict[str, Any]]


def output_status(output: Folder, *, max_failures: int = 10) -> OutputStatus:
    """Raises DataError where there is no output of `nrray relabel`."""
    if not output.exists("identity.json"):
        raise DataError(f"{output} is not an output of nrray relabel: it has no identity.json")
    ledger = Ledger(output)
    index = ledger.index()
    versions = version_names(output)
    last = output / "versions" / versions[-1] if versions else None
    return OutputStatus(
        output=str(output),
        is_running=is_locked(output),
        counts=_counted(index["status"]),
        error_kinds=_counted(index["error_kind"]),
        trying=sorted(Journal(output, run_id="").suspects()),
        versions=versions,
        planned=last.read_json("run.json")["state"]["units"] if last else {},
        not_labelled=not_labelled(last) if last else [],
        progress=output.read_json("progress.json") if output.exists("progress.json") else None,
        failures=failure_rows(ledger, index, max_failures),
    )


def not_labelled(version: Folder) -> list[dict[str, Any]]:
    """Per file, status and reason: how many windows of the version have no labels; None where the file has no windows, as it
    cannot be read."""
    columns = ["path", "status", "reason", "start_us"]
    counts: Counter[tuple[str, str, str, bool]] = Counter()
    with version.filesystem.open(version.path("coverage.parquet"), "rb") as stream:
        for batch in pq.ParquetFile(stream).iter_batches(columns=columns):  # a large archive has millions of windows
            tried = pc.is_in(batch["status"].cast(pa.string()), value_set=_TRIED_IN_VAIN)
            for row in batch.filter(tried).to_pylist():
                counts[row["path"], row["status"], row["reason"] or "", row["start_us"] is None] += 1
    return [
        {"path": path, "windows": None if is_whole else count, "status": status, "reason": reason}
        for (path, status, reason, is_whole), count in sorted(counts.items())
    ]


def failure_rows(ledger: Ledger, index: pa.Table, limit: int) -> list[dict[str, Any]]:
    """The first failed or quarantined units with their reasons."""
    bad = index.filter(pc.not_equal(index["status"], UnitStatus.OK.value)).slice(0, limit)
    if bad.num_rows == 0:
        return []
    rows = ledger.results(pc.unique(bad["video_id"].combine_chunks()), bad)
    names = ["unit_id", "status", "error_kind", "attempts", "error"]
    return [dict(row) for row in rows.select(names).to_pylist()]


def report_status(status: OutputStatus, reporter: Reporter) -> None:
    """The same for a person."""
    progress = status.progress
    if status.is_running:
        state = "running"
        if progress is not None:
            eta = progress.get("eta_seconds")
            state += (
                f": {progress['units_done']}/{progress['units_total']} units of this run, "
                f"{progress['video_hours_per_hour']:g} video hours per hour"
                + (f", {duration_text(eta)} left" if eta is not None else "")
            )
    else:
        state = "not running" + ("; its last run was ended early" if status.trying else "")
    reporter.say(f"{status.output} is {state}")
    reporter.table("Units in the ledger", ["status", "units"], sorted(status.counts.items()))
    reporter.table("Failures by kind", ["kind", "units"], sorted(status.error_kinds.items()))
    if status.versions:
        shown = status.not_labelled[:MAX_FILES]
        reporter.table(
            f"Not labelled in {status.versions[-1]}",
            ["file", "windows", "status", "reason"],
            [
                [row["path"], "all" if row["windows"] is None else row["windows"], row["status"], row["reason"] or "-"]
                for row in shown
            ],
        )
        if len(status.not_labelled) > len(shown):
            reporter.say(f"and {len(status.not_labelled) - len(shown)} more: coverage.parquet has all")
    else:
        reporter.table(
            "First failures",
            ["unit", "status", "kind", "attempts", "reason"],
            [list(row.values()) for row in status.failures],
        )
    if status.trying:
        reporter.say(f"Being tried: {', '.join(status.trying[:8])}{' ...' if len(status.trying) > 8 else ''}")
    units = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in status.planned.items() if count)
    of_plan = f"; of the last one's plan: {units or 'no'} units" if status.versions else ""
    reporter.say(f"Label versions: {', '.join(status.versions) or 'none yet'}{of_plan}")


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(column.drop_null()).to_pylist()}
