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
    balanced_split,
    check_contents,
    is_by_hand,
    num_reads,
    split_document,
)
from nrray.errors import DataError
from nrray.evaluate.config import SplitConfig
from nrray.evaluate.inputs import read_contents_by_case
from nrray.labels import read_label_set
from nrray.storage import Folder
from nrray.types import US_PER_SECOND

_CONSEQUENCES = {
    "train": "it cannot be learned",
    "validation": "no step and no threshold can be chosen by it",
    "test": "nothing can be measured of it",
}


@dataclass(frozen=True, kw_only=True)
class WrittenSplit:
    """A split file; shares: split part to activity or site to the share of the part's cases that have it; notes: sentences on
    what a part lacks."""

    path: str
    split: Split
    shares: dict[str, dict[str, float]]
    notes: tuple[str, ...] = ()


def split(config: SplitConfig) -> WrittenSplit:
    """Assign the cases of a manifest to split parts and write the file. Raises DataError, StorageError."""
    cases = read_cases(config.cases)
    contents = read_contents_by_case(config.manifest, cases)
    case_ids = sorted(contents)
    sites = _site_strata(cases, case_ids)
    seconds: dict[str, NDArray[np.float64]] = {}
    if config.annotations is not None:
        activities = read_label_set(config.label_set).names
        seconds = _activity_seconds(config.annotations, activities, cases, case_ids)
    strata = {**{activity: amount > 0 for activity, amount in seconds.items()}, **sites}
    fractions = with_room_for_two(config.fractions, len(case_ids))
    assigned = balanced_split(
        case_ids,
        _columns(list(strata.values()), len(case_ids)).astype(bool),
        amounts=_columns(list(seconds.values()), len(case_ids)),
        fractions=fractions,
        seed=config.seed,
    )
    _check_parts(assigned, config.fractions)
    check_contents(assigned, contents)
    _check_replaceable(config.output)
    parent, _, name = config.output.rpartition("/")
    folder = Folder(parent or ".")
    folder.create()
    folder.write_bytes(name, split_document(assigned, seed=config.seed).encode())
    return WrittenSplit(
        path=config.output,
        split=assigned,
        shares=_shares(assigned, strata, case_ids),
        notes=_notes(assigned, config, seconds, case_ids),
    )


def _columns(columns: Sequence[NDArray[np.generic]], num_cases: int) -> NDArray[np.float64]:
    """(C, L) of L columns, of which there may be none."""
    empty = np.zeros((num_cases, 0), np.float64)
    return np.concatenate([empty, *(column[:, None].astype(np.float64) for column in columns)], axis=1)


def _check_parts(assigned: Split, fractions: Mapping[str, float]) -> None:
    """Raise DataError where a part that is to have cases has none."""
    for part, mine in assigned.parts.items():
        if fractions[part] and not mine:
            num_cases = sum(map(len, assigned.parts.values()))
            raise DataError(
                f"split: found {num_cases} cases, of which part {part!r} gets none at fractions {dict(fractions)}; expected at "
                f"least one for each part, and two to choose or measure on. Annotate more cases, or set fractions without that "
                f"part (fractions={{train: 0.5, validation: 0.5}})."
            )


def _notes(
    assigned: Split, config: SplitConfig, seconds: Mapping[str, NDArray[np.float64]], case_ids: Sequence[str]
) -> tuple[str, ...]:
    """Sentences on what a part lacks."""
    if config.annotations is None:
        return (
            "Without annotations=FOLDER activities could not be balanced: a part may have no case that shows one of them.",
        )
    index_of = {case_id: index for index, case_id in enumerate(case_ids)}
    notes = []
    for activity, amount in seconds.items():
        num_cases = int((amount > 0).sum())
        lacking = [
            part
            for part, mine in assigned.parts.items()
            if mine and not any(amount[index_of[case_id]] > 0 for case_id in mine)
        ]
        shown = f"{num_cases} of {len(case_ids)} cases {'shows' if num_cases == 1 else 'show'} it"
        notes += [
            f"Part {part!r} has no case that shows {activity} ({shown}): {_CONSEQUENCES[part]}." for part in lacking
        ]
    singles = [part for part, mine in assigned.parts.items() if len(mine) == 1]
    notes += [
        f"Part {part!r} has a single case: no interval, and no choice, can be made of one. Annotate more cases."
        for part in singles
    ]
    return tuple(notes)


def with_room_for_two(fractions: Mapping[str, float], num_cases: int) -> dict[str, float]:
    """Fractions by which every part that is to have a share gets at least two cases, at the cost of the largest: neither a choice
    nor an interval can be made of one case. Of too few cases for that every part gets one, and of fewer still they stay as
    they are."""
    largest = max(fractions, key=lambda name: fractions[name])
    for num_least in (2, 1):
        least = num_least / max(1, num_cases)
        small = [name for name, fraction in fractions.items() if 0 < fraction < least]
        rest = fractions[largest] - sum(least - fractions[name] for name in small)
        if rest >= least:
            return {**fractions, **dict.fromkeys(small, least), largest: rest} if small else dict(fractions)
    return dict(fractions)


def _site_strata(cases: Cases, case_ids: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Site to (C,) whether a case is of it."""
    site_of_case = {row.case_id: row.site for row in cases.rows if row.site}
    sites = sorted(set(site_of_case.values()))
    return {f"site {site}": np.array([site_of_case.get(case_id) == site for case_id in case_ids]) for site in sites}


def _activity_seconds(
    annotations: str, activities: Sequence[str], cases: Cases, case_ids: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Activity to (C,) seconds of it in a case, over all of its videos."""
    segments = read_annotations(annotations).segments
    index_of = {case_id: index for index, case_id in enumerate(case_ids)}
    seconds = {activity: np.zeros(len(case_ids)) for activity in activities}
    columns = (segments[name].to_pylist() for name in ("path", "activity", "start_us", "end_us"))
    for path, activity, start, end in zip(*columns, strict=True):
        index = index_of.get(cases.case_of(path))
        if activity in seconds and index is not None:
            seconds[activity][index] += (end - start) / US_PER_SECOND
    return seconds


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
