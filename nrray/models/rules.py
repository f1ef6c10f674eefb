"""From scores to states: thresholds, then the label set's rules. Pure numpy."""

import numpy as np
from numpy.typing import NDArray

from nrray.labels import LabelSet
from nrray.types import STATE_INDEX, LabelState


def states_from_scores(
    scores: NDArray[np.float32], *, thresholds: NDArray[np.float32], label_set: LabelSet
) -> NDArray[np.uint8]:
    """(W, A) states of (W, A) scores: present at or above the threshold, and as the rules allow; UNPARSED where a score is no
    number, which is no claim of absence."""
    present = apply_rules(scores >= thresholds, scores=scores, thresholds=thresholds, label_set=label_set)
    claimed = np.where(present, STATE_INDEX[LabelState.PRESENT], STATE_INDEX[LabelState.ABSENT])
    states: NDArray[np.uint8] = np.where(np.isfinite(scores), claimed, STATE_INDEX[LabelState.UNPARSED]).astype(
        np.uint8
    )
    return states


def rethresholded_answers(
    scores: NDArray[np.float32], states: NDArray[np.uint8], *, thresholds: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """(W, A) states with plain answers decided anew; thresholds: (A,), NaN where an activity keeps its answers. Answers
    that were unsure or could not be parsed stay so."""
    plain = [STATE_INDEX[LabelState.PRESENT], STATE_INDEX[LabelState.ABSENT]]
    is_free = np.isin(states, plain) & np.isfinite(scores) & np.isfinite(thresholds)
    decided: NDArray[np.uint8] = np.where(is_free, np.where(scores >= thresholds, *plain), states).astype(np.uint8)
    return decided


def without_contradictions(states: NDArray[np.uint8], label_set: LabelSet) -> NDArray[np.uint8]:
    """(W, A) states of answers in words, all those UNSURE that contradict another by the rules: both of an exclusive pair that
    are present; one that is present while the activity that must be visible is absent, and that one too. Which of them is wrong
    is not known."""
    names = label_set.names
    present, absent = (states == STATE_INDEX[state] for state in (LabelState.PRESENT, LabelState.ABSENT))
    contradicts = np.zeros(states.shape, bool)
    for first, second in label_set.rules.exclusive_pairs:
        pair = [names.index(first), names.index(second)]
        contradicts[:, pair] |= present[:, pair].all(axis=1, keepdims=True)
    if label_set.rules.requires_visible is not None:
        visible = names.index(label_set.rules.requires_visible)
        unseen = present & absent[:, visible : visible + 1]
        contradicts |= unseen
        contradicts[:, visible] |= unseen.any(axis=1)
    found: NDArray[np.uint8] = np.where(contradicts, STATE_INDEX[LabelState.UNSURE], states).astype(np.uint8)
    return found


def apply_rules(
    present: NDArray[np.bool_],
    *,
    scores: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    label_set: LabelSet,
) -> NDArray[np.bool_]:
    """(W, A) claims that can be true at once.

    Of an exclusive group the one furthest above its threshold stays, in shares of the way from threshold to 1; a tie
    keeps the group's first. Nothing stays where the activity that must be visible is absent.
    """
    kept = present.copy()
    margin = (scores - thresholds) / np.maximum(1 - thresholds, 1e-6)
    names = label_set.names
    for first, second in label_set.rules.exclusive_pairs:
        a, b = names.index(first), names.index(second)
        both = kept[:, a] & kept[:, b]
        first_wins = margin[:, a] >= margin[:, b]
        kept[:, b] &= ~(both & first_wins)
        kept[:, a] &= ~(both & ~first_wins)
    if label_set.rules.requires_visible is not None:
        visible = names.index(label_set.rules.requires_visible)
        kept &= kept[:, visible : visible + 1]
    return kept
