"""Training examples: windows of examined video and the activities in each. Knows no pixels and no torch.

In: manifest, annotations, split. Out: chunks of consecutive windows, the grain of decoding and of a file of frames.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nrray.archive.annotations import Annotations, check_one_annotator, unit_doubt, window_targets
from nrray.archive.cases import Cases
from nrray.archive.manifest import with_added_columns
from nrray.decode.request import DecodeConfig
from nrray.errors import DataError
from nrray.intervals import Interval, true_runs, union_of
from nrray.labels import LabelSet
from nrray.sampling import Sampling, grid_offsets_us
from nrray.types import US_PER_SECOND, ProbeStatus

# Of a row of the manifest: what decides, beside settings, which pixels lie on the grid of a video.
_SCANNED = ("video_id", "stream_index", "start_us", "clock", "measured_fps")
ROUNDING_US = 50_000  # annotations may end so much after the last frame


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A run of `num_starts` windows of one video that start on consecutive samples of its grid, from sample `first_sample`:
    the grain of decoding. targets: (num_starts, A) bool; split: train, validation or test. `name` is of the file that holds
    its frames."""

    name: str
    video_id: str
    path: str
    case: str
    split: str
    first_sample: int
    num_starts: int
    targets: NDArray[np.bool_]

    def num_samples(self, sampling: Sampling) -> int:
        """Sampled instants that its windows show."""
        return self.num_starts + sampling.frames_per_window - 1


@dataclass(frozen=True, kw_only=True)
class ExamplePlan:
    """All chunks of some splits, and sentences on videos that cannot be used."""

    chunks: list[Chunk]
    notes: list[str]

    def num_frames(self, sampling: Sampling) -> int:
        return sum(chunk.num_samples(sampling) for chunk in self.chunks)


@dataclass(frozen=True, kw_only=True)
class Examples:
    """W windows of one split: (W,) the index of a chunk and of a start in it; targets (W, A); cases (W,) index."""

    chunk: NDArray[np.int64]
    start: NDArray[np.int64]
    targets: NDArray[np.bool_]
    cases: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chunk)


