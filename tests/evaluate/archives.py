"""Small archives of labels and annotations, written as the product writes them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nrray.archive import annotations
from nrray.evaluate.config import EvaluateConfig
from nrray.evaluate.evaluation import evaluate
from nrray.labels import read_label_set
from nrray.results.coverage_table import COVERAGE_SCHEMA
from nrray.results.version_tables import LABEL_SCHEMA, SEGMENT_SCHEMA
from nrray.storage import Folder
from nrray.types import Extent, Origin, Segment

US = 1_000_000
LABELS = read_label_set()
TRUTH = {
    "baby_visible": [(5, 60)],
    "ventilation": [(10, 20), (30, 40)],
    "stimulation": [(12, 18)],
    "suction": [(22, 28)],
}
PATHS = [f"case{n}/video.mp4" for n in range(8)]


def seconds(spans):
    return [(round(start * US), round(end * US)) for start, end in spans]


def write_annotations(folder: Path, segments, extents, source="human", activities=LABELS.names):
    """segments: path to {activity: [(start, end) s]}; extents: path to [(start, end) s]; activities: that were looked for."""
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
    annotations.write_annotations(Folder(str(folder)), rows, examined, activities=activities)
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


def archive(tmp_path, *, right=0.9, extents=(0, 60), name="labels", seed=0, failed=(), states=None):
    """Labels that are right in so many windows, and the truth, of PATHS: (folder, folder)."""
    random = np.random.default_rng(seed)
    reference = tmp_path / "truth"
    if not reference.exists():
        write_annotations(reference, dict.fromkeys(PATHS, TRUTH), {key: [extents] for key in PATHS})
    scores = {path: scores_of(TRUTH, 60, right=right, random=random) for path in PATHS}
    labels = write_labels(tmp_path / name, scores, source=name, failed=failed, states=states)
    return labels, str(reference)


def evaluated(tmp_path, labels, reference, **more):
    """The document of an evaluation."""
    config = EvaluateConfig(candidate=labels, reference=reference, output=str(tmp_path / "out"), **more)
    return evaluate(config).document


def estimate(document, name, metric):
    return document.row(name).values[metric].estimate


def sidecar_of(folder, paths):
    """A sidecar in which all videos of `paths` are one case."""
    file = folder / "cases.csv"
    file.write_text("case_id,video_path\n" + "".join(f"birth,{path}\n" for path in paths), encoding="utf-8")
    return str(file)
