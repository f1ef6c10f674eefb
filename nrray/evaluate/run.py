"""The verbs `evaluate`, `compare` and `split`: settings in, files and sentences out."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from nrray.archive.annotations import read_annotations
from nrray.archive.cases import read_cases
from nrray.archive.splits import (
    READS_SUFFIX,
    Split,
    check_cases,
    check_contents,
    is_by_hand,
    noted_read,
    num_reads,
    part_cases,
    read_split,
    split_document,
    stratified_split,
)
from nrray.errors import DataError
from nrray.evaluate.alignment import aligned, common_paths, shared_paths
from nrray.evaluate.clinical import clinical
from nrray.evaluate.comparison import Comparison, compared
from nrray.evaluate.config import CompareConfig, EvaluateConfig, SplitConfig
from nrray.evaluate.document import Document, balanced_document, evaluation_document
from nrray.evaluate.indicators import VENTILATION
from nrray.evaluate.measures import measured
from nrray.evaluate.resampling import few_cases_notes, resamples_of
from nrray.evaluate.source import Source, read_source, trained_on
from nrray.labels import LabelSet, read_label_set
from nrray.report.evaluation_page import evaluation_page
from nrray.storage import Folder, read_table
from nrray.types import Case

DOCUMENT, PAGE = "evaluation.json", "report.html"
_VERSION_FOLDER = re.compile(r"/(latest|versions/v\d+)$")  # of an output of relabel


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What was written where."""

    folder: str
    document: Document


def evaluate(config: EvaluateConfig) -> Evaluated:
    """Measure and write evaluation.json and report.html. Raises DataError, StorageError."""
    label_set = read_label_set(config.label_set)
    candidate = read_source(config.candidate, activities=label_set.names)
    reference = read_source(config.reference, activities=label_set.names)
    sidecar = _sidecar(config.cases)
    case_of_path = {path: case.case_id for path, case in sidecar.items()}
    notes = _sidecar_notes(config.cases, sidecar, [*candidate.paths, *reference.paths])
    notes += [*candidate.doubts, *reference.doubts]
    only_cases = None
    if config.split is not None:
        dealt = read_split(config.split)
        only_cases = _part(dealt, config.part, [candidate, reference], case_of_path, uri=config.split)
        if config.manifest is not None:
            check_contents(dealt, _contents(config.manifest, sidecar))
        else:
            notes.append("Whether one video is in two parts of the split was not checked: give manifest=... for that.")
    without = _left_out(label_set)
    alignment = aligned(
        candidate, reference, activities=label_set.activities, case_of_path=case_of_path, only_cases=only_cases
    )
    if config.split is not None and only_cases is not None:
        what = f"evaluate {candidate.name} against {reference.name}"
        number = noted_read(config.split, config.part, only_cases, what=what)
        notes.append(_reads_note(config.split, config.part, number))
    notes += _trained_notes([config.candidate], [candidate], _cases_of(alignment.paths, case_of_path))
    notes += few_cases_notes(len(alignment.cases))
    resamples = resamples_of(len(alignment.cases), num_resamples=config.num_resamples, seed=config.seed)
    found = measured(alignment, resamples)
    if unseen := [name for name, is_shown in zip(found.activities, found.shown.tolist(), strict=True) if not is_shown]:
        notes.append(f"{', '.join(unseen)} in no case of the reference: macro averages are over the others.")
    indicators = None
    if VENTILATION in label_set.names:
        indicators = clinical(
            candidate,
            reference,
            case_of_path=case_of_path,
            sidecar=sidecar,
            cases=alignment.cases,
            merge_gap_seconds=config.merge_gap_seconds,
            resamples=resamples,
        )
    balanced = None
    if config.balanced_windows:
        balanced = balanced_document(alignment, num_windows=config.balanced_windows, seed=config.seed)
    document = evaluation_document(
        alignment,
        found,
        resamples,
        clinical=indicators,
        without=without,
        settings=config.model_dump(mode="json"),
        balanced=balanced,
        notes=notes,
        num_worst=config.worst_cases,
    )
    folder = Folder(config.output)
    folder.create()
    # On one line: Python indents a hundred times slower than it writes.
    folder.write_bytes(DOCUMENT, (json.dumps(document, allow_nan=False) + "\n").encode())
    folder.write_bytes(PAGE, evaluation_page(document).encode())
    return Evaluated(folder=str(folder), document=document)


