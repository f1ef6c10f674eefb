"""Clinical indicators of one case: what a review of a resuscitation asks first, with the zero they count from, and
"cannot be said" where nobody looked.

Definitions are those of published audits (Stavanger, Haydom, Uganda; see README). In: disjoint spans of one case on its
clock. Rates, heart rate and mask leak cannot be read from intervals and are not here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from statistics import median

from nrray.types import US_PER_SECOND

Interval = tuple[int, int]

GOLDEN_MINUTE_US = 60 * US_PER_SECOND
FRACTION_SECONDS = (30, 60)
VISIBLE, VENTILATION, STIMULATION, SUCTION = "baby_visible", "ventilation", "stimulation", "suction"


class Zero(str, Enum):
    """Where a case's clock starts."""

    BIRTH = "birth"
    TABLE_ARRIVAL = "table arrival"  # of the sidecar
    FIRST_VISIBLE = "first baby_visible"  # stands in for table arrival


@dataclass(frozen=True, kw_only=True)
class CaseTimeline:
    """One case on its clock: disjoint sorted spans by activity, what was looked at, and what the sidecar knows."""

    case_id: str
    spans: Mapping[str, Sequence[Interval]]
    looked_at: Sequence[Interval]
    birth_us: int | None
    table_arrival_us: int | None


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """A value in `unit` (s, share, count or yes = 1), or None and the reason."""

    name: str
    unit: str
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
    spans = {name: merged(case.spans.get(name, ()), merge_gap_us) for name in (VENTILATION, STIMULATION, SUCTION)}
    visible = list(case.spans.get(VISIBLE, ()))
    zero, zero_us = _zero(case, visible)
    begin_us, begin_reason = _begin(case, visible)
    view = _View(looked_at=case.looked_at, begin_us=begin_us, reason=begin_reason)
    return CaseIndicators(
        case_id=case.case_id,
        zero=zero,
        indicators=(
            *_ventilation(spans, view, zero_us),
            *_episodes(STIMULATION, spans[STIMULATION], view, zero_us),
            *_suction(spans, view),
            _idle(spans, visible, view),
        ),
    )


def merged(spans: Sequence[Interval], gap_us: int) -> list[Interval]:
    """Spans with gaps up to `gap_us` closed."""
    closed: list[Interval] = []
    for start, end in sorted(spans):
        if closed and start - closed[-1][1] <= gap_us:
            closed[-1] = (closed[-1][0], max(closed[-1][1], end))
        else:
            closed.append((start, end))
    return closed


@dataclass(frozen=True, kw_only=True)
class _View:
    """What was seen of a case. `begin_us` is when the newborn came into view; None, with `reason`, where that was not
    seen."""

    looked_at: Sequence[Interval]
    begin_us: int | None
    reason: str | None

    def hole(self, start_us: int, end_us: int) -> str | None:
        """Why [start_us, end_us) cannot be judged, or None."""
        seen = _shared(self.looked_at, [(start_us, end_us)])
        missing = (end_us - start_us) - seen
        return f"{missing / US_PER_SECOND:.1f} s of it were not looked at" if missing > 0 else None

    def before(self, end_us: int) -> str | None:
        """Why the time from arrival to `end_us` cannot be judged, or None."""
        return self.reason if self.begin_us is None else self.hole(min(self.begin_us, end_us), end_us)

    @cached_property
    def whole(self) -> str | None:
        """Why the case as a whole cannot be judged, or None."""
        return self.before(self.looked_at[-1][1]) if self.looked_at else "nothing of it was looked at"


def _zero(case: CaseTimeline, visible: Sequence[Interval]) -> tuple[Zero | None, int]:
    if case.birth_us is not None:
        return Zero.BIRTH, case.birth_us
    if case.table_arrival_us is not None:
        return Zero.TABLE_ARRIVAL, case.table_arrival_us
    return (Zero.FIRST_VISIBLE, visible[0][0]) if visible else (None, 0)


def _begin(case: CaseTimeline, visible: Sequence[Interval]) -> tuple[int | None, str | None]:
    """When the newborn came into view, if that was seen: what happened on the table before is else unknown."""
    if not case.looked_at:
        return None, "nothing of it was looked at"
    first_us = case.looked_at[0][0]
    if case.table_arrival_us is not None:
        if case.table_arrival_us >= first_us:
            return case.table_arrival_us, None
        return None, "the table arrival was not looked at"
    if not visible:
        return None, "no newborn was seen"
    if visible[0][0] <= first_us:
        return None, "the newborn was there when looking began: what happened before is not known"
    return visible[0][0], None


