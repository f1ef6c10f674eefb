"""The inputs of a measurement besides labels: the case sidecar, the manifest and the part of a split, with notes on them."""

from collections.abc import Sequence
from dataclasses import dataclass

from nrray.archive.cases import Cases
from nrray.archive.splits import Split, check_cases, contents_by_case, noted_read, part_cases, read_split
from nrray.errors import DataError
from nrray.evaluate.labelling import Labelling
from nrray.storage import read_table


def input_notes(labellings: Sequence[Labelling], cases: Cases, *, sidecar: str | None) -> list[str]:
    """Sentences on videos without a sidecar row and on doubtful labels. Raises DataError where the sidecar in `sidecar` has no
    video of the labellings."""
    doubts = [f"{labelling.place}: {doubt}" for labelling in labellings for doubt in labelling.doubts]
    if sidecar is None:
        return [
            "Without a case sidecar every video counts as a case: several cameras of one case count as several.",
            *doubts,
        ]
    known = {path for labelling in labellings for path in labelling.paths}
    missing = sorted(known - cases.by_path.keys())
    if len(missing) == len(known):
        raise DataError(
            f"case sidecar {sidecar}: it has none of the {len(known)} videos here, such as {missing[0]!r}; it has "
            f"{', '.join(repr(row.video_path) for row in cases.rows[:2])}. Give the sidecar of this archive."
        )
    if not missing:
        return doubts
    return [
        f"{len(missing)} of {len(known)} videos are not in {sidecar}, such as {missing[0]}: each counts as a case of its own.",
        *doubts,
    ]


def read_contents_by_case(manifest: str, cases: Cases) -> dict[str, frozenset[str]]:
    """Case to the content_id of each of its videos. Raises DataError where `manifest` is the URI of no manifest."""
    table = read_table(manifest)
    if missing := [name for name in ("path", "content_id") if name not in table.column_names]:
        raise DataError(f"{manifest} is no manifest of `nrray scan`: it lacks the columns {missing}")
    return contents_by_case(table, cases)


@dataclass(frozen=True, kw_only=True)
class SplitPart:
    """The part of a split file whose cases alone are measured."""

    uri: str
    part: str
    split: Split
    case_ids: frozenset[str]


def read_split_part(uri: str, part: str, *, labellings: Sequence[Labelling], cases: Cases) -> SplitPart:
    """A split part, each of whose cases has a video in some labelling. Raises DataError."""
    split = read_split(uri)
    case_ids = part_cases(split, part)
    if not case_ids:
        raise DataError(f"split {uri}: part {part!r} has no case. Give another part, or a split with cases in it.")
    known = {case_id for labelling in labellings for case_id in cases.case_ids(labelling.paths)}
    check_cases(split, part, known, uri=uri)
    return SplitPart(uri=uri, part=part, split=split, case_ids=case_ids)


def read_note(split_part: SplitPart, *, purpose: str) -> str:
    """Note a read of the split part, and say the number of its reads."""
    number = noted_read(split_part.uri, split_part.part, split_part.case_ids, purpose=purpose)
    times = "once" if number == 1 else f"{number} times"
    return f"The {split_part.part} part of {split_part.uri} has been read {times}, this read included."