def _called_by_folder(sources: Sequence[Source], uris: Sequence[str]) -> list[Source]:
    """Labels by the folder that they are in, where that tells all apart: a model's own name is a digest. Annotations keep their
    annotators' names."""
    folders = [_VERSION_FOLDER.sub("", uri.rstrip("/")).rpartition("/")[2] for uri in uris]
    names = [source.name if source.windows is None else folder for source, folder in zip(sources, folders, strict=True)]
    if len(set(names)) < len(names):
        return list(sources)
    return [replace(source, name=name) for source, name in zip(sources, names, strict=True)]


def compare(config: CompareConfig) -> Comparison:
    """Compare sources and write comparison.json. Raises DataError, StorageError."""
    label_set = read_label_set(config.label_set)
    if config.names and len(config.names) != len(config.candidates):
        raise DataError(f"compare: found {len(config.names)} names, expected one for each of {len(config.candidates)}.")
    names: Sequence[str | None] = config.names or [None] * len(config.candidates)
    sources = [
        read_source(uri, activities=label_set.names, name=name)
        for uri, name in zip(config.candidates, names, strict=True)
    ]
    if not config.names:
        sources = _called_by_folder(sources, config.candidates)
    reference = read_source(config.reference, activities=label_set.names)
    every = [*sources, reference]
    sidecar = _sidecar(config.cases)
    case_of_path = {path: case.case_id for path, case in sidecar.items()}
    notes = _sidecar_notes(config.cases, sidecar, [path for source in every for path in source.paths])
    notes += [doubt for source in every for doubt in source.doubts]
    only_cases = None
    if config.split is not None:
        only_cases = _part(read_split(config.split), config.part, every, case_of_path, uri=config.split)
        what = f"compare {', '.join(source.name for source in sources)}"
        number = noted_read(config.split, config.part, only_cases, what=what)
        notes.append(_reads_note(config.split, config.part, number))
    paths = shared_paths(every, common_paths(every, case_of_path, only_cases))
    notes += _trained_notes(config.candidates, sources, _cases_of(paths, case_of_path))
    found = compared(
        sources,
        reference,
        activities=label_set.activities,
        case_of_path=case_of_path,
        only_cases=only_cases,
        notes=notes,
        without=_left_out(label_set),
        metric=config.metric,
        num_resamples=config.num_resamples,
        seed=config.seed,
    )
    folder = Folder(config.output)
    folder.create()
    folder.write_json(
        "comparison.json", {"schema_version": 1, "settings": config.model_dump(mode="json")} | asdict(found)
    )
    return found


def _sidecar_notes(uri: str | None, sidecar: Mapping[str, Case], paths: Sequence[str]) -> list[str]:
    """What a reader must know of videos that the sidecar does not have. Raises DataError where it has none of them."""
    if uri is None:
        return ["Without a case sidecar every video counts as a case: cameras of one birth count as several."]
    known = set(paths)
    missing = sorted(known - set(sidecar))
    if len(missing) == len(known):
        raise DataError(
            f"case sidecar {uri}: it has none of the {len(known)} videos here, such as {missing[0]!r}; it has "
            f"{', '.join(repr(path) for path in list(sidecar)[:2])}. Give the sidecar of this archive."
        )
    if not missing:
        return []
    return [
        f"{len(missing)} of {len(known)} videos are not in {uri}, such as {missing[0]}: each counts as a case of its own."
    ]


def _trained_notes(uris: Sequence[str], sources: Sequence[Source], case_of: Mapping[str, str]) -> list[str]:
    """Of each source whose model has learned from some of the cases that it is judged on; case_of: path to case."""
    notes, cases = [], set(case_of.values())
    for uri, source in zip(uris, sources, strict=True):
        parts = trained_on(uri, case_of)
        learned, chosen = (len(parts.get(part, frozenset())) for part in ("train", "validation"))
        if learned or chosen:
            notes.append(
                f"{source.name} was trained on {learned} of these {len(cases)} cases and chosen on {chosen}: its figures are "
                f"better than what to expect of others. Give its split=..., and part=test."
            )
    return notes


def _cases_of(paths: Sequence[str], case_of_path: Mapping[str, str]) -> dict[str, str]:
    return {path: case_of_path.get(path, path) for path in paths}


