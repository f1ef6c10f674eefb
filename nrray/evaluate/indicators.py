"""Indicators of one case, as its label set declares them: the first questions of a review, the zero that times count from,
and an unknown value with its reason where an indicator needs time that was not examined, or an activity that is not labelled.

In: disjoint intervals of one case on its clock. A new kind is a member of `IndicatorKind`, a function here and a line in
`_KINDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from statistics import median

from nrray.intervals import Interval, gaps_within, shared_intervals, shared_us, union_of_intervals
from nrray.labels import IndicatorKind, IndicatorSection, LabelSet
from nrray.types import US_PER_SECOND

START_OF_RECORDING = "start of the recording"
_LATE_START_US = (
    2 * US_PER_SECOND
)  # an examination that begins this late has missed the start; less is a file's own offset


class IndicatorUnit(str, Enum):
    """Unit of an indicator's value."""

    SECONDS = "s"
    SHARE = "share"
    COUNT = "count"
    YES = "yes"  # yes is 1, no is 0


@dataclass(frozen=True, kw_only=True)
class CaseTimeline:
    """One case on its clock: disjoint sorted intervals by activity, the examined time, the part of it in which each activity's
    presence or absence is claimed, where the recording begins, and the sidecar's instants by name. An activity without a key
    is not labelled."""

    case_id: str
    intervals: Mapping[str, Sequence[Interval]]
    examined: Sequence[Interval]
    answered: Mapping[str, Sequence[Interval]]
    start_us: int
    instants: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """A value in `unit`, or None and the reason."""

    name: str
    unit: IndicatorUnit
    value: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class CaseIndicators:
    """All indicators of a case; `zero` names the instant that times count from, None where there is none."""

    case_id: str
    zero: str | None
    indicators: tuple[Indicator, ...]


@dataclass(frozen=True, kw_only=True)
class _Unknown:
    """Why an indicator has no value."""

    reason: str


def case_indicators(case: CaseTimeline, label_set: LabelSet, *, merge_gap_us: int) -> CaseIndicators:
    """The label set's indicators of one case. Gaps of up to `merge_gap_us` are closed first, but of the activity that must be
    visible: there is no agreed value."""
    visible = label_set.rules.requires_visible
    closed = {
        name: list(mine) if name == visible else union_of_intervals(mine, max_gap_us=merge_gap_us)
        for name, mine in case.intervals.items()
    }
    view = _View(case=case, label_set=label_set, intervals=closed)
    return CaseIndicators(
        case_id=case.case_id,
        zero=view.zero[0],
        indicators=tuple(_indicator(section, view) for section in label_set.indicators),
    )


def _needed(section: IndicatorSection, label_set: LabelSet) -> list[str]:
    """The activities that an indicator is read from."""
    others = [] if section.other is None else [section.other]
    if section.kind is IndicatorKind.ALONE:
        others = [name for name in label_set.names if name != section.activity]
    return [section.activity, *others]


