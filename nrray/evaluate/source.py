"""The annotations or labels of one source: its segments, the time that it examined and, where it labelled windows, scores.

In: the folder of a label version, an output of `nrray relabel`, or a folder of annotations. Videos go by their path in
the archive, which every source has.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.archive.annotations import EXTENTS_FILE, SEGMENTS_FILE, check_one_annotator, read_annotations, unit_doubt
from nrray.archive.splits import path_digest, read_trained_split
from nrray.errors import DataError
from nrray.intervals import Interval
from nrray.metrics.spans import Spans, spans_of, union_by_video
from nrray.results.version import RECORD_FILE, model_folders
from nrray.storage import Folder
from nrray.types import STATE_INDEX, CoverageStatus, LabelState

LABELS_FILE, COVERAGE_FILE = "labels.parquet", "coverage.parquet"

_MAX_NAMED = 3  # sources in the name of all of them


@dataclass(frozen=True, kw_only=True)
class Windows:
    """W labelled windows of A activities. video, start_us, end_us: (W,); scores: (W, A), NaN for none; states: (W, A)
    index into LabelState."""

    video: NDArray[np.int64]
    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    scores: NDArray[np.float64]
    states: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Source:
    """`paths[i]` is video i. Spans are sorted; `looked_at` is disjoint; windows are None where there are none."""

    name: str
    paths: list[str]
    activities: tuple[str, ...]
    segments: dict[str, Spans]
    looked_at: Spans
    failed_us: int  # of windows that were to be labelled and were not
    windows: Windows | None
    doubts: tuple[str, ...] = ()  # sentences


def read_source(uri: str, *, activities: tuple[str, ...], name: str | None = None) -> Source:
    """The source in `uri`, for the named activities. Raises DataError where it is none, or names others."""
    folder = Folder(uri)
    if not folder.exists(SEGMENTS_FILE) and (folder / "latest").exists(SEGMENTS_FILE):
        folder = folder / "latest"
    if folder.exists(LABELS_FILE) and folder.exists(COVERAGE_FILE):
        source = _label_version(folder, activities)
    elif folder.exists(SEGMENTS_FILE) and folder.exists(EXTENTS_FILE):
        source = _annotations(folder, uri, activities)
    else:
        raise DataError(
            f"{uri}: found neither {LABELS_FILE} with {COVERAGE_FILE} (a label version) nor {SEGMENTS_FILE} with {EXTENTS_FILE} "
            f"(annotations). Give an output of `nrray relabel`, `nrray import` or `nrray simulate`."
        )
    return source if name is None else Source(**{**vars(source), "name": name})


def trained_on(uri: str, case_of: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Part to those of some cases that the models behind the labels in `uri` were trained on, by their names or by their
    videos, as their folders say; nothing where they do not. case_of: path of a video to its case."""
    folder = Folder(uri)
    if not folder.exists(RECORD_FILE):
        folder = folder / "latest"
    if not folder.exists(RECORD_FILE):
        return {}
    found: dict[str, frozenset[str]] = {}
    for model_folder in model_folders(folder):
        for part, cases in _trained_cases(Folder(model_folder), case_of).items():
            found[part] = found.get(part, frozenset()) | cases
    return found


def _trained_cases(model: Folder, case_of: Mapping[str, str]) -> dict[str, frozenset[str]]:
    split = read_trained_split(model)
    if split is None:
        return {}
    digests = {path: path_digest(path) for path in case_of}
    return {
        part: frozenset(
            case for path, case in case_of.items() if case in names or digests[path] in split.videos.get(part, ())
        )
        for part, names in split.parts.items()
    }


def _label_version(folder: Folder, activities: tuple[str, ...]) -> Source:
    labels = folder.read_table(LABELS_FILE)
    coverage = folder.read_table(COVERAGE_FILE)
    segments = folder.read_table(SEGMENTS_FILE)
    _check_names(segments, activities, where=folder.path(SEGMENTS_FILE))
    _check_names(labels, activities, where=folder.path(LABELS_FILE))
    paths, index = _path_index(coverage["path"], labels["path"], segments["path"])
    timed = coverage.filter(pc.is_valid(coverage["start_us"]))
    is_ok = pc.equal(timed["status"].cast(pa.string()), CoverageStatus.OK.value)
    seen = timed.filter(is_ok)
    looked_at = union_by_video(_spans(seen, index(seen["path"])))
    every = union_by_video(_spans(timed, index(timed["path"])))
    names = pc.unique(labels["source"].cast(pa.string())).to_pylist()
    return Source(
        name=names[0] if len(names) == 1 else folder.path(""),
        paths=paths,
        activities=activities,
        segments=_segments(segments, index(segments["path"]), activities),
        looked_at=looked_at,
        failed_us=int(every.length_us.sum() - looked_at.length_us.sum()),
        windows=_windows(labels, index(labels["path"]), activities),
    )


