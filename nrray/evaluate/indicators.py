"""Clinical indicators of one case: the first questions of a review of a resuscitation, the zero that times count from, and an
unknown value with its reason where an indicator needs time that was not examined.

Definitions are those of published audits (Stavanger, Haydom, Uganda; see README). In: disjoint intervals of one case on
its clock. Rates, heart rate and mask leak cannot be read from intervals and are not here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from statistics import median

from nrray.intervals import Interval, gaps_within, shared_us, union_of_intervals
from nrray.types import US_PER_SECOND

GOLDEN_MINUTE_US = 60 * US_PER_SECOND
FRACTION_SECONDS = (30, 60)
VISIBLE, VENTILATION, STIMULATION, SUCTION = "baby_visible", "ventilation", "stimulation", "suction"


class Zero(str, Enum):
    """The instant that a case's times count from."""

    BIRTH = "birth"
    TABLE_ARRIVAL = "table arrival"  # of the sidecar
    FIRST_VISIBLE = "first baby_visible"  # stands in for table arrival


class IndicatorUnit(str, Enum):
    """Unit of an indicator's value."""

    SECONDS = "s"
    SHARE = "share"
    COUNT = "count"
    YES = "yes"  # yes is 1, no is 0


@dataclass(frozen=True, kw_only=True)
class CaseTimeline:
    """One case on its clock: disjoint sorted intervals by activity, the examined time, and the sidecar's instants."""

    case_id: str
    intervals: Mapping[str, Sequence[Interval]]
    examined: Sequence[Interval]
    birth_us: int | None
    table_arrival_us: int | None


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """A value in `unit`, or None and the reason."""

    name: str
    unit: IndicatorUnit
    value: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class CaseIndicators:
    """All indicators of a case; `zero` is None where there is nothing to count from."""

    case_id: str
    zero: Zero | None
    indicators: tuple[Indicator, ...]


