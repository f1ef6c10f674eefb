"""The inputs of a fine-tuning beside the checkpoint: manifest, annotations, cases and split, read and checked together."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from nrray.archive.annotations import Annotations, read_annotations
from nrray.archive.cases import Cases, read_cases
from nrray.archive.manifest import check_manifest
from nrray.archive.splits import Split, check_contents, contents_by_case, part_cases, read_split
from nrray.errors import DataError
from nrray.storage import read_table
from nrray.train.job import TRAINED_PARTS

_NEEDED = {"train": "one, to learn from", "validation": "2, to choose steps and thresholds on"}


@dataclass(frozen=True, kw_only=True)
class FinetuneInputs:
    """split_of_case: of the cases that are trained or validated on; notes: sentences about cases that are not used."""

    manifest: pa.Table
    annotations: Annotations
    cases: Cases
    split: Split
    split_of_case: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def trained_videos(self) -> pa.Table:
        """The manifest's rows of these cases."""
        case_ids = self.cases.case_ids(self.manifest["path"].to_pylist())
        return self.manifest.filter(pa.array([case_id in self.split_of_case for case_id in case_ids], pa.bool_()))


def read_inputs(*, manifest: str, annotations: str, cases: str | None, split: str) -> FinetuneInputs:
    """Read the files of a config. Raises DataError where one cannot be used, or where they are not of the same archive."""
    table = read_table(manifest)
    check_manifest(table, name=manifest)
    sidecar, parts = read_cases(cases), read_split(split)
    split_of_case = {case: part for part in TRAINED_PARTS for case in part_cases(parts, part)}
    for part in TRAINED_PARTS:
        if not parts.parts[part]:
            raise DataError(
                f"split {split}: found no case in its part {part!r}; expected at least {_NEEDED[part]}. Annotate more cases and "
                f"split again, or move cases from another part of the file."
            )
    contents = contents_by_case(table, sidecar)
    _check_known(split_of_case, contents.keys(), uri=split)
    check_contents(parts, contents)
    unused = sorted(contents.keys() - {case for part in parts.parts.values() for case in part})
    note = f"{len(unused)} cases are in no part of {split} and are not used, such as {unused[0]!r}." if unused else None
    return FinetuneInputs(
        manifest=table,
        annotations=read_annotations(annotations),
        cases=sidecar,
        split=parts,
        split_of_case=split_of_case,
        notes=() if note is None else (note,),
    )


def annotations_digest(annotations: Annotations) -> str:
    """Of the columns that decide targets, under names that stay as they are, so that a training begun earlier goes on."""
    total = hashlib.sha256()
    for table in (annotations.segments, annotations.extents):
        names = [name for name in ("path", "activity", "start_us", "end_us", "source") if name in table.column_names]
        ordered = table.select(names).sort_by([(name, "ascending") for name in names])
        sink = pa.BufferOutputStream()
        pq.write_table(ordered.rename_columns(["video_path", *names[1:]]), sink, compression="none")
        total.update(sink.getvalue())
    return total.hexdigest()


def _check_known(split_of_case: Mapping[str, str], known: Collection[str], *, uri: str) -> None:
    if unknown := sorted(split_of_case.keys() - set(known)):
        raise DataError(
            f"split {uri}: {len(unknown)} of its {len(split_of_case)} cases to train and validate on are of no video here, such "
            f"as {unknown[0]!r}; known are {', '.join(repr(case) for case in sorted(known)[:3])}, ... Give the case sidecar that "
            f"the split was made with (cases=FILE), or correct the file."
        )
