"""`nrray status`: what a running or finished output has come to, read from its files alone; starts no Ray."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nrray.errors import DataError
from nrray.journal import Journal
from nrray.ledger import Ledger
from nrray.pipelines.console import Reporter
from nrray.publish import version_names
from nrray.storage import Folder
from nrray.types import UnitStatus
from nrray.writer_lock import is_locked


@dataclass(frozen=True, kw_only=True)
class OutputStatus:
    """`counts` are ledger rows by status; `trying` the units that are (or were, when their run died) being tried."""

    output: str
    is_running: bool
    counts: dict[str, int]
    error_kinds: dict[str, int]
    trying: list[str]
    versions: list[str]
    progress: dict[str, Any] | None
    failures: list[dict[str, Any]]


def output_status(output: Folder, *, max_failures: int = 10) -> OutputStatus:
    """Raises DataError where there is no output of `nrray relabel`."""
    if not output.exists("identity.json"):
        raise DataError(f"{output} is not an output of nrray relabel: it has no identity.json")
    ledger = Ledger(output)
    index = ledger.index()
    return OutputStatus(
        output=str(output),
        is_running=is_locked(output),
        counts=_counted(index["status"]),
        error_kinds=_counted(index["error_kind"]),
        trying=sorted(Journal(output, run_id="").suspects()),
        versions=version_names(output),
        progress=output.read_json("progress.json") if output.exists("progress.json") else None,
        failures=failure_rows(ledger, index, max_failures),
    )


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
                + (f", {eta / 60:.1f} min left" if eta is not None else "")
            )
    else:
        state = "not running" + ("; its last run was ended early" if status.trying else "")
    reporter.say(f"{status.output} is {state}")
    reporter.table("Units in the ledger", ["status", "units"], sorted(status.counts.items()))
    reporter.table("Failures by kind", ["kind", "units"], sorted(status.error_kinds.items()))
    reporter.table(
        "First failures",
        ["unit", "status", "kind", "attempts", "reason"],
        [list(row.values()) for row in status.failures],
    )
    if status.trying:
        reporter.say(f"Being tried: {', '.join(status.trying[:8])}{' ...' if len(status.trying) > 8 else ''}")
    reporter.say(f"Label versions: {', '.join(status.versions) or 'none yet'}")


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(column.drop_null()).to_pylist()}
