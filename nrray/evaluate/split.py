"""The verb `split`: cases of a manifest assigned to train, validation and test, written as a plain file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.archive.annotations import read_annotations
from nrray.archive.cases import Cases, read_cases
from nrray.archive.splits import (
    READS_SUFFIX,
    Split,
    check_contents,
    is_by_hand,
    num_reads,
    split_document,
    stratified_split,
)
from nrray.errors import DataError
from nrray.evaluate.config import SplitConfig
from nrray.evaluate.inputs import read_contents_by_case
from nrray.labels import read_label_set
from nrray.storage import Folder


@dataclass(frozen=True, kw_only=True)
class WrittenSplit:
    """A split file; shares: split part to activity or site to the share of the part's cases that have it."""

    path: str
    split: Split
    shares: dict[str, dict[str, float]]


def split(config: SplitConfig) -> WrittenSplit:
    """Assign the cases of a manifest to split parts and write the file. Raises DataError, StorageError."""
    cases = read_cases(config.cases)
    contents = read_contents_by_case(config.manifest, cases)
    case_ids = sorted(contents)
    strata = _site_strata(cases, case_ids)
    if config.annotations is not None:
        activities = read_label_set(config.label_set).names
        strata = {**_activity_strata(config.annotations, activities, cases, case_ids), **strata}
    labels = np.stack(list(strata.values()), axis=1) if strata else np.zeros((len(case_ids), 0), bool)
    fractions = with_room_for_two(config.fractions, len(case_ids))
    assigned = stratified_split(case_ids, labels, fractions=fractions, seed=config.seed)
    check_contents(assigned, contents)
    _check_replaceable(config.output)
    parent, _, name = config.output.rpartition("/")
    folder = Folder(parent or ".")
    folder.create()
    folder.write_bytes(name, split_document(assigned, seed=config.seed).encode())
    return WrittenSplit(path=config.output, split=assigned, shares=_shares(assigned, strata, case_ids))


def with_room_for_two(fractions: Mapping[str, float], num_cases: int) -> dict[str, float]:
    """Fractions by which every part that is to have a share gets at least two cases, at the cost of the largest: neither a choice
    nor an interval can be made of one case. Of too few cases for that they stay as they are."""
    least = 2 / max(1, num_cases)
    small = [name for name, fraction in fractions.items() if 0 < fraction < least]
    largest = max(fractions, key=lambda name: fractions[name])
    rest = fractions[largest] - sum(least - fractions[name] for name in small)
    if not small or rest < least:
        return dict(fractions)
    return {**fractions, **dict.fromkeys(small, least), largest: rest}


def _site_strata(cases: Cases, case_ids: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Site to (C,) whether a case is of it."""
    site_of_case = {row.case_id: row.site for row in cases.rows if row.site}
    sites = sorted(set(site_of_case.values()))
    return {f"site {site}": np.array([site_of_case.get(case_id) == site for case_id in case_ids]) for site in sites}


def _activity_strata(
    annotations: str, activities: Sequence[str], cases: Cases, case_ids: Sequence[str]
) -> dict[str, NDArray[np.bool_]]:
    """Activity to (C,) whether a case has it."""
    segments = read_annotations(annotations).segments
    pairs = segments.group_by(["path", "activity"]).aggregate([])
    cases_with: dict[str, set[str]] = {activity: set() for activity in activities}
    for path, activity in zip(pairs["path"].to_pylist(), pairs["activity"].to_pylist(), strict=True):
        if activity in cases_with:
            cases_with[activity].add(cases.case_of(path))
    return {
        activity: np.array([case_id in those for case_id in case_ids], bool) for activity, those in cases_with.items()
    }


def _check_replaceable(uri: str) -> None:
    """Raise DataError where a split is in `uri` that has been read, or that a person wrote."""
    if reads := num_reads(uri):
        times = "once" if reads == 1 else f"{reads} times"
        raise DataError(
            f"split {uri}: found a split that has been read {times}, which another one in its place would "
            f"hide. Give another output=FILE, or delete it and its {READS_SUFFIX} yourself."
        )
    if is_by_hand(uri):
        raise DataError(
            f"split {uri}: found a file that was written or edited by hand, which another one in its place would undo. "
            f"Give another output=FILE, or delete it."
        )


def _shares(
    assigned: Split, strata: Mapping[str, NDArray[np.bool_]], case_ids: Sequence[str]
) -> dict[str, dict[str, float]]:
    index_of = {case_id: i for i, case_id in enumerate(case_ids)}
    return {
        part: {
            name: float(values[[index_of[case_id] for case_id in mine]].mean()) if mine else 0.0
            for name, values in strata.items()
        }
        for part, mine in assigned.parts.items()
    }
