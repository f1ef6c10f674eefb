"""Would more cases help? Sentences on the paired difference between the two largest numbers of cases."""

from collections.abc import Sequence

from nrray.evaluate.differences import Difference


def claims(differences: Sequence[Difference], *, smaller: int, larger: int) -> tuple[str, ...]:
    """What may be claimed of the larger minus the smaller number of training cases: of the macro average, which comes first, then
    of the activities."""
    macro, *activities = differences
    return (_macro_claim(macro, smaller=smaller, larger=larger), *_activity_claims(activities))


def _macro_claim(macro: Difference, *, smaller: int, larger: int) -> str:
    low, high = macro.value.low, macro.value.high
    between = f"From {smaller} to {larger} cases macro F1"
    if macro.value.estimate is None:
        return f"{between} is not defined in these test cases: nothing may be claimed."
    if low is None or high is None:
        return f"{between} {_change(macro)}; the test cases give no interval: nothing may be claimed."
    if low > 0:
        verdict = "more cases help"
    elif high < 0:
        verdict = "more cases like these do not help"
    else:
        verdict = f"{larger} cases do not show that more would help"
    return f"{between} {_change(macro)}: {verdict}."


def _activity_claims(differences: Sequence[Difference]) -> list[str]:
    rising = [difference for difference in differences if (difference.value.low or 0) > 0]
    others = [difference for difference in differences if difference not in rising]
    sentences = []
    if rising:
        sentences.append(f"Still rising: {_listed(rising)}.")
    if others:
        sentences.append(f"Not shown to be rising: {_listed(others)}.")
    return sentences


def _listed(differences: Sequence[Difference]) -> str:
    return ", ".join(f"{difference.scope} {_change(difference)}" for difference in differences)


def _change(difference: Difference) -> str:
    """Rose or fell, by how much, in which interval."""
    value = difference.value
    if value.estimate is None:
        return "is not defined"
    sign = 1 if value.estimate >= 0 else -1
    text = f"{'rose' if sign > 0 else 'fell'} by {abs(value.estimate):.2f}"
    if value.low is None or value.high is None:
        return text
    low, high = sorted((sign * value.low, sign * value.high))
    return f"{text} ({low + 0.0:.2f} to {high + 0.0:.2f})"