def _part(
    dealt: Split, part: str, sources: Sequence[Source], case_of_path: Mapping[str, str], *, uri: str
) -> frozenset[str]:
    """The cases of a part, all of which some source has. Raises DataError."""
    wanted = part_cases(dealt, part)
    if not wanted:
        raise DataError(f"split {uri}: part {part!r} has no case. Give another part, or a split with cases in it.")
    check_cases(dealt, part, {case_of_path.get(path, path) for source in sources for path in source.paths}, uri=uri)
    return wanted


def _reads_note(uri: str, part: str, number: int) -> str:
    times = "once" if number == 1 else f"{number} times"
    return f"The {part} part of {uri} has been read {times}, this read included."


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """A written split; share: part to activity or site to its share of cases that have it."""

    path: str
    split: Split
    shares: dict[str, dict[str, float]]


def split(config: SplitConfig) -> Dealt:
    """Deal the cases of a manifest to parts and write the file. Raises DataError, StorageError."""
    label_set = read_label_set(config.label_set)
    sidecar = _sidecar(config.cases)
    contents = _contents(config.manifest, sidecar)
    cases = sorted(contents)
    site_of_case = {row.case_id: row.site for row in sidecar.values() if row.site}
    has = _activities_of_cases(config.annotations, label_set, sidecar, cases)
    sites = sorted(set(site_of_case.values()))
    columns = {name: has[:, i] for i, name in enumerate(label_set.names)} if config.annotations else {}
    columns |= {f"site {site}": np.array([site_of_case.get(case) == site for case in cases]) for site in sites}
    labels = np.stack(list(columns.values()), axis=1) if columns else np.zeros((len(cases), 0), bool)
    dealt = stratified_split(cases, labels, fractions=config.fractions, seed=config.seed)
    check_contents(dealt, contents)
    if reads := num_reads(config.output):
        times = "once" if reads == 1 else f"{reads} times"
        raise DataError(
            f"split {config.output}: found a split that has been read {times}, which another one in its place would "
            f"hide. Give another output=FILE, or delete it and its {READS_SUFFIX} yourself."
        )
    if is_by_hand(config.output):
        raise DataError(
            f"split {config.output}: found a file that was written or edited by hand, which another one in its place would undo. "
            f"Give another output=FILE, or delete it."
        )
    parent, _, name = config.output.rpartition("/")
    folder = Folder(parent or ".")
    folder.create()
    folder.write_bytes(name, split_document(dealt, seed=config.seed).encode())
    place = {case: i for i, case in enumerate(cases)}
    shares = {
        part: {
            column: float(values[[place[case] for case in mine]].mean()) if mine else 0.0
            for column, values in columns.items()
        }
        for part, mine in dealt.parts.items()
    }
    return Dealt(path=config.output, split=dealt, shares=shares)


def _contents(uri: str, sidecar: Mapping[str, Case]) -> dict[str, frozenset[str]]:
    """Case to the contents of its videos, of a manifest. Raises DataError."""
    manifest = read_table(uri)
    if missing := [name for name in ("path", "content_id") if name not in manifest.column_names]:
        raise DataError(f"{uri} is no manifest of `nrray scan`: it lacks the columns {missing}")
    found: dict[str, set[str]] = {}
    for path, content in zip(manifest["path"].to_pylist(), manifest["content_id"].to_pylist(), strict=True):
        found.setdefault(sidecar[path].case_id if path in sidecar else path, set()).add(content)
    return {case: frozenset(contents) for case, contents in found.items()}


def _sidecar(uri: str | None) -> dict[str, Case]:
    return {} if uri is None else {case.video_path: case for case in read_cases(uri)}


def _left_out(label_set: LabelSet) -> list[str]:
    """What a macro average leaves out: an activity that is nearly always there flatters."""
    return [label_set.rules.requires_visible] if label_set.rules.requires_visible else []


def _activities_of_cases(
    annotations: str | None, label_set: LabelSet, sidecar: Mapping[str, Case], cases: Sequence[str]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    has = np.zeros((len(cases), len(label_set.names)), bool)
    if annotations is None:
        return has
    segments = read_annotations(annotations).segments
    place = {case: i for i, case in enumerate(cases)}
    pairs: pa.Table = segments.group_by(["path", "activity"]).aggregate([])
    for path, activity in zip(pairs["path"].to_pylist(), pairs["activity"].to_pylist(), strict=True):
        case = sidecar[path].case_id if path in sidecar else path
        if case in place and activity in label_set.names:
            has[place[case], label_set.names.index(activity)] = True
    return has