def planned_examples(
    manifest: pa.Table,
    annotations: Annotations,
    *,
    split_of_case: Mapping[str, str],
    cases: Cases,
    sampling: Sampling,
    label_set: LabelSet,
    decode: DecodeConfig,
    max_chunk_mib: int,
) -> ExamplePlan:
    """Chunks of all videos whose case is in `split_of_case`. A window counts where the annotations' extents hold all of it.

    Raises DataError for annotations that cannot be true of these videos, and for a split without any window.
    """
    check_annotations(annotations, manifest, label_set)
    readable = with_added_columns(manifest).filter(pc.equal(manifest["status"], ProbeStatus.OK.value))
    segments_of, extents_of = _by_path(annotations.segments), _by_path(annotations.extents)
    most_starts = max(1, max_chunk_mib * 2**20 // sampling.frame_bytes - sampling.frames_per_window + 1)
    chunks: list[Chunk] = []
    unseen = []
    for video in readable.select(["path", "duration_us", *_SCANNED]).to_pylist():
        case = cases.case_of(video["path"])
        if case not in split_of_case:
            continue
        runs = _runs(video, extents_of.get(video["path"]), sampling)
        if not runs:
            unseen.append(video["path"])
        mine = segments_of.get(video["path"], annotations.segments.slice(0, 0))
        for first, count in runs:
            for begin in range(first, first + count, most_starts):
                num_starts = min(most_starts, first + count - begin)
                starts = video["start_us"] + grid_offsets_us(sampling, begin, num_starts)
                ends = video["start_us"] + grid_offsets_us(sampling, begin + sampling.frames_per_window, num_starts)
                chunks.append(
                    Chunk(
                        name=_file_name(video, begin, num_starts, sampling, decode),
                        video_id=video["video_id"],
                        path=video["path"],
                        case=case,
                        split=split_of_case[case],
                        first_sample=begin,
                        num_starts=num_starts,
                        targets=window_targets(mine, label_set.activities, starts, ends),
                    )
                )
    notes = []
    if unseen:
        notes.append(
            f"{len(unseen)} videos have no window inside the annotations' extents and are not used, such as {unseen[0]!r}."
        )
    if bad := manifest.num_rows - readable.num_rows:
        notes.append(f"{bad} files of the manifest are unreadable and are not used.")
    found = {chunk.split for chunk in chunks}
    if missing := sorted(set(split_of_case.values()) - found):
        raise DataError(
            f"the {missing[0]} split has no window inside the annotations' extents: annotate some of its "
            f"cases, or split again with annotations=..."
        )
    return ExamplePlan(chunks=chunks, notes=notes)


def examples_of(
    chunks: Sequence[Chunk], whole: Sequence[NDArray[np.bool_]], split: str, sampling: Sampling
) -> Examples:
    """The windows of a split that start on the stride and are whole: (num_starts,) of every chunk is True where all
    frames could be decoded."""
    indices, starts, targets, cases = [], [], [], []
    names = sorted({chunk.case for chunk in chunks})
    for index, (chunk, is_whole) in enumerate(zip(chunks, whole, strict=True)):
        if chunk.split != split:
            continue
        samples = chunk.first_sample + np.arange(chunk.num_starts)
        picked = np.flatnonzero((samples % sampling.frames_per_stride == 0) & is_whole)
        indices.append(np.full(len(picked), index, np.int64))
        starts.append(picked.astype(np.int64))
        targets.append(chunk.targets[picked])
        cases.append(np.full(len(picked), names.index(chunk.case), np.int64))
    if not indices or not sum(map(len, indices)):
        raise DataError(f"the {split} split has no window whose frames could all be decoded.")
    return Examples(
        chunk=np.concatenate(indices),
        start=np.concatenate(starts),
        targets=np.concatenate(targets),
        cases=np.concatenate(cases),
    )


def training_notes(train: Examples, label_set: LabelSet, *, min_positive_windows: int) -> list[str]:
    """Sentences on activities that a single case shows. Raises DataError where one is in fewer than `min_positive_windows` of
    the windows that are trained on: next to nothing could be learned of it, and what is learned would be these moments."""
    positives = train.targets.sum(axis=0).tolist()
    few = {name: count for name, count in zip(label_set.names, positives, strict=True) if count < min_positive_windows}
    if few:
        raise DataError(
            f"the train split shows too little of {_counts(few)}; expected at least {min_positive_windows} of each. Annotate "
            f"more cases that show it, or take it out of the label set; to try all the same, lower "
            f"training.min_positive_windows."
        )
    return [
        f"A single case of those to train on shows {' or '.join(names)}: what is learned of it may be that case's looks."
        for names in [_of_one_case(train, label_set)]
        if names and len(set(train.cases.tolist())) > 1
    ]


def validation_notes(validation: Examples, label_set: LabelSet, *, min_positive_windows: int) -> list[str]:
    """Sentences on activities of which the validation split shows nothing or little. Raises DataError where it has fewer than
    two cases or lacks all activities that count: no checkpoint could be chosen on it."""
    num_cases = len(set(validation.cases.tolist()))
    if num_cases < 2:
        raise DataError(
            f"the validation split has windows of {num_cases} case, too few cases for any validation; expected at least 2: "
            f"steps and thresholds are chosen on it, and one case cannot tell how another will come out. Move a case "
            f"from train to validation, or annotate one more."
        )
    positives = dict(zip(label_set.names, validation.targets.sum(axis=0).tolist(), strict=True))
    absent = [name for name, count in positives.items() if not count]
    if set(label_set.macro_activities) <= set(absent):
        raise DataError(
            f"no window of the validation split shows any of {', '.join(label_set.macro_activities)}, so that no checkpoint "
            f"could be chosen on it. Split again with more cases in it, or with annotations=... so that activities are spread."
        )
    few = {name: count for name, count in positives.items() if 0 < count < min_positive_windows}
    notes = []
    if absent:
        notes.append(f"No window of the validation split shows {', '.join(absent)}: no checkpoint is chosen by it.")
    if few:
        notes.append(f"The validation split shows little of {_counts(few)}: their figures and thresholds mean little.")
    return notes


def _counts(few: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name} ({count} positive {'window' if count == 1 else 'windows'})" for name, count in few.items()
    )


def _of_one_case(examples: Examples, label_set: LabelSet) -> list[str]:
    columns = zip(label_set.names, examples.targets.T, strict=True)
    return [name for name, truth in columns if len(set(examples.cases[truth].tolist())) == 1]