@dataclass(frozen=True, kw_only=True)
class _View:
    """A case as it was examined; intervals: by labelled activity, gaps closed."""

    case: CaseTimeline
    label_set: LabelSet
    intervals: Mapping[str, Sequence[Interval]]

    def hole(self, time: Interval) -> str | None:
        """The reason why `time` cannot be judged, or None."""
        missing_us = time.length_us - shared_us(self.case.examined, [time])
        return f"{missing_us / US_PER_SECOND:.1f} s of the interval were not looked at" if missing_us > 0 else None

    def before(self, end_us: int) -> str | None:
        """The reason why the time from the begin to `end_us` cannot be judged, or None."""
        begin = self.begin
        return begin.reason if isinstance(begin, _Unknown) else self.hole(_between(begin, end_us))

    def answered(self, activities: Sequence[str]) -> "_View":
        """The case as if only the time were examined in which something is claimed of all of these."""
        examined = list(self.case.examined)
        for name in activities:
            examined = shared_intervals(examined, self.case.answered[name])
        if examined == self.case.examined:
            return self
        return replace(self, case=replace(self.case, examined=examined))

    @cached_property
    def whole(self) -> str | None:
        """The reason why the case as a whole cannot be judged, or None."""
        examined = self.case.examined
        return self.before(examined[-1].end_us) if examined else "nothing of the case was looked at"

    @cached_property
    def zero(self) -> tuple[str | None, int]:
        """What times count from, and when that is."""
        for name in self.label_set.clock.zero:
            if name in self.case.instants:
                return _in_words(name), self.case.instants[name]
        visible = self.label_set.rules.requires_visible
        if visible is not None:
            seen = self.intervals.get(visible, ())
            return (f"first {visible}", seen[0].start_us) if seen else (None, 0)
        begin = self.begin
        return (None, 0) if isinstance(begin, _Unknown) else (START_OF_RECORDING, begin)

    @cached_property
    def begin(self) -> int | _Unknown:
        """The instant from which on the case could be seen, or why that was not looked at: events right after it would be
        unknown."""
        examined, visible, arrival = (
            self.case.examined,
            self.label_set.rules.requires_visible,
            self.label_set.clock.arrival,
        )
        if not examined:
            return _Unknown(reason="nothing of the case was looked at")
        first_us = examined[0].start_us
        if arrival is not None and arrival in self.case.instants:
            if self.case.instants[arrival] >= first_us:
                return self.case.instants[arrival]
            return _Unknown(reason=f"the {_in_words(arrival)} was not looked at")
        if visible is None:
            late_us = first_us - self.case.start_us
            if late_us <= _LATE_START_US:
                return first_us
            return _Unknown(reason=f"the first {late_us / US_PER_SECOND:.1f} s of the recording were not looked at")
        if visible not in self.intervals:
            return _Unknown(reason=f"{visible} is not labelled")
        seen = self.intervals[visible]
        if not seen:
            return _Unknown(reason=f"no {visible} was seen")
        if seen[0].start_us <= first_us:
            return _Unknown(reason=f"{visible} was so when the looking began: events before it are not known")
        return seen[0].start_us


_Value = float | _Unknown


def _indicator(section: IndicatorSection, view: _View) -> Indicator:
    unit, value_of = _KINDS[section.kind]
    needed = _needed(section, view.label_set)
    found: _Value
    if missing := [name for name in needed if name not in view.intervals]:
        found = _Unknown(reason=f"{missing[0]} is not labelled")
    elif silent := [name for name in needed if view.case.examined and not view.case.answered[name]]:
        found = _Unknown(reason=f"nothing is claimed of {silent[0]}: no answer, or none that is plain")
    else:
        found = value_of(section, view.answered(needed))
    if isinstance(found, _Unknown):
        return Indicator(name=section.title, unit=unit, value=None, reason=found.reason)
    return Indicator(name=section.title, unit=unit, value=found, reason=None)


def _time_to_first(section: IndicatorSection, view: _View) -> _Value:
    mine = view.intervals[section.activity]
    if not mine:
        return _Unknown(reason=view.whole or _none_seen(section.activity))
    return _known((mine[0].start_us - view.zero[1]) / US_PER_SECOND, view.before(mine[0].start_us) or _no_zero(view))


def _begun_within(section: IndicatorSection, view: _View) -> _Value:
    """A case that was examined as a whole and never shows the activity is a no."""
    mine = view.intervals[section.activity]
    if not mine:
        return _known(0.0, view.whole)
    delay_us = mine[0].start_us - view.zero[1]
    return _known(float(delay_us <= _us(section.seconds)), view.before(mine[0].start_us) or _no_zero(view))


def _fraction(section: IndicatorSection, view: _View) -> _Value:
    mine = view.intervals[section.activity]
    if not mine:
        return _Unknown(reason=view.whole or _none_seen(section.activity))
    part = _first_part(section, mine)
    return _known(shared_us(mine, [part]) / part.length_us, view.before(part.start_us) or view.hole(part))


def _interruption(section: IndicatorSection, view: _View) -> _Value:
    mine = view.intervals[section.activity]
    if not mine:
        return _Unknown(reason=view.whole or _none_seen(section.activity))
    part = _first_part(section, mine)
    gap_us = _total_us(gaps_within(part, mine))
    return _known(gap_us / US_PER_SECOND, view.before(part.start_us) or view.hole(part))


def _interruption_during(section: IndicatorSection, view: _View) -> _Value:
    mine = view.intervals[section.activity]
    if not mine:
        return _Unknown(reason=view.whole or _none_seen(section.activity))
    part = _first_part(section, mine)
    gaps = gaps_within(part, mine)
    reason = view.before(part.start_us) or view.hole(part)
    if not gaps:
        return _Unknown(reason=reason or "no interruption")
    return _known(shared_us(_others(section, view), gaps) / _total_us(gaps), reason)


