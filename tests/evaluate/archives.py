"""Small archives of labels and annotations, written as the product writes them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nrray.archive import annotations
from nrray.labels import read_label_set
from nrray.results.version_tables import COVERAGE_SCHEMA, LABEL_SCHEMA, SEGMENT_SCHEMA
from nrray.storage import Folder
from nrray.types import Extent, Origin, Segment

US = 1_000_000
LABELS = read_label_set()


def seconds(spans):
    return [(round(start * US), round(end * US)) for start, end in spans]


def write_annotations(folder: Path, segments, extents, source="human"):
    """segments: path to {activity: [(start, end) s]}; extents: path to [(start, end) s]."""
    rows = [
        Segment(path=path, activity=activity, start_us=start, end_us=end, source=source, origin=Origin.HUMAN)
        for path, mine in segments.items()
        for activity, spans in mine.items()
        for start, end in seconds(spans)
    ]
    examined = [
        Extent(path=path, start_us=start, end_us=end, source=source)
        for path, spans in extents.items()
        for start, end in seconds(spans)
    ]
    annotations.write_annotations(Folder(str(folder)), rows, examined)
    return str(folder)


def write_labels(folder: Path, scores, *, source="model", states=None, failed=()):
    """scores: path to (W, A) of 1 s windows; `failed` are (path, window); states: path to {(window, activity): state}."""
    folder.mkdir(parents=True)
    labels, coverage, segments = [], [], []
    for path, values in scores.items():
        for window, row in enumerate(np.asarray(values)):
            span = {"video_id": f"id-{path}", "path": path, "start_us": window * US, "end_us": (window + 1) * US}
            bad = (path, window) in failed
            tail = {"source": source, "schema_version": 1}
            coverage.append(
                span
                | tail
                | {"status": "failed" if bad else "ok", "error_kind": "decode_failed" if bad else None, "reason": None}
            )
            if bad:
                continue
            for activity, score in zip(LABELS.names, row, strict=True):
                state = (states or {}).get(path, {}).get((window, activity), "present" if score >= 0.5 else "absent")
                labels.append(span | tail | {"activity": activity, "score": score, "state": state, "answer": None})
                if state == "present":
                    segments.append(span | tail | {"activity": activity, "score": score, "origin": "model"})
    for name, rows, schema in (
        ("labels", labels, LABEL_SCHEMA),
        ("coverage", coverage, COVERAGE_SCHEMA),
        ("segments", segments, SEGMENT_SCHEMA),
    ):
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{name}.parquet")
    return str(folder)


def scores_of(truth, num_windows, *, right=0.9, random=None):
    """(W, A) scores of a labeller that is right in so many of the windows."""
    random = random or np.random.default_rng(0)
    is_there = np.zeros((num_windows, len(LABELS.names)), bool)
    for activity, spans in truth.items():
        for start, end in spans:
            is_there[int(start) : int(end), LABELS.names.index(activity)] = True
    flipped = is_there ^ (random.random(is_there.shape) > right)
    return np.where(flipped, 0.6, 0.1) + 0.3 * random.random(is_there.shape)
