"""Nested subsets of the training cases, of growing sizes, each of which shows every activity. Knows no pixels and no Ray."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from nrray.errors import ConfigError, DataError
from nrray.labels import LabelSet
from nrray.train.examples import Examples


def sizes_of(text: str) -> tuple[int, ...]:
    """Growing numbers of cases of a text such as "1,2,4,8". Raises ConfigError."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ConfigError(f"--curve: found {text!r}, expected numbers of cases with commas, such as 1,2,4,8.")
    sizes = tuple(int(word) for word in words)
    if len(sizes) < 2 or any(left >= right for left, right in pairwise(sizes)):
        raise ConfigError(f"--curve: found {text!r}, expected two or more numbers of cases, each above the one before.")
    return sizes


def shown_activities(examples: Examples, names: Sequence[str]) -> dict[str, frozenset[int]]:
    """Case to the columns of the activities that its windows show. names: of the cases, as `examples.cases` counts them."""
    found: dict[str, frozenset[int]] = {}
    for case in np.unique(examples.cases).tolist():
        is_shown = examples.targets[examples.cases == case].any(axis=0)
        found[names[case]] = frozenset(np.flatnonzero(is_shown).tolist())
    return found


def nested_subsets(
    shown: Mapping[str, frozenset[int]], sizes: Sequence[int], label_set: LabelSet, *, seed: int
) -> list[tuple[str, ...]]:
    """Cases of each size; each subset begins with the one before. First come as few cases as show all activities, then the others
    in drawn order. shown: case to the columns of its activities.

    Raises DataError where there are fewer cases than the largest size, or no subset of the smallest shows every activity: nothing
    could be learned of one that is missing.
    """
    if sizes[-1] > len(shown):
        raise DataError(
            f"--curve: found {sizes[-1]} cases, but the train part has {len(shown)} with windows to train on. Give sizes up to "
            f"{len(shown)}, or annotate more cases."
        )
    names = sorted(shown)
    drawn = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    cover = _smallest_cover({case: shown[case] for case in drawn})
    if len(cover) > sizes[0]:
        missing = frozenset(range(len(label_set.names))) - frozenset().union(
            *(shown[case] for case in cover[: sizes[0]])
        )
        lacking = ", ".join(label_set.names[column] for column in sorted(missing))
        raise DataError(
            f"--curve: found {sizes[0]} as the smallest number of cases, but no {_cases_text(sizes[0])} of the train part show "
            f"every activity ({', '.join(cover[: sizes[0]])}: no window of {lacking}); {_cases_text(len(cover))} do. Begin with "
            f"{len(cover)}, or annotate a case that shows all of them."
        )
    order = [*cover, *(case for case in drawn if case not in cover)]
    return [tuple(order[:size]) for size in sizes]


def _smallest_cover(shown: Mapping[str, frozenset[int]]) -> tuple[str, ...]:
    """The fewest cases that together show all that any shows; of equally few, those that are named first."""
    fewest: dict[frozenset[int], tuple[str, ...]] = {frozenset(): ()}
    for case, activities in shown.items():
        for covered, cases in list(fewest.items()):
            both = covered | activities
            if both not in fewest or len(cases) + 1 < len(fewest[both]):
                fewest[both] = (*cases, case)
    return fewest[frozenset().union(*shown.values())]


def _cases_text(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"
