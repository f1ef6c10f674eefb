"""The outcome of a call of `nrray relabel`, and its report in words."""

import shlex
from dataclasses import dataclass

from nrray.console.reporter import Reporter
from nrray.results.figures import RunFigures
from nrray.results.publish import Published


@dataclass(frozen=True, kw_only=True)
class Relabelled:
    """The outcome of a call. `counts` are of the whole plan, by status, `not_run` among them; `measured` is None where there
    was nothing to run."""

    output: str
    counts: dict[str, int]
    published: Published | None
    measured: RunFigures | None
    is_dry_run: bool = False

    @property
    def has_failures(self) -> bool:
        return self.counts["failed"] + self.counts["quarantined"] > 0

    @property
    def num_windows_missing(self) -> int:
        """Of units that were tried: a video may end, or be damaged, in the middle of one."""
        windows = self.published.num_windows if self.published is not None else {}
        return sum(count for status, count in windows.items() if status not in ("ok", "not_run"))


def report_relabel(
    result: Relabelled, pictures: list[str], command: str, reporter: Reporter, *, was_retried: bool = False
) -> None:
    """Report the outcome of every planned unit, where the tables are, and the next command: not one that was just in vain."""
    counts = result.counts
    planned = sum(counts.values())
    reporter.table("Units", ["status", "units"], [[status, count] for status, count in counts.items() if count])
    if (measured := result.measured) is not None:
        reporter.say(
            f"{measured.units_done} units in {measured.wall_seconds:.0f} s, {measured.video_hours_per_hour:.1f} video hours "
            f"per hour, workers' start included"
        )
    if result.published is not None:
        published = result.published
        windows = ", ".join(f"{count:,} {status}" for status, count in sorted(published.num_windows.items()))
        reporter.say(
            f"Published {published.name}: {published.num_labels:,} labels, {published.num_segments:,} segments; "
            f"windows: {windows or 'none'}"
        )
        reporter.say(f"Tables: {published.folder}/{{labels,segments,coverage}}.parquet, run.json")
        if pictures:
            reporter.say(f"Timelines: {len(pictures)} pictures, first {pictures[0]}")
    if result.has_failures:
        reporter.say(
            f"{counts['failed'] + counts['quarantined']} of {planned} units failed; they are rows with reasons"
        )
        reporter.next_command(f"nrray status {shlex.quote(result.output)}   # the reasons")
        if not was_retried:
            reporter.next_command(f"{command} --retry-failed")
    elif result.num_windows_missing:
        reporter.say(f"{result.num_windows_missing:,} windows have no labels; they are rows with reasons")
        reporter.next_command(f"nrray status {shlex.quote(result.output)}   # the reasons")
    elif counts["not_run"]:
        reporter.next_command(command)
    else:
        reporter.next_command(f"nrray status {shlex.quote(result.output)}")
    reporter.finish(
        {
            "output": result.output,
            "units": counts,
            "version": result.published.name if result.published else None,
            "windows": dict(result.published.num_windows) if result.published else None,
            "measured": {"dry_run": True}
            if result.is_dry_run
            else measured.model_dump(mode="json")
            if measured
            else {},
            "pictures": pictures,
        }
    )
