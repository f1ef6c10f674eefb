"""A labelling: one set of labels of an archive by an annotator or a model, with its segments, the time that it examined and,
of a model, the scores of its windows.

In: the folder of a label version, an output of `nrray relabel`, or a folder of annotations. Videos go by their path in
the archive, which every labelling has.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.archive.annotations import EXTENTS_FILE, SEGMENTS_FILE, check_one_annotator, read_annotations, unit_doubt
from nrray.errors import DataError
from nrray.intervals import Interval
from nrray.metrics.spans import Spans, intersection, spans_of, union_by_video
from nrray.results.domain import OUTSIDE_MARK
from nrray.storage import Folder
from nrray.types import EXAMINED_STATUSES, STATE_INDEX, CoverageStatus, LabelState

_CLAIMS = (STATE_INDEX[LabelState.PRESENT], STATE_INDEX[LabelState.ABSENT])

LABELS_FILE, COVERAGE_FILE = "labels.parquet", "coverage.parquet"

_MAX_NAMED = 3  # annotators in the name of a labelling by several


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
class Labelling:
    """Labels of the videos `paths`, whose index is the `video` of all spans. Spans are sorted; `examined` is disjoint; windows
    are None for annotations."""

    name: str  # the annotator or model, or a name that the user gave
    place: str  # its folder, or what else tells it from others of one name
    paths: list[str]
    activities: tuple[str, ...]
    segments: dict[str, Spans]
    examined: Spans
    failed_us: int  # windows that were to be labelled and were not
    windows: Windows | None
    doubts: tuple[str, ...] = ()  # on labels that look wrong: sentences, after the place and a colon
    unlabelled: frozenset[str] = frozenset()  # activities that nobody looked for: their silence means nothing

    def answered(self, activity: str) -> Spans:
        """The examined time in which presence or absence of the activity is claimed: without windows that are unsure, unparsed
        or not assessable, where no other window over the same time claims anything."""
        windows = self.windows
        if windows is None:
            return self.examined
        claims = np.isin(windows.states[:, self.activities.index(activity)], _CLAIMS)
        if claims.all():
            return self.examined
        claimed = spans_of(windows.video[claims], windows.start_us[claims], windows.end_us[claims])
        return intersection(union_by_video(claimed), self.examined)


def read_labelling(uri: str, *, activities: tuple[str, ...]) -> Labelling:
    """The labelling in `uri`. Raises DataError where the folder holds none, or names an activity beside `activities`."""
    folder = Folder(uri)
    if not folder.exists(SEGMENTS_FILE) and (folder / "latest").exists(SEGMENTS_FILE):
        folder = folder / "latest"
    if folder.exists(LABELS_FILE) and folder.exists(COVERAGE_FILE):
        return _label_version(folder, activities)
    if folder.exists(SEGMENTS_FILE) and folder.exists(EXTENTS_FILE):
        return _annotations(folder, uri, activities)
    raise DataError(
        f"{uri}: found neither {LABELS_FILE} with {COVERAGE_FILE} (a label version) nor {SEGMENTS_FILE} with {EXTENTS_FILE} "
        f"(annotations). Give an output of `nrray relabel`, `nrray import` or `nrray simulate`."
    )


def _label_version(folder: Folder, activities: tuple[str, ...]) -> Labelling:
    labels = folder.read_table(LABELS_FILE)
    coverage = folder.read_table(COVERAGE_FILE)
    segments = folder.read_table(SEGMENTS_FILE)
    _check_names(segments, activities, where=folder.path(SEGMENTS_FILE))
    _check_names(labels, activities, where=folder.path(LABELS_FILE))
    paths, index = _path_index(coverage["path"], labels["path"], segments["path"])
    timed = coverage.filter(pc.is_valid(coverage["start_us"]))
    is_ok = pc.is_in(timed["status"].cast(pa.string()), value_set=pa.array(EXAMINED_STATUSES))
    labelled = timed.filter(is_ok)
    examined = union_by_video(_spans(labelled, index(labelled["path"])))
    every = union_by_video(_spans(timed, index(timed["path"])))
    sources = pc.unique(labels["source"].cast(pa.string())).to_pylist()
    names = sorted({source.removesuffix(OUTSIDE_MARK) for source in sources})
    return Labelling(
        name=names[0] if len(names) == 1 else folder.path(""),
        place=folder.path("").rstrip("/"),
        paths=paths,
        activities=activities,
        segments=_segments(segments, index(segments["path"]), activities),
        examined=examined,
        failed_us=int(every.length_us.sum() - examined.length_us.sum()),
        windows=_windows(labels, index(labels["path"]), activities),
        doubts=tuple(_doubts(timed, labels)),
        unlabelled=frozenset(activities) - set(pc.unique(labels["activity"].cast(pa.string())).to_pylist()),
    )


def _doubts(coverage: pa.Table, labels: pa.Table) -> Iterator[str]:
    """Sentences on videos outside the model's domain, and on answers that could not be parsed."""
    videos = {}
    for name, chosen in (
        ("all", coverage),
        (
            "refused",
            coverage.filter(pc.equal(coverage["status"].cast(pa.string()), CoverageStatus.NOT_ASSESSABLE.value)),
        ),
        ("marked", coverage.filter(pc.match_substring(coverage["source"].cast(pa.string()), OUTSIDE_MARK))),
    ):
        videos[name] = len(pc.unique(chosen["path"].cast(pa.string())))
    if videos["refused"]:
        yield (
            f"{videos['refused']} of {videos['all']} videos are unlike those that the model was trained on; their "
            f"windows are not assessable and in no figure."
        )
    if videos["marked"]:
        yield (
            f"{videos['marked']} of {videos['all']} videos are outside the model's domain and were labelled all the "
            f"same (outside_domain=label); they are in the figures."
        )
    states = labels["state"].cast(pa.string())
    claimed = pc.sum(pc.not_equal(states, LabelState.NOT_ASSESSABLE.value)).as_py() or 0
    if num_unparsed := pc.sum(pc.equal(states, LabelState.UNPARSED.value)).as_py() or 0:
        yield (
            f"{num_unparsed:,} of {claimed:,} labels ({num_unparsed / claimed:.1%}) are answers that could not be "
            f"parsed; they count as no."
        )