def _annotations(folder: Folder, uri: str, activities: tuple[str, ...]) -> Source:
    annotations = read_annotations(folder.uri)
    check_one_annotator(annotations)
    segments, extents = annotations.segments, annotations.extents
    sources = pc.unique(extents["source"]).to_pylist()
    examined = extents.group_by("path").aggregate([("start_us", "min"), ("end_us", "max")]).to_pylist()
    videos = {row["path"]: Interval(start_us=row["start_us_min"], end_us=row["end_us_max"]) for row in examined}
    doubt = unit_doubt(segments, videos)
    _check_names(segments, activities, where=folder.path(SEGMENTS_FILE))
    paths, index = _path_index(extents["path"], segments["path"])
    return Source(
        name=", ".join(sources[:_MAX_NAMED]) + (", ..." if len(sources) > _MAX_NAMED else "") if sources else uri,
        paths=paths,
        activities=activities,
        segments=_segments(segments, index(segments["path"]), activities),
        looked_at=union_by_video(_spans(extents, index(extents["path"]))),
        failed_us=0,
        windows=None,
        doubts=() if doubt is None else (f"{uri}: {doubt}",),
    )


def _check_names(table: pa.Table, activities: tuple[str, ...], *, where: str) -> None:
    others = sorted(set(pc.unique(table["activity"].cast(pa.string())).to_pylist()) - set(activities))
    if others:
        raise DataError(
            f"{where}: found activities {others[:4]}, expected those of the label set: {', '.join(activities)}. Give "
            f"its label set with label_set=FILE, or rename them with `nrray import`."
        )


def _path_index(*columns: pa.ChunkedArray) -> "tuple[list[str], _Index]":
    paths = sorted({path for column in columns for path in pc.unique(column.cast(pa.string())).to_pylist()})
    return paths, _Index(paths)


class _Index:
    """Paths to their places in a list."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = pa.array(paths, pa.string())

    def __call__(self, column: pa.ChunkedArray) -> NDArray[np.int64]:
        place: NDArray[np.int64] = (
            pc.index_in(column.cast(pa.string()), value_set=self._paths).to_numpy().astype(np.int64)
        )
        return place


def _spans(table: pa.Table, video: NDArray[np.int64]) -> Spans:
    return spans_of(video, table["start_us"].to_numpy(), table["end_us"].to_numpy())


def _segments(table: pa.Table, video: NDArray[np.int64], activities: tuple[str, ...]) -> dict[str, Spans]:
    names = np.asarray(table["activity"].cast(pa.string()).to_pylist(), dtype=object)
    starts, ends = table["start_us"].to_numpy(), table["end_us"].to_numpy()
    scores = np.full(len(names), np.nan)
    if "score" in table.column_names:
        scores = table["score"].to_numpy(zero_copy_only=False).astype(np.float64)
    found = {}
    for activity in activities:
        mine = names == activity
        found[activity] = spans_of(video[mine], starts[mine], ends[mine], scores[mine])
    return found


def _windows(labels: pa.Table, video: NDArray[np.int64], activities: tuple[str, ...]) -> Windows:
    encoded = labels["activity"].combine_chunks()
    if not isinstance(encoded, pa.DictionaryArray):
        encoded = encoded.dictionary_encode()
    place = {activity: column for column, activity in enumerate(activities)}
    column = np.asarray([place[name] for name in encoded.dictionary.to_pylist()], np.int64)[np.asarray(encoded.indices)]
    starts, ends = labels["start_us"].to_numpy(), labels["end_us"].to_numpy()
    low = starts.min(initial=0)
    keys = video * (ends.max(initial=0) - low + 1) + (starts - low)  # a video has one window at a start
    _, first, row = np.unique(keys, return_index=True, return_inverse=True)
    scores = np.full((len(first), len(activities)), np.nan)
    scores[row, column] = labels["score"].to_numpy(zero_copy_only=False)
    states = np.full((len(first), len(activities)), STATE_INDEX[LabelState.NOT_ASSESSABLE], np.uint8)
    order = pa.array([state.value for state in LabelState])
    states[row, column] = pc.index_in(labels["state"].cast(pa.string()), value_set=order).to_numpy()
    return Windows(video=video[first], start_us=starts[first], end_us=ends[first], scores=scores, states=states)
