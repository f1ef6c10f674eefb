"""Hallucination: what a labelling claims of windows without ground, as shares with intervals over cases.

Labels are compared with a reference over the same windows. An answer counts as plain where it claims presence or absence: what
could not be read is a share of its own, and is never taken for a yes or a no.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.evaluate.alignment import Alignment
from nrray.labels import LabelSet
from nrray.metrics.counts import divided
from nrray.metrics.jackknife import SHARE, Value, difference_of, jackknifed_sums, value_of
from nrray.types import STATE_INDEX, LabelState

PRESENT, ABSENT, UNSURE, UNPARSED = (
    STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT, LabelState.UNSURE, LabelState.UNPARSED)
)


@dataclass(frozen=True, kw_only=True)
class ActivityHallucination:
    """Of one activity. yes_rate: plain answers that claim it; prevalence: the same windows, by the reference; yes_difference:
    yes_rate - prevalence, the yes-difference of VideoHallucer (Wang et al. 2024, arXiv 2406.16338); false_yes: windows that do
    not have it and are claimed to, 1 - specificity; unseen_yes: the same among windows in which the activity that must be visible
    is absent, None for that one and for a label set without one; unparsed, unsure: of all windows that were asked about."""

    activity: str
    num_windows: int
    yes_rate: Value
    prevalence: Value
    yes_difference: Value
    false_yes: Value
    unseen_yes: Value | None
    unparsed: Value
    unsure: Value


@dataclass(frozen=True, kw_only=True)
class Hallucination:
    """What a labelling claims without ground. broken_rules: windows whose claims cannot be true at once by the label set's rules;
    None for one without rules."""

    activities: tuple[ActivityHallucination, ...]
    broken_rules: Value | None


def hallucination(alignment: Alignment, label_set: LabelSet) -> Hallucination | None:
    """The figures of a candidate's windows; None where it has none, as annotations have."""
    windows = alignment.windows
    if windows.states is None:
        return None
    shares = _Shares(windows.case, len(alignment.cases))
    visible = label_set.rules.requires_visible
    is_unseen = None
    if visible is not None and alignment.is_labelled[alignment.activities.index(visible)]:
        is_unseen = ~windows.reference[:, alignment.activities.index(visible)]
    return Hallucination(
        activities=tuple(
            _of_activity(
                name,
                windows.states[:, i],
                windows.reference[:, i],
                is_unseen if name != visible else None,
                shares=shares,
            )
            for i, name in enumerate(alignment.activities)
            if alignment.is_labelled[i]
        ),
        broken_rules=_broken_rules(windows.states, alignment.activities, label_set, shares=shares),
    )


def yes_rates(alignment: Alignment) -> dict[str, tuple[Value, Value]]:
    """Activity to the yes-rate among windows that have it by the reference, and among those that have not."""
    windows = alignment.windows
    assert windows.states is not None
    shares = _Shares(windows.case, len(alignment.cases))
    found = {}
    for i, name in enumerate(alignment.activities):
        states, reference = windows.states[:, i], windows.reference[:, i]
        is_plain = (states == PRESENT) | (states == ABSENT)
        found[name] = (
            shares.of(states == PRESENT, among=is_plain & reference),
            shares.of(states == PRESENT, among=is_plain & ~reference),
        )
    return found


def contradiction(
    first: NDArray[np.uint8], second: NDArray[np.uint8], case: NDArray[np.int64], num_cases: int
) -> list[Value]:
    """(A,) of windows that are answered plainly twice, the share whose answers contradict each other. first, second: (W, A)
    states of the same windows; case: (W,)."""
    shares = _Shares(case, num_cases)
    is_plain = np.isin(first, (PRESENT, ABSENT)) & np.isin(second, (PRESENT, ABSENT))
    return [shares.of(first[:, i] != second[:, i], among=is_plain[:, i]) for i in range(first.shape[1])]