def _ventilation(spans: Mapping[str, list[Interval]], view: _View, zero_us: int) -> list[Indicator]:
    ventilation = spans[VENTILATION]
    if not ventilation:
        return _never_ventilated(view)
    first_us = ventilation[0][0]
    reason = view.before(first_us)
    delay_us = first_us - zero_us
    found = [
        _indicator("time to first ventilation", "s", delay_us / US_PER_SECOND, reason),
        _indicator("ventilated within 60 s", "yes", float(delay_us <= GOLDEN_MINUTE_US), reason),
    ]
    for seconds in FRACTION_SECONDS:
        part = (first_us, first_us + seconds * US_PER_SECOND)
        share = _shared(ventilation, [part]) / (part[1] - part[0])
        found.append(_indicator(f"ventilation fraction, first {seconds} s", "share", share, reason or view.hole(*part)))
    minute = (first_us, first_us + GOLDEN_MINUTE_US)
    gaps = _gaps(ventilation, minute)
    gap_us = sum(end - start for start, end in gaps)
    hole = reason or view.hole(*minute)
    found.append(_indicator("interruption in the first 60 s of ventilation", "s", gap_us / US_PER_SECOND, hole))
    for name in (STIMULATION, SUCTION):
        share = _shared(spans[name], gaps) / gap_us if gap_us else 0.0
        found.append(
            _indicator(f"interruption during {name}", "share", share, hole or (None if gap_us else "no interruption"))
        )
    lengths = [(end - start) / US_PER_SECOND for start, end in ventilation]
    found.append(_indicator("ventilation sequences", "count", float(len(lengths)), view.whole))
    found.append(_indicator("median ventilation sequence", "s", median(lengths), view.whole))
    return found


def _never_ventilated(view: _View) -> list[Indicator]:
    """A case that was looked at as a whole and never ventilated was not ventilated within 60 s, in 0 sequences."""
    hole = view.whole
    reason = hole or "no ventilation was seen"
    return [
        _unknown("time to first ventilation", "s", reason),
        _indicator("ventilated within 60 s", "yes", 0.0, hole),
        *(_unknown(f"ventilation fraction, first {seconds} s", "share", reason) for seconds in FRACTION_SECONDS),
        _unknown("interruption in the first 60 s of ventilation", "s", reason),
        *(_unknown(f"interruption during {name}", "share", reason) for name in (STIMULATION, SUCTION)),
        _indicator("ventilation sequences", "count", 0.0, hole),
        _unknown("median ventilation sequence", "s", reason),
    ]


def _episodes(name: str, spans: Sequence[Interval], view: _View, zero_us: int) -> list[Indicator]:
    whole = view.whole
    lengths = [(end - start) / US_PER_SECOND for start, end in spans]
    found = []
    if spans:
        delay = (spans[0][0] - zero_us) / US_PER_SECOND
        found.append(_indicator(f"time to first {name}", "s", delay, view.before(spans[0][0])))
    else:
        found.append(_unknown(f"time to first {name}", "s", whole or f"no {name} was seen"))
    found.append(_indicator(f"{name} episodes", "count", float(len(spans)), whole))
    found.append(_indicator(f"total {name}", "s", sum(lengths), whole))
    middle = median(lengths) if lengths else 0.0
    found.append(_indicator(f"median {name} episode", "s", middle, whole or (None if spans else f"no {name} was seen")))
    return found


def _suction(spans: Mapping[str, list[Interval]], view: _View) -> list[Indicator]:
    suction, ventilation, whole = spans[SUCTION], spans[VENTILATION], view.whole
    total_us = sum(end - start for start, end in suction)
    found = [
        _indicator("suction episodes", "count", float(len(suction)), whole),
        _indicator("total suction", "s", total_us / US_PER_SECOND, whole),
    ]
    if not ventilation:
        reason = whole or "no ventilation was seen"
        return [
            *found,
            *(
                _unknown(f"suction {where}", "s", reason)
                for where in ("before first ventilation", "inside ventilation gaps")
            ),
        ]
    first_us, last_us = ventilation[0][0], ventilation[-1][1]
    before_us = _shared(suction, [(min(view.begin_us or first_us, first_us), first_us)])
    inside_us = _shared(suction, _gaps(ventilation, (first_us, last_us)))
    found.append(_indicator("suction before first ventilation", "s", before_us / US_PER_SECOND, view.before(first_us)))
    hole = view.hole(first_us, last_us)
    found.append(_indicator("suction inside ventilation gaps", "s", inside_us / US_PER_SECOND, hole))
    return found


def _idle(spans: Mapping[str, list[Interval]], visible: Sequence[Interval], view: _View) -> Indicator:
    busy = merged([span for mine in spans.values() for span in mine], 0)
    idle_us = sum(end - start for start, end in visible) - _shared(busy, visible)
    return _indicator("idle while visible", "s", idle_us / US_PER_SECOND, view.whole)


def _gaps(spans: Sequence[Interval], part: Interval) -> list[Interval]:
    """What of `part` no span covers."""
    gaps, at = [], part[0]
    for start, end in spans:
        if start > at:
            gaps.append((at, min(start, part[1])))
        at = max(at, end)
        if at >= part[1]:
            break
    if at < part[1]:
        gaps.append((at, part[1]))
    return [gap for gap in gaps if gap[1] > gap[0]]


def _shared(left: Sequence[Interval], right: Sequence[Interval]) -> int:
    """Time that two disjoint sorted sets share."""
    total, i, j = 0, 0, 0
    while i < len(left) and j < len(right):
        total += max(0, min(left[i][1], right[j][1]) - max(left[i][0], right[j][0]))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return total


def _indicator(name: str, unit: str, value: float, reason: str | None) -> Indicator:
    return Indicator(name=name, unit=unit, value=None if reason else value, reason=reason)


def _unknown(name: str, unit: str, reason: str) -> Indicator:
    return Indicator(name=name, unit=unit, value=None, reason=reason)
