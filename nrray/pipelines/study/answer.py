"""The answer of a study in sentences: which row to use, and why. Pure.

The best row is the one with the highest estimate; what may be claimed of it is what its intervals to all others, adjusted for
their number, allow. Of rows that cannot be told from it, the fastest and the smallest are named: they may be the better choice.
"""

from collections.abc import Mapping, Sequence

from nrray.evaluate.alignment import MAX_UNTOLD_SHARE
from nrray.evaluate.differences import Difference
from nrray.evaluate.figure_text import interval
from nrray.metrics.jackknife import Value
from nrray.pipelines.study.document import RowFigures
from nrray.wording import counted


def answer(
    rows: Sequence[RowFigures], differences: Sequence[Difference], *, macro: str, num_cases: int, chance: float | None
) -> tuple[str, ...]:
    """macro: the scope of the macro average; chance: its F1 of answering yes always."""
    measured = [row for row in rows if row.f1[macro].estimate is not None]
    if not measured:
        return (f"No row can be recommended: {macro} is not defined on these {counted(num_cases, 'case')}.",)
    best = max(measured, key=lambda row: row.f1[macro].estimate or 0.0)
    sentences = [
        f"Use {best.name!r}: its F1 of windows is the highest, {interval(best.f1[macro], 2)}, {macro}, on "
        f"{counted(num_cases, 'test case')}."
    ]
    if best.unsure + best.unparsed > MAX_UNTOLD_SHARE:
        sentences.append(
            f"Of its labels {best.unsure:.0%} are unsure and {best.unparsed:.0%} could not be read, which count as no."
        )
    low = best.f1[macro].low
    if chance is not None and (low is None or low <= chance):
        sentences.append(f"It may not be claimed to be better than answering yes always, {chance:.2f}.")
    gains = gains_of(best.name, macro, differences)
    worse = [name for name in _names(measured) if name in gains and (gains[name].low or 0) > 0]
    alike = [row for row in measured if row.name != best.name and row.name not in worse]
    if worse:
        sentences.append(f"It may be claimed to be better than {', '.join(map(repr, worse))}.")
    if alike:
        sentences.append(
            f"Of {', '.join(repr(row.name) for row in alike)} these cases do not tell whether it is better: more cases would."
        )
        sentences += _cheaper(best, alike)
    if len(measured) == 1:
        sentences.append("It is the only row: nothing is compared.")
    return tuple(sentences)


def _names(rows: Sequence[RowFigures]) -> list[str]:
    return [row.name for row in rows]


def gains_of(name: str, scope: str, differences: Sequence[Difference]) -> dict[str, Value]:
    """Every other row to what this one has more."""
    return {
        each.second if name == each.first else each.first: each.of(name)
        for each in differences
        if each.scope == scope and name in (each.first, each.second)
    }


def _cheaper(best: RowFigures, alike: Sequence[RowFigures]) -> list[str]:
    """Which of the rows that are alike labels fastest and needs no training, where that is not the best one itself."""
    sentences = []
    rates: Mapping[str, float] = {
        row.name: row.costs.windows_per_second for row in (best, *alike) if row.costs.windows_per_second is not None
    }
    if rates and (fastest := max(rates, key=lambda name: rates[name])) != best.name and best.name in rates:
        sentences.append(
            f"Of these {fastest!r} labels fastest: {rates[fastest]:.1f} windows/s a labeler, against {rates[best.name]:.1f}."
        )
    untrained = [row.name for row in alike if not row.seeds]
    if best.seeds and untrained:
        sentences.append(f"Of these {', '.join(map(repr, untrained))} need no training.")
    return sentences
