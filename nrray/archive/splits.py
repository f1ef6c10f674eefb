"""Assignment of cases to the train, validation and test part: a plain JSON file that people may write, and its checks.

A split is by case, never by video or window: videos of one case resemble each other. Reads of a split part are noted in
a file beside the split, so that tuning on the test part leaves a trace; a copy under another name in the same folder
continues the count.
"""

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from nrray.archive.cases import Cases
from nrray.config import Section
from nrray.documents import section_from
from nrray.errors import DataError
from nrray.nested import json_from
from nrray.storage import Folder

SPLIT_PARTS = ("train", "validation", "test")
SPLIT_FILE = "split.json"  # beside a model: the split that it was trained on
READS_SUFFIX = ".reads.jsonl"
FEWEST_DEALS, MOST_DEALS = 5, 100  # of which the best is kept
_CASES_DEALT = 5_000  # in all deals, and swaps: a second
_SWAPS = 10_000
_NOTHING = 1e-9  # shares are sums of fractions


@dataclass(frozen=True, kw_only=True)
class Split:
    """parts: split part to its cases, sorted."""

    parts: dict[str, tuple[str, ...]]


class TrainedSplit(Section):
    """The split that a model was trained with, kept beside the model. parts: part to its cases; videos: part to digests of its
    videos' paths, for those who call its cases otherwise."""

    parts: dict[str, tuple[str, ...]]
    videos: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def read_trained_split(model: Folder) -> TrainedSplit | None:
    """The split in the folder of a model; None where it has none. Raises DataError, StorageError."""
    if not model.exists(SPLIT_FILE):
        return None
    return section_from(TrainedSplit, model.read_json(SPLIT_FILE), name=SPLIT_FILE, folder=str(model))


def stratified_split(
    cases: Sequence[str],
    labels: NDArray[np.bool_],
    *,
    fractions: Mapping[str, float],
    seed: int,
) -> Split:
    """Cases assigned to split parts so that each part has the given fraction of every label: iterative stratification
    (Sechidis, Tsoumakas, Vlahavas 2011), rarest label first. labels: (C, L), the activities and site of each case."""
    return _split_of(cases, _dealt(labels, fractions=fractions, random=np.random.default_rng(seed)), fractions)