def _annotations(folder: Folder, uri: str, activities: tuple[str, ...]) -> Labelling:
    annotations = read_annotations(folder.uri)
    check_one_annotator(annotations)
    segments, extents = annotations.segments, annotations.extents
    annotators = pc.unique(extents["source"]).to_pylist()
    ends = extents.group_by("path").aggregate([("start_us", "min"), ("end_us", "max")]).to_pylist()
    videos = {row["path"]: Interval(start_us=row["start_us_min"], end_us=row["end_us_max"]) for row in ends}
    doubt = unit_doubt(segments, videos)
    _check_names(segments, activities, where=folder.path(SEGMENTS_FILE))
    paths, index = _path_index(extents["path"], segments["path"])
    return Labelling(
        name=", ".join(annotators[:_MAX_NAMED]) + (", ..." if len(annotators) > _MAX_NAMED else "")
        if annotators
        else uri,
        place=uri,
        paths=paths,
        activities=activities,
        segments=_segments(segments, index(segments["path"]), activities),
        examined=union_by_video(_spans(extents, index(extents["path"]))),
        failed_us=0,
        windows=None,
        doubts=() if doubt is None else (doubt,),
        unlabelled=frozenset(activities) - annotations.labelled,
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
    """Paths to their indices in a list."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = pa.array(paths, pa.string())

    def __call__(self, column: pa.ChunkedArray) -> NDArray[np.int64]:
        index: NDArray[np.int64] = (
            pc.index_in(column.cast(pa.string()), value_set=self._paths).to_numpy().astype(np.int64)
        )
        return index


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
    column_of = {activity: column for column, activity in enumerate(activities)}
    column = np.asarray([column_of[name] for name in encoded.dictionary.to_pylist()], np.int64)[
        np.asarray(encoded.indices)
    ]
    starts, ends = labels["start_us"].to_numpy(), labels["end_us"].to_numpy()
    low = starts.min(initial=0)
    keys = video * (ends.max(initial=0) - low + 1) + (starts - low)  # a video has one window at each start
    _, first, row = np.unique(keys, return_index=True, return_inverse=True)
    scores = np.full((len(first), len(activities)), np.nan)
    scores[row, column] = labels["score"].to_numpy(zero_copy_only=False)
    states = np.full((len(first), len(activities)), STATE_INDEX[LabelState.NOT_ASSESSABLE], np.uint8)
    order = pa.array([state.value for state in LabelState])
    states[row, column] = pc.index_in(labels["state"].cast(pa.string()), value_set=order).to_numpy()
    return Windows(video=video[first], start_us=starts[first], end_us=ends[first], scores=scores, states=states)