def case_indicators(case: CaseTimeline, *, merge_gap_us: int) -> CaseIndicators:
    """The indicators of one case; gaps of an activity up to `merge_gap_us` are closed first: there is no agreed value."""
    intervals = {
        name: union_of_intervals(case.intervals.get(name, ()), max_gap_us=merge_gap_us)
        for name in (VENTILATION, STIMULATION, SUCTION)
    }
    visible = list(case.intervals.get(VISIBLE, ()))
    zero, zero_us = _zero(case, visible)
    begin_us, begin_reason = _begin(case, visible)
    view = _View(examined=case.examined, begin_us=begin_us, reason=begin_reason)
    return CaseIndicators(
        case_id=case.case_id,
        zero=zero,
        indicators=(
            *_ventilation(intervals, view, zero_us),
            *_episodes(STIMULATION, intervals[STIMULATION], view, zero_us),
            *_suction(intervals, view),
            _idle(intervals, visible, view),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _View:
    """The examined time of a case. `begin_us` is the instant at which the newborn came into view; None, with `reason`, where
    that was not seen."""

    examined: Sequence[Interval]
    begin_us: int | None
    reason: str | None

    def hole(self, time: Interval) -> str | None:
        """The reason why `time` cannot be judged, or None."""
        missing_us = time.length_us - shared_us(self.examined, [time])
        return f"{missing_us / US_PER_SECOND:.1f} s of the interval were not looked at" if missing_us > 0 else None

    def before(self, end_us: int) -> str | None:
        """The reason why the time from arrival to `end_us` cannot be judged, or None."""
        return self.reason if self.begin_us is None else self.hole(_between(self.begin_us, end_us))

    @cached_property
    def whole(self) -> str | None:
        """The reason why the case as a whole cannot be judged, or None."""
        return self.before(self.examined[-1].end_us) if self.examined else "nothing of the case was looked at"


def _zero(case: CaseTimeline, visible: Sequence[Interval]) -> tuple[Zero | None, int]:
    if case.birth_us is not None:
        return Zero.BIRTH, case.birth_us
    if case.table_arrival_us is not None:
        return Zero.TABLE_ARRIVAL, case.table_arrival_us
    return (Zero.FIRST_VISIBLE, visible[0].start_us) if visible else (None, 0)


def _begin(case: CaseTimeline, visible: Sequence[Interval]) -> tuple[int | None, str | None]:
    """The instant at which the newborn came into view, or the reason why it was not seen: events on the table before it would
    be unknown."""
    if not case.examined:
        return None, "nothing of the case was looked at"
    first_us = case.examined[0].start_us
    if case.table_arrival_us is not None:
        if case.table_arrival_us >= first_us:
            return case.table_arrival_us, None
        return None, "the table arrival was not looked at"
    if not visible:
        return None, "no newborn was seen"
    if visible[0].start_us <= first_us:
        return None, "the newborn was there when the looking began: events before it are not known"
    return visible[0].start_us, None


def _ventilation(intervals: Mapping[str, list[Interval]], view: _View, zero_us: int) -> list[Indicator]:
    ventilation = intervals[VENTILATION]
    if not ventilation:
        return _never_ventilated(view)
    first_us = ventilation[0].start_us
    reason = view.before(first_us)
    delay_us = first_us - zero_us
    found = [
        _indicator("time to first ventilation", IndicatorUnit.SECONDS, delay_us / US_PER_SECOND, reason),
        _indicator("ventilated within 60 s", IndicatorUnit.YES, float(delay_us <= GOLDEN_MINUTE_US), reason),
    ]
    for seconds in FRACTION_SECONDS:
        part = Interval(start_us=first_us, end_us=first_us + seconds * US_PER_SECOND)
        share = shared_us(ventilation, [part]) / part.length_us
        found.append(
            _indicator(
                f"ventilation fraction, first {seconds} s", IndicatorUnit.SHARE, share, reason or view.hole(part)
            )
        )
    minute = Interval(start_us=first_us, end_us=first_us + GOLDEN_MINUTE_US)
    gaps = gaps_within(minute, ventilation)
    gap_us = _total_us(gaps)
    hole = reason or view.hole(minute)
    found.append(
        _indicator("interruption in the first 60 s of ventilation", IndicatorUnit.SECONDS, gap_us / US_PER_SECOND, hole)
    )
    for name in (STIMULATION, SUCTION):
        share = shared_us(intervals[name], gaps) / gap_us if gap_us else 0.0
        found.append(
            _indicator(
                f"interruption during {name}",
                IndicatorUnit.SHARE,
                share,
                hole or (None if gap_us else "no interruption"),
            )
        )
    lengths = [sequence.length_us / US_PER_SECOND for sequence in ventilation]
    found.append(_indicator("ventilation sequences", IndicatorUnit.COUNT, float(len(lengths)), view.whole))
    found.append(_indicator("median ventilation sequence", IndicatorUnit.SECONDS, median(lengths), view.whole))
    return found


def _never_ventilated(view: _View) -> list[Indicator]:
    """A case that was examined as a whole and never ventilated was not ventilated within 60 s, in 0 sequences."""
    hole = view.whole
    reason = hole or "no ventilation was seen"
    return [
        _unknown("time to first ventilation", IndicatorUnit.SECONDS, reason),
        _indicator("ventilated within 60 s", IndicatorUnit.YES, 0.0, hole),
        *(
            _unknown(f"ventilation fraction, first {seconds} s", IndicatorUnit.SHARE, reason)
            for seconds in FRACTION_SECONDS
        ),
        _unknown("interruption in the first 60 s of ventilation", IndicatorUnit.SECONDS, reason),
        *(_unknown(f"interruption during {name}", IndicatorUnit.SHARE, reason) for name in (STIMULATION, SUCTION)),
        _indicator("ventilation sequences", IndicatorUnit.COUNT, 0.0, hole),
        _unknown("median ventilation sequence", IndicatorUnit.SECONDS, reason),
    ]


def _episodes(name: str, episodes: Sequence[Interval], view: _View, zero_us: int) -> list[Indicator]:
    whole = view.whole
    lengths = [episode.length_us / US_PER_SECOND for episode in episodes]
    found = []
    if episodes:
        first_us = episodes[0].start_us
        delay = (first_us - zero_us) / US_PER_SECOND
        found.append(_indicator(f"time to first {name}", IndicatorUnit.SECONDS, delay, view.before(first_us)))
    else:
        found.append(_unknown(f"time to first {name}", IndicatorUnit.SECONDS, whole or f"no {name} was seen"))
    found.append(_indicator(f"{name} episodes", IndicatorUnit.COUNT, float(len(episodes)), whole))
    found.append(_indicator(f"total {name}", IndicatorUnit.SECONDS, sum(lengths), whole))
    middle = median(lengths) if lengths else 0.0
    found.append(
        _indicator(
            f"median {name} episode",
            IndicatorUnit.SECONDS,
            middle,
            whole or (None if episodes else f"no {name} was seen"),
        )
    )
    return found


def _suction(intervals: Mapping[str, list[Interval]], view: _View) -> list[Indicator]:
    suction, ventilation, whole = intervals[SUCTION], intervals[VENTILATION], view.whole
    total_us = _total_us(suction)
    found = [
        _indicator("suction episodes", IndicatorUnit.COUNT, float(len(suction)), whole),
        _indicator("total suction", IndicatorUnit.SECONDS, total_us / US_PER_SECOND, whole),
    ]
    if not ventilation:
        reason = whole or "no ventilation was seen"
        return [
            *found,
            *(
                _unknown(f"suction {where}", IndicatorUnit.SECONDS, reason)
                for where in ("before first ventilation", "inside ventilation gaps")
            ),
        ]
    first_us = ventilation[0].start_us
    ventilated = Interval(start_us=first_us, end_us=ventilation[-1].end_us)
    begin_us = first_us if view.begin_us is None else view.begin_us
    before_us = shared_us(suction, [_between(begin_us, first_us)])
    inside_us = shared_us(suction, gaps_within(ventilated, ventilation))
    found.append(
        _indicator(
            "suction before first ventilation", IndicatorUnit.SECONDS, before_us / US_PER_SECOND, view.before(first_us)
        )
    )
    hole = view.hole(ventilated)
    found.append(_indicator("suction inside ventilation gaps", IndicatorUnit.SECONDS, inside_us / US_PER_SECOND, hole))
    return found


def _idle(intervals: Mapping[str, list[Interval]], visible: Sequence[Interval], view: _View) -> Indicator:
    busy = union_of_intervals(interval for mine in intervals.values() for interval in mine)
    idle_us = _total_us(visible) - shared_us(busy, visible)
    return _indicator("idle while visible", IndicatorUnit.SECONDS, idle_us / US_PER_SECOND, view.whole)


def _between(start_us: int, end_us: int) -> Interval:
    """The interval from `start_us` to `end_us`; empty where the start is later."""
    return Interval(start_us=min(start_us, end_us), end_us=end_us)


def _total_us(intervals: Sequence[Interval]) -> int:
    return sum(interval.length_us for interval in intervals)


def _indicator(name: str, unit: IndicatorUnit, value: float, reason: str | None) -> Indicator:
    return Indicator(name=name, unit=unit, value=None if reason else value, reason=reason)


def _unknown(name: str, unit: IndicatorUnit, reason: str) -> Indicator:
    return Indicator(name=name, unit=unit, value=None, reason=reason)
