"""The two Ray Data stages of relabel, decode and label: one unit in, one row out, and nothing that a video or a model
does can raise out of them. A unit that failed in the first passes through the second untouched."""

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from nrray.decode import DecodeConfig, FrameRequest, GuardedDecoder, SampledFrames
from nrray.errors import ConfigError, DecodeError, ErrorKind, ModelError
from nrray.labels import LabelSet
from nrray.models import Labeler, LabelMemoryError, ModelConfig, is_device_lost, load_labeler
from nrray.pipelines.on_ray.allocator import keep_freed_memory
from nrray.plan import UNIT_SCHEMA
from nrray.results.journal import EntryLimits, Journal, is_exhausted
from nrray.results.ledger import RESULT_SCHEMA
from nrray.sampling import Sampling, unit_samples_us, unit_window_samples, window_spans_us
from nrray.storage import Folder, check_unchanged
from nrray.types import Frames, UnitStatus, WindowLabels

# What the driver hands to decode: a unit and what its video is.
WORK_SCHEMA = pa.schema(
    [
        *UNIT_SCHEMA,
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("modified_us", pa.int64(), nullable=False),
        pa.field("start_us", pa.int64(), nullable=False),
        pa.field("duration_us", pa.int64(), nullable=False),
        pa.field("seekable", pa.bool_(), nullable=False),
    ]
)

# What decode hands to label. Pixels travel as bytes of (num_frames, H, W, 3) uint8; a failed unit has none.
DECODED_SCHEMA = pa.schema(
    [
        *UNIT_SCHEMA,
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error_kind", pa.string()),
        pa.field("error", pa.string()),
        pa.field("shortfall", pa.string()),
        pa.field("window_start_us", pa.list_(pa.int64()), nullable=False),
        pa.field("window_end_us", pa.list_(pa.int64()), nullable=False),
        pa.field("window_labelled", pa.list_(pa.bool_()), nullable=False),
        pa.field("window_frames", pa.list_(pa.int32()), nullable=False),
        pa.field("pts_us", pa.list_(pa.int64()), nullable=False),
        pa.field("pixels", pa.large_binary(), nullable=False),
        pa.field("decode_seconds", pa.float64(), nullable=False),
    ]
)


class DecodeStage:
    """WORK_SCHEMA rows to DECODED_SCHEMA rows, in an actor that owns one guarded decoder."""

    def __init__(
        self, *, output: str, run_id: str, decode: DecodeConfig, sampling: Sampling, limits: EntryLimits
    ) -> None:
        self._journal = Journal(Folder(output), run_id)
        self._decoder = GuardedDecoder(decode)
        try:
            self._decoder.check()
        except DecodeError as error:
            raise ConfigError(f"no video can be decoded on this node: {error}") from None
        self._sampling = sampling
        self._limits = limits

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for row in batch.to_pylist():
            yield self._decoded(row)

    def _decoded(self, row: dict[str, Any]) -> pa.Table:
        entries = self._journal.entries(row["unit_id"])
        row["attempts"] += entries.all_runs + 1
        starts, ends = window_spans_us(
            self._sampling,
            start_us=row["start_us"],
            duration_us=row["duration_us"],
            first_window=row["first_window"],
            num_windows=row["num_windows"],
        )
        row |= {"window_start_us": starts, "window_end_us": ends}
        if is_exhausted(entries, self._limits):
            row["attempts"] -= 1
            return _not_decoded(
                row,
                UnitStatus.QUARANTINED,
                ErrorKind.KILLED_LABELER,
                f"tried {entries.all_runs} times, and each time the process that tried it died",
            )
        started = time.perf_counter()
        entry = self._journal.enter(row["unit_id"], "decode")
        try:
            check_unchanged(row["uri"], size_bytes=row["size_bytes"], modified_us=row["modified_us"])
            sampled = self._decoder.sample(self._request(row))
            check_unchanged(row["uri"], size_bytes=row["size_bytes"], modified_us=row["modified_us"])  # meanwhile
        except DecodeError as error:
            return _not_decoded(row, UnitStatus.FAILED, error.kind, str(error), time.perf_counter() - started)
        finally:
            self._journal.leave(entry)
        return _decoded(row, sampled, self._sampling, time.perf_counter() - started)

    def _request(self, row: dict[str, Any]) -> FrameRequest:
        return FrameRequest(
            uri=row["uri"],
            sample_us=unit_samples_us(
                self._sampling,
                start_us=row["start_us"],
                first_window=row["first_window"],
                num_windows=row["num_windows"],
            ),
            width_px=self._sampling.frame_width_px,
            height_px=self._sampling.frame_height_px,
            video_end_us=row["start_us"] + row["duration_us"],
            seekable=row["seekable"],
        )