def all_examples(chunks: Sequence[Chunk], split: str, sampling: Sampling) -> Examples:
    """As `examples_of`, before anything is decoded: as if all frames could be."""
    return examples_of(chunks, [np.ones(chunk.num_starts, bool) for chunk in chunks], split, sampling)


def window_name(chunk: Chunk, start: int, sampling: Sampling) -> str:
    """The place of a window, for people: its video and the second from the video's start."""
    return f"{chunk.path} at {(chunk.first_sample + start) / sampling.frames_per_second:.2f} s"


def check_annotations(annotations: Annotations, manifest: pa.Table, label_set: LabelSet) -> None:
    """Raise DataError where annotations lie outside their videos, are of unknown videos or activities,
    look as if they had been read in the wrong unit of time, or are by several annotators of one video."""
    names = set(pc.unique(annotations.segments["activity"]).to_pylist())
    if unknown := sorted(names - set(label_set.names)):
        raise DataError(
            f"annotations name {', '.join(unknown)}; label set '{label_set.name}' has {', '.join(label_set.names)}. Import "
            f"them again with renamed activities, or give their label set."
        )
    times = {
        path: Interval(start_us=start, end_us=start + duration)
        for path, start, duration in zip(
            *(manifest[name].to_pylist() for name in ("path", "start_us", "duration_us")), strict=True
        )
        if start is not None and duration is not None
    }
    known = set(manifest["path"].to_pylist())
    check_one_annotator(annotations)
    for table, noun in ((annotations.segments, "segment"), (annotations.extents, "extent")):
        rows = table.select(["path", "start_us", "end_us"]).to_pylist()
        if unknown_videos := sorted({row["path"] for row in rows} - known):
            raise DataError(
                f"annotations are about {len(unknown_videos)} videos that are not in the manifest, such as "
                f"{unknown_videos[0]!r}; it has {min(known, default='none')!r}. Paths are relative to the scanned archive."
            )
        for row in rows:
            path, start, end = row["path"], row["start_us"], row["end_us"]
            video = times.get(path)
            if video and not video.start_us - ROUNDING_US <= start < end <= video.end_us + ROUNDING_US:
                raise DataError(
                    f"annotations of {path!r}: a {noun} goes from {_s(start)} to {_s(end)}, the video from "
                    f"{_s(video.start_us)} to {_s(video.end_us)}. Were they read in the right unit of time, and made for "
                    f"this video? Import them again."
                )
    if (doubt := unit_doubt(annotations.segments, times)) is not None:
        raise DataError(doubt)


def _s(us: int) -> str:
    return f"{us / US_PER_SECOND:.3f} s"


def _by_path(table: pa.Table) -> dict[str, pa.Table]:
    paths = table["path"].combine_chunks()
    return {path: table.filter(pc.equal(paths, path)) for path in pc.unique(paths).to_pylist()}


def _runs(video: Mapping[str, int], extents: pa.Table | None, sampling: Sampling) -> list[tuple[int, int]]:
    """(first start, number of starts) of runs of consecutive samples at which a window begins that an extent holds whole."""
    if extents is None:
        return []
    last = int(video["duration_us"] * sampling.frames_per_second // US_PER_SECOND) + 1
    starts = grid_offsets_us(sampling, 0, last)
    ends = grid_offsets_us(sampling, sampling.frames_per_window, last)
    is_seen = np.zeros(last, bool)
    seen = union_of(extents["start_us"].to_numpy(), extents["end_us"].to_numpy()) - video["start_us"]
    for begin, end in seen.tolist():
        is_seen |= (starts >= begin) & (ends <= min(end, video["duration_us"]))
    return [(first, stop - first) for first, stop in true_runs(is_seen).tolist()]


def _file_name(video: Mapping[str, Any], first: int, count: int, sampling: Sampling, decode: DecodeConfig) -> str:
    """The same for the same pixels, whatever they are used for. A video scanned in another of its streams, from another start or
    at another rate shows other pixels."""
    scanned = [video[name] for name in _SCANNED]
    size = [sampling.frames_per_second, sampling.frames_per_window, sampling.frame_width_px, sampling.frame_height_px]
    return hashlib.sha256(json.dumps([scanned, first, count, size, decode.frames_identity]).encode()).hexdigest()[:24]
