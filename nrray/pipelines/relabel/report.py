"""What a call of `nrray relabel` came to, and its report in words."""

import shlex
from dataclasses import dataclass
from typing import Any

from nrray.console.reporter import Reporter
from nrray.results.publish import Published


@dataclass(frozen=True, kw_only=True)
class Relabelled:
    """What a call came to. `counts` are of the whole plan, by status, `not_run` among them."""

    output: str
    counts: dict[str, int]
    published: Published | None
    facts: dict[str, Any]

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
    """What became of every planned unit, where the tables are, and the next command: not what was done just now in vain."""
    counts = result.counts
    planned = sum(counts.values())
    reporter.table("Units", ["status", "units"], [[status, count] for status, count in counts.items() if count])
    if "video_hours_per_hour" in result.facts:
        facts = result.facts
        reporter.say(
            f"{facts['units_done']} units in {facts['wall_seconds']:.0f} s, {facts['video_hours_per_hour']:.1f} video hours "
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
            "measured": result.facts,
            "pictures": pictures,
        }
    )
