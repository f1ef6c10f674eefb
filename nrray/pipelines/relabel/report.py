"""The outcome of a call of `nrray relabel`, and its report in words."""

import json
import shlex
from dataclasses import dataclass

from nrray.console.reporter import Reporter
from nrray.results.domain import OutsideDomain
from nrray.results.figures import RunFigures
from nrray.results.publish import Published
from nrray.results.version import VersionRecord
from nrray.types import CoverageStatus, LabelState
from nrray.wording import counted

_CLAIMS = (LabelState.PRESENT, LabelState.ABSENT)


@dataclass(frozen=True, kw_only=True)
class Relabelled:
    """The outcome of a call. `counts` are of the whole plan, by status, `not_run` among them; `published` is None where there
    was nothing new, `record` is of the version that was there then; `measured` is None where there was nothing to run."""

    output: str
    counts: dict[str, int]
    published: Published | None
    measured: RunFigures | None
    record: VersionRecord | None = None
    max_unparsed_share: float = 1.0
    knows_looks: bool = True
    is_dry_run: bool = False

    @property
    def has_failures(self) -> bool:
        return self.counts["failed"] + self.counts["quarantined"] > 0

    @property
    def has_too_many_unparsed(self) -> bool:
        """Whether more labels than the config accepts are answers that could not be parsed."""
        return self.record is not None and self.record.unparsed_share > self.max_unparsed_share

    @property
    def falls_short(self) -> bool:
        """Whether units failed, nothing is claimed of whole videos, or too many answers could not be parsed."""
        windows = self.record.windows if self.record is not None else {}
        return self.has_failures or self.has_too_many_unparsed or bool(windows.get(CoverageStatus.NOT_ASSESSABLE.value))

    @property
    def num_windows_missing(self) -> int:
        """Of units that were tried: a video may end, or be damaged, in the middle of one."""
        windows = self.published.num_windows if self.published is not None else {}
        return sum(windows.get(status.value, 0) for status in (CoverageStatus.FAILED, CoverageStatus.QUARANTINED))


def report_relabel(
    result: Relabelled, pictures: list[str], command: str, reporter: Reporter, *, was_retried: bool = False
) -> None:
    """Report the outcome of every planned unit, where the tables are, and the next command: not one that was just in vain."""
    counts = result.counts
    planned = sum(counts.values())
    reporter.table("Units", ["status", "units"], [[status, count] for status, count in counts.items() if count])
    if (measured := result.measured) is not None:
        reporter.say(
            f"{counted(measured.units_done, 'unit')} in {measured.wall_seconds:.0f} s, "
            f"{measured.video_hours_per_hour:.1f} video hours "
            f"per hour, workers' start included"
        )
    if result.published is not None:
        published = result.published
        windows = ", ".join(f"{count:,} {status}" for status, count in sorted(published.num_windows.items()))
        reporter.say(
            f"Published {published.name}: {counted(published.num_labels, 'label')}, "
            f"{counted(published.num_segments, 'segment')}; windows: {windows or 'none'}"
        )
        tables = ",".join(name.removesuffix(".parquet") for name in published.record.rows)
        reporter.say(f"Tables: {published.folder}/{{{tables}}}.parquet, run.json")
        if pictures:
            reporter.say(f"Timelines: {counted(len(pictures), 'picture')}, first {pictures[0]}")
    if result.record is not None:
        report_labels(result.record, reporter)
        _report_ways_out(result, result.record, reporter)
    if result.has_failures:
        reporter.say(
            f"{counts['failed'] + counts['quarantined']} of {counted(planned, 'unit')} failed; they are rows with reasons"
        )
        reporter.next_command(f"nrray status {shlex.quote(result.output)}   # the reasons")
        if not was_retried:
            reporter.next_command(f"{command} --retry-failed")
    elif result.num_windows_missing:
        reporter.say(f"Without labels: {counted(result.num_windows_missing, 'window')}; they are rows with reasons")
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
            "states": result.record.states if result.record else None,
            "unparsed_share": result.record.unparsed_share if result.record else None,
            "unparsed_answers": list(result.record.unparsed_answers) if result.record else None,
            "order_disagreement": result.record.order_disagreement if result.record else None,
            "domain": result.record.domain.model_dump(mode="json") if result.record and result.record.domain else None,
            "measured": {"dry_run": True}
            if result.is_dry_run
            else measured.model_dump(mode="json")
            if measured
            else {},
            "pictures": pictures,
        }
    )


def report_labels(record: VersionRecord, reporter: Reporter) -> None:
    """Labels of a version by activity and state, answers that could not be parsed, and videos outside the model's domain."""
    found = {state for counts in record.states.values() for state in counts}
    shown = [state.value for state in LabelState if state in _CLAIMS or state.value in found]
    reporter.table(
        f"Labels of {record.version} by state",
        ["activity", *(state.replace("_", " ") for state in shown)],
        [
            [name, *(record.states[name].get(state, 0) for state in shown)]
            for name in record.activities
            if name in record.states
        ],
    )
    if record.unparsed_share:
        sample = ", ".join(json.dumps(answer, ensure_ascii=False) for answer in record.unparsed_answers)
        reporter.say(
            f"Unparsed: {record.unparsed_share:.1%} of the labels are answers that are not plainly one of those asked for; they "
            f"claim neither presence nor absence. The most frequent: {sample or 'none was kept'}."
        )
    if record.order_disagreement is not None:
        reporter.say(
            f"Order: in {record.order_disagreement:.1%} of the windows the order of the options decides which one is likeliest; "
            f"answers.parquet has every order."
        )
    if record.domain is not None:
        reporter.say(record.domain.sentence())


def _report_ways_out(result: Relabelled, record: VersionRecord, reporter: Reporter) -> None:
    """What to do about labels that claim nothing."""
    if result.has_too_many_unparsed:
        reporter.say(
            f"That is more than max_unparsed_share={result.max_unparsed_share:g}: the model does not answer the questions. Use "
            f"one that follows instructions, fine-tune this one (nrray finetune trains a head, which needs no words), or set "
            f"strategy.instruction to words that it follows."
        )
    if not result.knows_looks:
        reporter.say(
            "Looks: the model does not say what it was trained on, so nothing tells whether these videos are like that."
        )
    elif record.domain is not None and record.domain.num_outside:
        is_refused = record.domain.outside is OutsideDomain.NOT_ASSESSABLE
        reporter.say(
            "Fine-tune the model on annotated videos like these (nrray finetune)"
            + (
                ", or set outside_domain=label: they are labelled then, and marked; nothing is computed again."
                if is_refused
                else "."
            )
        )
