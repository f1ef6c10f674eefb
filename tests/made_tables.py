"""Manifests and unit results made without a pixel, for the tests of what comes before and after the model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from nrray.archive.cases import Cases
from nrray.archive.manifest import manifest_table
from nrray.results.ledger import RESULT_SCHEMA
from nrray.sampling import Sampling, window_spans_us
from nrray.types import STATE_INDEX, Case, LabelState, ProbeStatus, Video

ACTIVITIES = ("newborn_visible", "stimulation", "ventilation", "suction")


def cases_of(case_of_path: Mapping[str, str]) -> Cases:
    """Cases of one camera each, whose clock is their video's."""
    return Cases(
        rows=tuple(
            Case(
                case_id=case_id,
                video_path=path,
                camera="",
                video_start_us=0,
                site=None,
            )
            for path, case_id in case_of_path.items()
        )
    )


def video(path: str, *, seconds: float = 10.0, start_us: int = 0, video_id: str | None = None) -> Video:
    return Video(
        video_id=video_id or f"id-{path}",
        content_id=f"content-{path}",
        uri=f"/archive/{path}",
        path=path,
        size_bytes=1000,
        modified_us=0,
        status=ProbeStatus.OK,
        start_us=start_us,
        duration_us=round(seconds * 1e6),
        seekable=True,
    )


def bad_video(path: str) -> Video:
    return Video(
        video_id=f"id-{path}",
        content_id=f"content-{path}",
        uri=f"/archive/{path}",
        path=path,
        size_bytes=0,
        modified_us=0,
        status=ProbeStatus.BAD,
        error_kind="empty",
        reason="zero bytes",
    )


def manifest(*videos: Video) -> pa.Table:
    return manifest_table(videos)


def unit_results(
    units: pa.Table,
    videos: Sequence[Video],
    sampling: Sampling,
    *,
    status: str = "ok",
    attempts: int = 1,
    finished_us: int = 0,
    shortfall: str | None = None,
    labelled: bool | None = None,
    score: float | None = None,
    activities: Sequence[str] = ACTIVITIES,
) -> pa.Table:
    """One row per unit; a window's score is the share of it that has passed, unless `score` is given."""
    by_id = {item.video_id: item for item in videos}
    rows = []
    for unit in units.select(["unit_id", "video_id", "first_window", "num_windows"]).to_pylist():
        mine = by_id[unit["video_id"]]
        count = unit["num_windows"]
        start_us, end_us = window_spans_us(
            sampling,
            start_us=mine.start_us or 0,
            duration_us=mine.duration_us or 0,
            first_window=unit["first_window"],
            num_windows=count,
        )
        is_ok = status == "ok" if labelled is None else labelled
        value = (start_us - (mine.start_us or 0)) / (mine.duration_us or 1) if score is None else np.full(count, score)
        scores = np.repeat(value if is_ok else np.full(count, np.nan), len(activities)).astype(np.float32)
        present = STATE_INDEX[LabelState.PRESENT], STATE_INDEX[LabelState.ABSENT]
        rows.append(
            {
                **unit,
                "schema_version": 1,
                "status": status,
                "error_kind": None if status == "ok" else "decode_failed",
                "error": None if status == "ok" else "it broke",
                "shortfall": shortfall,
                "attempts": attempts,
                "window_start_us": start_us,
                "window_end_us": end_us,
                "window_labelled": np.full(count, is_ok),
                "scores": scores,
                "states": np.where(scores >= 0.5, *present).astype(np.uint8),
                "answers": None,
                "num_frames": count,
                "decode_seconds": 0.1,
                "label_seconds": 0.1,
                "finished_us": finished_us,
                "run_id": "run",
                "device": "cpu",
            }
        )
    return pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)
