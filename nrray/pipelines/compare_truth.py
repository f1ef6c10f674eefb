"""Window labels of a published version against a truth folder: which windows both looked at, and how they agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nrray.annotations import read_truth, truth_with_video_ids, window_targets
from nrray.errors import DataError
from nrray.labels import Activity
from nrray.metrics import Agreement, window_agreement
from nrray.pipelines.console import Reporter
from nrray.storage import Folder
from nrray.types import STATE_INDEX, LabelState


@dataclass(frozen=True, kw_only=True)
class TruthComparison:
    """Agreement per activity, over `num_windows` that both sides looked at; `num_unseen` more were left out."""

    agreements: list[Agreement]
    num_windows: int
    num_unseen: int


def compared_with_truth(
    version: Folder, truth_folder: str, manifest: pa.Table, activities: Sequence[Activity]
) -> TruthComparison:
    """Labels of `version` against the truth in `truth_folder`, joined over the manifest's paths.

    A window takes part when it lies within an extent of the truth. Raises DataError where nothing overlaps.
    """
    segments, extents = (truth_with_video_ids(table, manifest) for table in read_truth(truth_folder))
    labels = version.read_table("labels.parquet")
    names = [activity.name for activity in activities]
    predicted: list[NDArray[np.bool_]] = []
    expected: list[NDArray[np.bool_]] = []
    num_unseen = 0
    video_ids = labels["video_id"].cast(pa.string()).to_numpy()
    segment_videos = segments["video_id"].to_numpy()
    extent_videos = extents["video_id"].to_numpy()
    for video_id in np.unique(video_ids):
        rows = labels.filter(pa.array(video_ids == video_id)).sort_by([("start_us", "ascending")])
        starts, present = _window_states(rows, names)
        ends = rows["end_us"].to_numpy()[:: len(names)]
        inside = np.zeros(len(starts), bool)
        for extent in extents.filter(pa.array(extent_videos == video_id)).to_pylist():
            inside |= (starts >= extent["start_us"]) & (ends <= extent["end_us"])
        num_unseen += int((~inside).sum())
        mine = segments.filter(pa.array(segment_videos == video_id))
        targets = window_targets(mine, activities, starts, ends)
        predicted.append(present[inside])
        expected.append(targets[inside])
    if not any(len(part) for part in predicted):
        raise DataError(f"no labelled window lies within an extent of {truth_folder}: is it the truth of this archive?")
    agreements = window_agreement(names, np.concatenate(predicted), np.concatenate(expected))
    return TruthComparison(
        agreements=agreements, num_windows=sum(len(part) for part in predicted), num_unseen=num_unseen
    )


def report_agreement(comparison: TruthComparison, reporter: Reporter) -> None:
    """A table of precision, recall and F1."""
    reporter.table(
        f"Against the truth, {comparison.num_windows} windows at natural prevalence",
        ["activity", "windows with it", "precision", "recall", "F1"],
        [[row.activity, row.support, row.precision, row.recall, row.f1] for row in comparison.agreements],
    )
    if comparison.num_unseen:
        reporter.say(f"{comparison.num_unseen} windows lie outside what the truth covers and are not counted")


def _window_states(rows: pa.Table, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(W,) starts and (W, A) whether present, from the rows of one video sorted by start."""
    encoded = rows["activity"].combine_chunks()
    order_of = {name: index for index, name in enumerate(names)}
    column = np.asarray([order_of[name] for name in encoded.dictionary.to_pylist()])[np.asarray(encoded.indices)]
    starts, window = np.unique(rows["start_us"].to_numpy(), return_inverse=True)
    states = np.asarray([list(LabelState).index(LabelState(v)) for v in rows["state"].cast(pa.string()).to_pylist()])
    present = np.zeros((len(starts), len(names)), bool)
    present[window, column] = states == STATE_INDEX[LabelState.PRESENT]
    return starts, present