class LabelStage:
    """DECODED_SCHEMA rows to RESULT_SCHEMA rows, in an actor that owns one model."""

    def __init__(
        self,
        *,
        output: str,
        run_id: str,
        model: ModelConfig,
        label_set: LabelSet,
        digest: str,
        sampling: Sampling,
        limits: EntryLimits,
    ) -> None:
        keep_freed_memory()
        self._journal = Journal(Folder(output), run_id)
        self._run_id = run_id
        self._sampling = sampling
        self._limits = limits
        self._num_activities = len(label_set.activities)
        self._labeler: Labeler = load_labeler(model, label_set)
        if self._labeler.info.digest != digest:
            raise ModelError(
                f"{model.path} on node {socket.gethostname()} is another model (digest {self._labeler.info.digest[:12]}) "
                f"than on the node that planned this run ({digest[:12]}): copy the same folder to all nodes."
            )

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for index in range(batch.num_rows):
            yield self._result(batch.slice(index, 1))

    def _result(self, unit: pa.Table) -> pa.Table:
        row = unit.drop_columns(["pixels", "pts_us", "window_frames"]).to_pylist()[0]
        if row["status"] != UnitStatus.OK.value:
            return self._row(row, None, 0, 0.0)
        entries = self._journal.entries(row["unit_id"])
        row["attempts"] = max(row["attempts"], entries.all_runs + 1)
        if is_exhausted(entries, self._limits):
            row["attempts"] = max(row["attempts"], entries.all_runs)
            row |= {
                "status": UnitStatus.QUARANTINED.value,
                "error_kind": ErrorKind.KILLED_LABELER.value,
                "error": f"tried {entries.all_runs} times, and each time the process that tried it died",
            }
            return self._row(row, None, 0, 0.0)
        frames = _frames(unit, row, self._sampling)
        started = time.perf_counter()
        entry = self._journal.enter(row["unit_id"], "label")
        labels: WindowLabels | None = None
        try:
            labels = self._labeler.label(frames)
        except LabelMemoryError as error:
            _fail(row, ErrorKind.LABEL_MEMORY, str(error))
        except Exception as error:
            if is_device_lost(error):
                # Every later unit of this process would fail too. The entry stays: a unit that does this again and
                # again is quarantined, and Ray starts a fresh process.
                os._exit(1)
            # One unit's trouble must not end the archive's run.
            _fail(row, ErrorKind.LABEL_FAILED, f"{type(error).__name__}: {error}")
        self._journal.leave(entry)
        return self._row(row, labels, len(frames.pixels), time.perf_counter() - started)

    def _row(self, row: dict[str, Any], labels: WindowLabels | None, num_frames: int, seconds: float) -> pa.Table:
        labelled = np.asarray(row["window_labelled"], dtype=bool)
        scores = np.full((len(labelled), self._num_activities), np.nan, np.float32)
        states = np.zeros((len(labelled), self._num_activities), np.uint8)
        answers: list[str | None] | None = None
        if labels is None:
            labelled = np.zeros(len(labelled), bool)
        else:
            scores[labelled] = labels.scores
            states[labelled] = labels.states
            if labels.answers is not None:
                answered = iter(labels.answers)
                answers = [
                    text
                    for is_labelled in labelled
                    for text in (next(answered) if is_labelled else [None] * self._num_activities)
                ]
        info = self._labeler.info
        values = {
            **row,
            "window_labelled": labelled,
            "scores": scores.reshape(-1),
            "states": states.reshape(-1),
            "answers": answers,
            "num_frames": num_frames,
            "label_seconds": seconds,
            "finished_us": time.time_ns() // 1000,
            "run_id": self._run_id,
            "device": f"{info.device}/{info.dtype}",
        }
        return _one_row(values, RESULT_SCHEMA)


def _decoded(row: dict[str, Any], sampled: SampledFrames, sampling: Sampling, seconds: float) -> pa.Table:
    frame_of_window = sampled.frame_of_sample[unit_window_samples(sampling, row["num_windows"])]  # (W, F)
    labelled = (frame_of_window >= 0).all(axis=1)
    if not labelled.any():
        reason = sampled.shortfall or "no frame at any of the sampled times"
        return _not_decoded(row, UnitStatus.FAILED, ErrorKind.NO_FRAMES, reason, seconds)
    return _one_row(
        {
            **row,
            "status": UnitStatus.OK.value,
            "error_kind": None,
            "error": None,
            "shortfall": sampled.shortfall or None,
            "window_labelled": labelled,
            "window_frames": frame_of_window[labelled].reshape(-1),
            "pts_us": sampled.pts_us,
            "pixels": np.ascontiguousarray(sampled.pixels).tobytes(),
            "decode_seconds": seconds,
        },
        DECODED_SCHEMA,
    )


def _not_decoded(
    row: dict[str, Any], status: UnitStatus, kind: ErrorKind, message: str, seconds: float = 0.0
) -> pa.Table:
    values = {
        **row,
        "status": status.value,
        "error_kind": kind.value,
        "error": message,
        "shortfall": None,
        "window_labelled": np.zeros(row["num_windows"], bool),
        "window_frames": np.zeros(0, np.int32),
        "pts_us": np.zeros(0, np.int64),
        "pixels": b"",
        "decode_seconds": seconds,
    }
    return _one_row(values, DECODED_SCHEMA)


def _frames(unit: pa.Table, row: dict[str, Any], sampling: Sampling) -> Frames:
    labelled = np.asarray(row["window_labelled"], dtype=bool)
    pixels = np.frombuffer(unit["pixels"][0].as_buffer(), np.uint8)
    return Frames(
        pixels=pixels.reshape(-1, sampling.frame_height_px, sampling.frame_width_px, 3),
        pts_us=unit["pts_us"].combine_chunks().flatten().to_numpy(),
        window_frames=unit["window_frames"]
        .combine_chunks()
        .flatten()
        .to_numpy()
        .reshape(-1, sampling.frames_per_window),
        window_start_us=np.asarray(row["window_start_us"], np.int64)[labelled],
        window_end_us=np.asarray(row["window_end_us"], np.int64)[labelled],
        frames_per_second=sampling.frames_per_second,
    )


def _fail(row: dict[str, Any], kind: ErrorKind, message: str) -> None:
    row |= {"status": UnitStatus.FAILED.value, "error_kind": kind.value, "error": message}


def _one_row(values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table([pa.array([values[field.name]], field.type) for field in schema], schema=schema)
