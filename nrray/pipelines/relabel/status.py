"""`nrray status`: the state of a running or finished output, read from its files alone; starts no Ray."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nrray.console.progress import duration_text
from nrray.console.reporter import Reporter
from nrray.errors import DataError
from nrray.pipelines.relabel.report import report_labels
from nrray.results.figures import LastRun, read_progress
from nrray.results.identity import IDENTITY_FILE
from nrray.results.journal import Journal
from nrray.results.ledger import Ledger
from nrray.results.version import VersionRecord, newest_records
from nrray.storage import Folder
from nrray.types import CoverageStatus, UnitStatus
from nrray.writer_lock import is_locked

MAX_FILES = 20
_TRIED_IN_VAIN = pa.array(
    [CoverageStatus.FAILED.value, CoverageStatus.QUARANTINED.value, CoverageStatus.NOT_ASSESSABLE.value]
)


@dataclass(frozen=True, kw_only=True)
class FailedUnit:
    """A unit of the ledger that failed or is quarantined."""

    unit_id: str
    status: str
    error_kind: str | None
    attempts: int
    error: str | None


@dataclass(frozen=True, kw_only=True)
class UnlabelledFile:
    """How many windows of a file have no labels, by status and reason; None where the file has no windows, as it cannot be
    read."""

    path: str
    windows: int | None
    status: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OutputStatus:
    """`counts` are ledger rows by status; `trying` the units that are (or were, when their run died) being tried;
    `versions` are oldest first; `not_labelled` are files of the last one."""

    output: str
    is_running: bool
    counts: Mapping[str, int]
    error_kinds: Mapping[str, int]
    trying: tuple[str, ...]
    versions: tuple[VersionRecord, ...]
    not_labelled: tuple[UnlabelledFile, ...]
    last_run: LastRun | None
    failures: tuple[FailedUnit, ...]

    @property
    def planned_version(self) -> VersionRecord | None:
        """The last version that was published from a plan."""
        return next((record for record in reversed(self.versions) if record.state is not None), None)

    @property
    def planned(self) -> Mapping[str, int]:
        """Units of the last published plan by status."""
        record = self.planned_version
        return record.state.units if record is not None and record.state is not None else {}

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        domain = self.versions[-1].domain if self.versions else None
        return {
            "output": self.output,
            "is_running": self.is_running,
            "counts": dict(self.counts),
            "error_kinds": dict(self.error_kinds),
            "trying": list(self.trying),
            "versions": [record.version for record in self.versions],
            "planned": dict(self.planned),
            "states": self.versions[-1].states if self.versions else None,
            "unparsed_share": self.versions[-1].unparsed_share if self.versions else None,
            "domain": domain.model_dump(mode="json") if domain is not None else None,
            "not_labelled": [asdict(file) for file in self.not_labelled],
            "progress": self.last_run.document() if self.last_run is not None else None,
            "failures": [asdict(unit) for unit in self.failures],
        }


def output_status(output: Folder, *, max_failures: int = 10) -> OutputStatus:
    """Raises DataError where there is neither an output of `nrray relabel` nor a label version, or a file is damaged."""
    versions = tuple(newest_records(output))[::-1]
    if not versions and not output.exists(IDENTITY_FILE):
        raise DataError(f"{output} is not an output of nrray relabel: it has no {IDENTITY_FILE} and no label version")
    ledger = Ledger(output)
    index = ledger.index()
    return OutputStatus(
        output=str(output),
        is_running=is_locked(output),
        counts=_counted(index["status"]),
        error_kinds=_counted(index["error_kind"]),
        trying=tuple(sorted(Journal(output, run_id="").suspects())),
        versions=versions,
        not_labelled=unlabelled_files(output / "versions" / versions[-1].version) if versions else (),
        last_run=read_progress(output),
        failures=failed_units(ledger, index, max_failures),
    )


def unlabelled_files(version: Folder) -> tuple[UnlabelledFile, ...]:
    """The files of a version of which windows were tried in vain, sorted by path."""
    columns = ["path", "status", "reason", "start_us"]
    counts: Counter[tuple[str, str, str, bool]] = Counter()
    with version.filesystem.open(version.path("coverage.parquet"), "rb") as stream:
        for batch in pq.ParquetFile(stream).iter_batches(columns=columns):  # a large archive has millions of windows
            tried = batch.filter(pc.is_in(batch["status"].cast(pa.string()), value_set=_TRIED_IN_VAIN))
            plain = pa.table({name: tried[name].cast(pa.string()) for name in ("path", "status", "reason")})
            files = plain.append_column("is_whole", pc.is_null(tried["start_us"])).group_by(
                ["path", "status", "reason", "is_whole"]
            )
            for row in files.aggregate([([], "count_all")]).to_pylist():
                counts[row["path"], row["status"], row["reason"] or "", row["is_whole"]] += row["count_all"]
    return tuple(
        UnlabelledFile(path=path, windows=None if is_whole else count, status=status, reason=reason)
        for (path, status, reason, is_whole), count in sorted(counts.items())
    )


def failed_units(ledger: Ledger, index: pa.Table, limit: int) -> tuple[FailedUnit, ...]:
    """The first units that failed or are quarantined, with their reasons."""
    bad = index.filter(pc.not_equal(index["status"], UnitStatus.OK.value)).slice(0, limit)
    if bad.num_rows == 0:
        return ()
    rows = ledger.results(pc.unique(bad["video_id"].combine_chunks()), bad)
    names = ["unit_id", "status", "error_kind", "attempts", "error"]
    return tuple(FailedUnit(**row) for row in rows.select(names).to_pylist())


def report_status(status: OutputStatus, reporter: Reporter) -> None:
    """The same for a person."""
    reporter.say(f"{status.output} is {_running_text(status)}")
    reporter.table("Units in the ledger", ["status", "units"], sorted(status.counts.items()))
    reporter.table("Failures by kind", ["kind", "units"], sorted(status.error_kinds.items()))
    if status.versions:
        report_labels(status.versions[-1], reporter)
        shown = status.not_labelled[:MAX_FILES]
        reporter.table(
            f"Not labelled in {status.versions[-1].version}",
            ["file", "windows", "status", "reason"],
            [
                [file.path, "all" if file.windows is None else file.windows, file.status, file.reason or "-"]
                for file in shown
            ],
        )
        if len(status.not_labelled) > len(shown):
            reporter.say(f"and {len(status.not_labelled) - len(shown)} more: coverage.parquet has all")
    else:
        reporter.table(
            "First failures",
            ["unit", "status", "kind", "attempts", "reason"],
            [[unit.unit_id, unit.status, unit.error_kind, unit.attempts, unit.error] for unit in status.failures],
        )
    if status.trying:
        reporter.say(f"Being tried: {', '.join(status.trying[:8])}{' ...' if len(status.trying) > 8 else ''}")
    reporter.say(f"Label versions: {_versions_text(status)}")


def _running_text(status: OutputStatus) -> str:
    if not status.is_running:
        return "not running" + ("; its last run was ended early" if status.trying else "")
    if status.last_run is None:
        return "running"
    progress = status.last_run.progress
    eta = progress.eta_seconds
    return (
        f"running: {progress.units_done}/{progress.units_total} units of this run, "
        f"{progress.video_hours_per_hour:g} video hours per hour"
        + (f", {duration_text(eta)} left" if eta is not None else "")
    )


def _versions_text(status: OutputStatus) -> str:
    if not status.versions:
        return "none yet"
    names = ", ".join(record.title for record in status.versions)
    planned = status.planned_version
    if planned is None:
        return names
    units = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in status.planned.items() if count)
    whose = "the last one's" if planned is status.versions[-1] else f"{planned.version}'s"
    return f"{names}; of {whose} plan: {units or 'no'} units"


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(column.drop_null()).to_pylist()}