def _episodes(section: IndicatorSection, view: _View) -> _Value:
    return _known(float(len(view.intervals[section.activity])), view.whole)


def _total(section: IndicatorSection, view: _View) -> _Value:
    return _known(_total_us(view.intervals[section.activity]) / US_PER_SECOND, view.whole)


def _median_episode(section: IndicatorSection, view: _View) -> _Value:
    mine = view.intervals[section.activity]
    if not mine:
        return _Unknown(reason=view.whole or _none_seen(section.activity))
    return _known(median(episode.length_us / US_PER_SECOND for episode in mine), view.whole)


def _before_first(section: IndicatorSection, view: _View) -> _Value:
    mine, others = view.intervals[section.activity], _others(section, view)
    if not others:
        return _Unknown(reason=view.whole or _none_seen(str(section.other)))
    first_us = others[0].start_us
    begin_us = first_us if isinstance(view.begin, _Unknown) else view.begin
    before_us = shared_us(mine, [_between(begin_us, first_us)])
    return _known(before_us / US_PER_SECOND, view.before(first_us))


def _inside_gaps(section: IndicatorSection, view: _View) -> _Value:
    mine, others = view.intervals[section.activity], _others(section, view)
    if not others:
        return _Unknown(reason=view.whole or _none_seen(str(section.other)))
    course = Interval(start_us=others[0].start_us, end_us=others[-1].end_us)
    return _known(shared_us(mine, gaps_within(course, others)) / US_PER_SECOND, view.hole(course))


def _alone(section: IndicatorSection, view: _View) -> _Value:
    mine = view.intervals[section.activity]
    busy = union_of_intervals(
        interval for name in view.label_set.names if name != section.activity for interval in view.intervals[name]
    )
    return _known((_total_us(mine) - shared_us(busy, mine)) / US_PER_SECOND, view.whole)


_KINDS: Mapping[IndicatorKind, tuple[IndicatorUnit, Callable[[IndicatorSection, _View], _Value]]] = {
    IndicatorKind.TIME_TO_FIRST: (IndicatorUnit.SECONDS, _time_to_first),
    IndicatorKind.BEGUN_WITHIN: (IndicatorUnit.YES, _begun_within),
    IndicatorKind.FRACTION: (IndicatorUnit.SHARE, _fraction),
    IndicatorKind.INTERRUPTION: (IndicatorUnit.SECONDS, _interruption),
    IndicatorKind.INTERRUPTION_DURING: (IndicatorUnit.SHARE, _interruption_during),
    IndicatorKind.EPISODES: (IndicatorUnit.COUNT, _episodes),
    IndicatorKind.TOTAL: (IndicatorUnit.SECONDS, _total),
    IndicatorKind.MEDIAN_EPISODE: (IndicatorUnit.SECONDS, _median_episode),
    IndicatorKind.BEFORE_FIRST: (IndicatorUnit.SECONDS, _before_first),
    IndicatorKind.INSIDE_GAPS: (IndicatorUnit.SECONDS, _inside_gaps),
    IndicatorKind.ALONE: (IndicatorUnit.SECONDS, _alone),
}


def _first_part(section: IndicatorSection, mine: Sequence[Interval]) -> Interval:
    """The `seconds` from the first onset on."""
    return Interval(start_us=mine[0].start_us, end_us=mine[0].start_us + _us(section.seconds))


def _others(section: IndicatorSection, view: _View) -> Sequence[Interval]:
    return view.intervals[str(section.other)]


def _us(seconds: float | None) -> int:
    return round((seconds or 0.0) * US_PER_SECOND)


def _none_seen(activity: str) -> str:
    return f"no {activity} was seen"


def _no_zero(view: _View) -> str | None:
    return "there is no instant to count from" if view.zero[0] is None else None


def _known(value: float, reason: str | None) -> _Value:
    return _Unknown(reason=reason) if reason else value


def _in_words(instant: str) -> str:
    return instant.replace("_", " ")


def _between(start_us: int, end_us: int) -> Interval:
    """The interval from `start_us` to `end_us`; empty where the start is later."""
    return Interval(start_us=min(start_us, end_us), end_us=end_us)


def _total_us(intervals: Sequence[Interval]) -> int:
    return sum(interval.length_us for interval in intervals)
