"""Which activities are good enough: the answer that a report begins with.

In: the document of an evaluation. An activity is good enough where even the lower end of the interval of its F1 of time
reaches the level that the settings state, and lies above chance; not good enough where even the upper end does not.
"""

from dataclasses import dataclass
from enum import Enum

from nrray.evaluate.document import EvaluationDocument
from nrray.evaluate.metric_rows import MetricRow
from nrray.metrics.jackknife import Value

VERDICT_METRIC = "time f1"
MIN_CASES_WITH = 4  # cases that show the activity: of fewer an interval over cases says nothing


class Verdict(str, Enum):
    """The answer for one activity."""

    GOOD = "good enough"
    POOR = "not good enough"
    UNDECIDED = "cannot be said"


@dataclass(frozen=True, kw_only=True)
class ActivityVerdict:
    """row: of the activity, with the amount of reference that the verdict rests on; chance: F1 of the best chance baseline, None
    where none is defined."""

    row: MetricRow
    f1: Value
    chance: float | None
    verdict: Verdict
    reason: str


def verdicts(document: EvaluationDocument) -> list[ActivityVerdict]:
    """One per activity, in the order of the label set."""
    return [_verdict(document, row) for row in document.activity_rows]


def verdict_sentence(document: EvaluationDocument) -> str:
    """The activities by verdict, in one sentence."""
    found = verdicts(document)
    named = {
        verdict: [each.row.name for each in found if each.verdict is verdict]
        for verdict in (Verdict.GOOD, Verdict.POOR, Verdict.UNDECIDED)
    }
    text = "; ".join(f"{verdict.value}: {', '.join(names) or 'none'}" for verdict, names in named.items())
    return text[0].upper() + text[1:]  # names of activities keep their letters


def criterion_sentence(document: EvaluationDocument) -> str:
    """What good enough means."""
    return (
        f"Good enough: the lower end of the 95 % interval of F1 over time is at least "
        f"{document.settings.sufficient_f1:.2f} and above the best chance baseline, and {MIN_CASES_WITH} cases or more show the "
        f"activity. Not good enough: not even the upper end is. There is no agreed level; sufficient_f1 sets it."
    )


def _verdict(document: EvaluationDocument, row: MetricRow) -> ActivityVerdict:
    level, f1 = document.settings.sufficient_f1, row.values[VERDICT_METRIC]
    by_baseline = document.baselines.get(row.name, {}).values()
    chance = max((value for base in by_baseline if (value := base[VERDICT_METRIC]) is not None), default=None)
    verdict, reason = _judged(f1, num_cases_with=row.num_cases_with, level=level, chance=chance or 0.0)
    return ActivityVerdict(row=row, f1=f1, chance=chance, verdict=verdict, reason=reason)


def _judged(f1: Value, *, num_cases_with: int | None, level: float, chance: float) -> tuple[Verdict, str]:
    if num_cases_with is None:
        return Verdict.UNDECIDED, "not labelled by both"
    if num_cases_with == 0:
        return Verdict.UNDECIDED, "no case of the reference shows it"
    if num_cases_with < MIN_CASES_WITH:
        return Verdict.UNDECIDED, f"fewer than {MIN_CASES_WITH} cases show it"
    if f1.low is None or f1.high is None:
        return Verdict.UNDECIDED, "too few cases for an interval"
    if f1.high < level:
        return Verdict.POOR, f"even the upper end is below {level:.2f}"
    if f1.high <= chance:
        return Verdict.POOR, "even the upper end is no better than chance"
    if f1.low < level:
        return Verdict.UNDECIDED, f"the interval holds {level:.2f}"
    if f1.low <= chance:
        return Verdict.UNDECIDED, "the interval holds chance"
    return Verdict.GOOD, f"even the lower end is at least {level:.2f}"