@dataclass(frozen=True, kw_only=True)
class Mentions:
    """What captions of W windows say, against the reference: claimed, reference: (W, A) bool; case: (W,)."""

    claimed: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    case: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CaptionHallucination:
    """CHAIR's two figures (Rohrbach et al. 2018, arXiv 1809.02156) for activities in the place of objects, by the label set's
    words for them. denied_claims (CHAIRi): claims that the reference denies, of all claims; captions_with_denied (CHAIRs):
    captions with such a claim; omitted: activities that the reference has and the caption of the window does not claim."""

    denied_claims: Value
    captions_with_denied: Value
    omitted: Value
    num_captions: int
    by_activity: Mapping[str, Value]  # denied claims of each activity, of all its claims


def caption_hallucination(mentions: Mentions, activities: Sequence[str], num_cases: int) -> CaptionHallucination:
    """The figures of captions."""
    claimed, reference, case = mentions.claimed, mentions.reference, mentions.case
    shares = _Shares(case, num_cases)
    denied = claimed & ~reference
    has_denied = np.asarray(denied.any(axis=1), bool)
    return CaptionHallucination(
        denied_claims=shares.of_sums(denied.sum(axis=1), claimed.sum(axis=1)),
        captions_with_denied=shares.of(has_denied, among=np.ones(len(case), bool)),
        omitted=shares.of_sums((reference & ~claimed).sum(axis=1), reference.sum(axis=1)),
        num_captions=len(case),
        by_activity={name: shares.of(denied[:, i], among=claimed[:, i]) for i, name in enumerate(activities)},
    )


class _Shares:
    """Shares of windows, with intervals over their cases."""

    def __init__(self, case: NDArray[np.int64], num_cases: int) -> None:
        self._case, self._num_cases = case, num_cases

    def of(self, is_so: NDArray[np.bool_], *, among: NDArray[np.bool_]) -> Value:
        return self.of_sums((is_so & among).astype(np.int64), among.astype(np.int64))

    def of_sums(self, above: NDArray[np.int64], below: NDArray[np.int64]) -> Value:
        return value_of(self._jackknifed(above, below), SHARE)

    def difference(self, first: NDArray[np.bool_], second: NDArray[np.bool_], *, among: NDArray[np.bool_]) -> Value:
        below = among.astype(np.int64)
        return difference_of(
            self._jackknifed((first & among).astype(np.int64), below),
            self._jackknifed((second & among).astype(np.int64), below),
            SHARE,
        )

    def _jackknifed(self, above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
        top, bottom = (
            np.bincount(self._case, weights=values, minlength=self._num_cases).astype(np.float64)
            for values in (above, below)
        )
        return divided(jackknifed_sums(top), jackknifed_sums(bottom))


def _of_activity(
    name: str,
    states: NDArray[np.uint8],
    reference: NDArray[np.bool_],
    is_unseen: NDArray[np.bool_] | None,
    *,
    shares: _Shares,
) -> ActivityHallucination:
    is_yes = states == PRESENT
    is_plain = is_yes | (states == ABSENT)
    is_asked = is_plain | (states == UNSURE) | (states == UNPARSED)
    return ActivityHallucination(
        activity=name,
        num_windows=int(is_asked.sum()),
        yes_rate=shares.of(is_yes, among=is_plain),
        prevalence=shares.of(reference, among=is_plain),
        yes_difference=shares.difference(is_yes, reference, among=is_plain),
        false_yes=shares.of(is_yes, among=is_plain & ~reference),
        unseen_yes=None if is_unseen is None else shares.of(is_yes, among=is_plain & is_unseen),
        unparsed=shares.of(states == UNPARSED, among=is_asked),
        unsure=shares.of(states == UNSURE, among=is_asked),
    )


def _broken_rules(
    states: NDArray[np.uint8], activities: Sequence[str], label_set: LabelSet, *, shares: _Shares
) -> Value | None:
    rules = label_set.rules
    if rules.requires_visible is None and not rules.exclusive:
        return None
    is_yes = states == PRESENT
    is_broken = np.zeros(len(states), bool)
    for first, second in rules.exclusive_pairs:
        is_broken |= is_yes[:, activities.index(first)] & is_yes[:, activities.index(second)]
    if rules.requires_visible is not None:
        visible = activities.index(rules.requires_visible)
        is_broken |= (states[:, visible] == ABSENT) & np.delete(is_yes, visible, axis=1).any(axis=1)
    return shares.of(is_broken, among=np.ones(len(states), bool))