def balanced_split(
    cases: Sequence[str],
    labels: NDArray[np.bool_],
    *,
    amounts: NDArray[np.float64],
    fractions: Mapping[str, float],
    seed: int,
) -> Split:
    """The best of many stratified deals, made better by swaps of two cases: the fewest parts lack a label, the train part before
    all, and sizes, labels and amounts are as near to the fractions as swaps bring them. labels: (C, L), as in `stratified_split`;
    amounts: (C, A), such as seconds of each activity. The number of tries depends on that of cases alone."""
    balance = _Balance(labels, amounts, np.array([fractions[name] for name in fractions]))
    num_deals = min(MOST_DEALS, max(FEWEST_DEALS, _CASES_DEALT // max(1, len(cases))))
    deals = (
        _dealt(labels, fractions=fractions, random=np.random.default_rng([seed, deal])) for deal in range(num_deals)
    )
    part_of = min(deals, key=lambda dealt: balance.unevenness(balance.totals(dealt)))  # of equal ones the first
    part_of = balance.swapped(part_of, np.random.default_rng([seed, num_deals]))
    return _split_of(cases, part_of, fractions)


class _Balance:
    """How evenly cases are dealt. Columns of its totals: the number of cases, labels, amounts, each as a share of all cases'."""

    def __init__(self, labels: NDArray[np.bool_], amounts: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
        every = np.concatenate([np.ones((len(labels), 1)), labels, amounts], axis=1)
        sums = every.sum(axis=0)
        self._columns = every[:, sums > 0] / sums[sums > 0]
        self._num_labels = int((labels.sum(axis=0) > 0).sum())
        self._shares = shares

    def totals(self, part_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """(P, K) shares of all columns that each part has."""
        return np.stack([self._columns[part_of == part].sum(axis=0) for part in range(len(self._shares))])

    def unevenness(self, totals: NDArray[np.float64]) -> tuple[tuple[int, ...], float]:
        """Less is better: how many labels the parts lack in all, then each in order; then the distance from the fractions."""
        lacking = (totals[:, 1 : 1 + self._num_labels] < _NOTHING).sum(axis=1) * (self._shares > 0)
        distance = float(((totals - self._shares[:, None]) ** 2).sum())
        return (int(lacking.sum()), *map(int, lacking)), distance

    def swapped(self, part_of: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """With all swaps of two random cases that make it better, of a number of tries."""
        part_of, totals = part_of.copy(), self.totals(part_of)
        best = self.unevenness(totals)
        for one, other in random.integers(0, max(1, len(part_of)), (_SWAPS, 2)).tolist() if len(part_of) else ():
            here, there = part_of[one], part_of[other]
            if here == there:
                continue
            moved = self._columns[other] - self._columns[one]
            changed = totals.copy()
            changed[here] += moved
            changed[there] -= moved
            if (found := self.unevenness(changed)) < best:
                best, totals = found, changed
                part_of[one], part_of[other] = there, here
        return part_of


def _split_of(cases: Sequence[str], part_of: NDArray[np.int64], names: Iterable[str]) -> Split:
    return Split(
        parts={
            name: tuple(sorted(cases[i] for i in np.flatnonzero(part_of == n).tolist())) for n, name in enumerate(names)
        }
    )


def _dealt(
    labels: NDArray[np.bool_], *, fractions: Mapping[str, float], random: np.random.Generator
) -> NDArray[np.int64]:
    """(C,) index of each case's part."""
    share = np.array(list(fractions.values()))
    wanted = share * len(labels)
    wanted_by_label = share[:, None] * labels.sum(axis=0)[None, :]
    part_of: NDArray[np.int64] = np.full(len(labels), -1)
    while (open_cases := np.flatnonzero(part_of < 0)).size:
        remaining = labels[open_cases].sum(axis=0)
        if remaining.any():
            label = int(np.where(remaining > 0, remaining, np.iinfo(np.int64).max).argmin())
            chosen = open_cases[labels[open_cases, label]]
        else:
            label, chosen = -1, open_cases
        for case in random.permutation(chosen):
            need = wanted_by_label[:, label] if label >= 0 else wanted
            best = np.flatnonzero(need == need.max())
            if len(best) > 1:  # of parts with equal need, the one with most room
                best = best[wanted[best] == wanted[best].max()]
            part = int(random.choice(best))
            part_of[case] = part
            wanted[part] -= 1
            wanted_by_label[part] -= labels[case]
    return part_of


def split_document(split: Split, *, seed: int | None) -> str:
    """The split as JSON text."""
    document = {"schema_version": 1, "seed": seed, "digest": _digest(split.parts), "parts": split.parts}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def path_digest(path: str) -> str:
    """A digest that stands for a video where its name must not be told: names may identify people."""
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def is_by_hand(uri: str) -> bool:
    """Whether a person has written or changed the split in `uri`; false without a file. Raises StorageError, DataError."""
    folder, name = _located_file(uri)
    try:
        document = folder.read_json(name)
    except FileNotFoundError:
        return False
    return not isinstance(document, dict) or document.get("digest") != _digest(document.get("parts"))


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def read_split(uri: str) -> Split:
    """The split in a file. Raises DataError where the file is missing or no split, or a case is in two parts."""
    folder, name = _located_file(uri)
    try:
        document = folder.read_json(name)
    except FileNotFoundError:
        raise DataError(f"split {uri}: not found. Make one with `nrray split`, or write it by hand.") from None
    except DataError as error:
        raise DataError(f"split {uri}: {error}. Make it again with `nrray split`, or mend it by hand.") from None
    parts = document.get("parts") if isinstance(document, dict) else None
    if not isinstance(parts, dict) or not all(
        isinstance(cases, list) and all(isinstance(case, str) for case in cases) for cases in parts.values()
    ):
        raise DataError(f'split {uri}: expected {{"parts": {{"train": ["case", ...], "test": [...]}}}}.')
    part_of: dict[str, str] = {}
    for part, cases in parts.items():
        for case in cases:
            if case in part_of:
                raise DataError(
                    f"split {uri}: case {case!r} is in {part_of[case]} and in {part}, expected in one part."
                )
            part_of[case] = part
    return Split(parts={part: tuple(cases) for part, cases in parts.items()})


def contents_by_case(manifest: pa.Table, cases: Cases) -> dict[str, frozenset[str]]:
    """Case to the content_id of each of its videos in a manifest."""
    found: dict[str, set[str]] = {}
    for path, content in zip(manifest["path"].to_pylist(), manifest["content_id"].to_pylist(), strict=True):
        found.setdefault(cases.case_of(path), set()).add(content)
    return {case: frozenset(contents) for case, contents in found.items()}


def check_contents(split: Split, contents_of_case: Mapping[str, frozenset[str]]) -> None:
    """Raise DataError where one video's content is in cases of two parts: copies under two names."""
    seen: dict[str, tuple[str, str]] = {}
    for part, cases in split.parts.items():
        for case in cases:
            for content in sorted(contents_of_case.get(case, frozenset())):
                other_part, other_case = seen.setdefault(content, (part, case))
                if other_part != part:
                    raise DataError(
                        f"split: the same video content {content} is in {other_case!r} ({other_part}) and in {case!r} "
                        f"({part}). Put both cases into one part, or take the copy out."
                    )


def part_cases(split: Split, part: str) -> frozenset[str]:
    """The cases of one split part. Raises DataError where the split has no such part."""
    if part not in split.parts:
        raise DataError(f"split: found parts {', '.join(split.parts)}, expected one named {part!r}.")
    return frozenset(split.parts[part])


def check_cases(split: Split, part: str, known: Collection[str], *, uri: str) -> None:
    """Raise DataError where a case of `part` is none of the `known` ones."""
    if unknown := sorted(set(split.parts[part]) - set(known)):
        raise DataError(
            f"split {uri}: {len(unknown)} of {len(split.parts[part])} cases of part {part!r} are of no video here, such as "
            f"{unknown[0]!r}; known are {', '.join(repr(case) for case in sorted(known)[:3])}, ... Give the case sidecar that "
            f"the split was made with (cases=FILE), or correct the file."
        )


def num_reads(uri: str) -> int:
    """The number of reads of any part of the split."""
    folder, name = _located_file(uri)
    notes = name + READS_SUFFIX
    return len(folder.read_bytes(notes).splitlines()) if folder.exists(notes) else 0


def noted_read(uri: str, part: str, part_cases: Collection[str], *, purpose: str) -> int:
    """Note a read of `part` of the split in `uri`; returns the number of reads, this one included: of the part of this name
    in this file, and of the same cases in any split of its folder."""
    folder, name = _located_file(uri)
    cases = hashlib.sha256("\n".join(sorted(part_cases)).encode()).hexdigest()
    notes = name + READS_SUFFIX
    old = folder.read_bytes(notes) if folder.exists(notes) else b""
    line = json.dumps({"part": part, "cases": cases, "time": round(time.time()), "what": purpose}, ensure_ascii=False)
    folder.write_bytes(notes, old + line.encode() + b"\n")
    count = 0
    for other in folder.names(READS_SUFFIX):
        for text in folder.read_bytes(other).splitlines():
            read = json_from(text)
            count += read.get("cases") == cases or (other == notes and read["part"] == part)
    return count


def _located_file(uri: str) -> tuple[Folder, str]:
    parent, _, name = uri.rpartition("/")
    return Folder(parent or "."), name
