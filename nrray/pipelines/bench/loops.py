"""The loops that `nrray bench relabel` compares relabel with, as a user would write them, with the same frames, windows
and model. Run as `python -m nrray.pipelines.bench.loops KIND MANIFEST OUTPUT`; prints one line of JSON."""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from nrray.decode import DecodeConfig, FrameRequest, sample_frames
from nrray.errors import DataError
from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, Device, Execution, HeadStrategy, resolve_checkpoint
from nrray.models.frame_stacking import stacked
from nrray.models.metadata import HEAD_FILE
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.relabel.run import unit_requests
from nrray.plan import Packing, plan_units
from nrray.sampling import Sampling, unit_samples_us, unit_window_samples, window_count, window_spans_us
from nrray.tables import rows_from_table
from nrray.types import US_PER_SECOND, Frames, UnitRequest


def units_of(manifest: pa.Table) -> list[UnitRequest]:
    """The same units as relabel's, with the facts of their videos that decode needs."""
    units = plan_units(manifest, Sampling(), Packing()).units
    untried = units.append_column("attempts", pa.array(np.zeros(units.num_rows, np.int32)))
    return rows_from_table(unit_requests(untried, manifest), UnitRequest)


def decoded(unit: UnitRequest, sampling: Sampling) -> Frames:
    """A unit's frames, decoded in this process."""
    where = {"start_us": unit.start_us, "first_window": unit.first_window, "num_windows": unit.num_windows}
    sampled = sample_frames(
        FrameRequest(
            uri=unit.uri,
            sample_us=unit_samples_us(sampling, **where),
            width_px=sampling.frame_width_px,
            height_px=sampling.frame_height_px,
            video_end_us=unit.start_us + unit.duration_us,
        ),
        DecodeConfig(),
    )
    starts, ends = window_spans_us(sampling, duration_us=unit.duration_us, **where)
    return Frames(
        pixels=sampled.pixels,
        pts_us=sampled.pts_us,
        window_frames=sampled.frame_of_sample[unit_window_samples(sampling, unit.num_windows)],
        window_start_us=starts,
        window_end_us=ends,
        frames_per_second=sampling.frames_per_second,
    )


def plain_loop(manifest: pa.Table, *, num_threads: int, decodes_ahead: bool) -> tuple[float, float]:
    """Video seconds and wall seconds, start-up excluded, of one process: decode a unit, label it, next; or decode the
    next one meanwhile."""
    sampling = Sampling()
    execution = Execution(device=Device.CPU, num_threads=num_threads)
    labeler = HeadStrategy().labeler(
        resolve_checkpoint(CheckpointChoice()), label_set=read_label_set(), execution=execution
    )
    units = units_of(manifest)
    labeler.label(decoded(units[0], sampling))  # warm
    started = time.perf_counter()
    for frames in _ahead(units, sampling) if decodes_ahead else (decoded(unit, sampling) for unit in units):
        labeler.label(frames)
    seconds = sum(unit.num_windows for unit in units) * sampling.stride_seconds
    return seconds, time.perf_counter() - started


def _ahead(units: list[UnitRequest], sampling: Sampling) -> Iterator[Frames]:
    waiting: queue.Queue[Frames | None] = queue.Queue(maxsize=2)

    def decode_all() -> None:
        for unit in units:
            waiting.put(decoded(unit, sampling))
        waiting.put(None)

    threading.Thread(target=decode_all, daemon=True).start()
    while (frames := waiting.get()) is not None:
        yield frames


class LabelVideo:
    """The callable that a careful user would give to map_batches: a video's frames in, its windows labelled, shared frames
    encoded once by this package's own labeler."""

    def __init__(self) -> None:
        checkpoint, execution = resolve_checkpoint(CheckpointChoice()), Execution(device=Device.CPU)
        self._labeler = HeadStrategy().labeler(checkpoint, label_set=read_label_set(), execution=execution)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        frames = frames_of_rows(batch)
        scores = self.scores(frames)
        seconds = len(frames.window_frames) * Sampling().stride_seconds
        return {"seconds": np.array([seconds]), "score": scores[:1, 0]}

    def scores(self, frames: Frames) -> np.ndarray:
        """(W, A) scores."""
        return self._labeler.label(frames).scores


class LabelWindows(LabelVideo):
    """The callable that the model's documentation teaches: each window's frames through processor and model, then the
    head."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        checkpoint = resolve_checkpoint(CheckpointChoice())
        folder, metadata = checkpoint.folder, checkpoint.metadata
        assert metadata is not None
        self._model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self._processor = AutoProcessor.from_pretrained(folder)
        head = load_file(folder / HEAD_FILE)
        self._weight, self._bias = head["out.weight"], head["out.bias"]
        self._frame_stacking = metadata.frame_stacking
        num_images = len(metadata.frame_stacking.rows(metadata.sampling.frames_per_window))
        images: list[dict[str, str]] = [{"type": "image"}] * num_images
        content = [*images, {"type": "text", "text": metadata.prompt}]
        self._text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    def scores(self, frames: Frames) -> np.ndarray:
        """(W, A) scores."""
        frames = stacked(frames, self._frame_stacking)
        rows = []
        for used in frames.window_frames:
            inputs = self._processor(text=[self._text], images=[list(frames.pixels[used])], return_tensors="pt")
            with torch.inference_mode():
                hidden = self._model.model(**inputs).last_hidden_state[0]
                is_frame = inputs["input_ids"][0] == self._model.config.image_token_id
                rows.append(torch.sigmoid(self._weight @ hidden[is_frame].mean(dim=0) + self._bias).numpy())
        return np.stack(rows)


def frames_of_rows(batch: dict[str, np.ndarray]) -> Frames:
    """The windows of a whole video from the rows of `read_videos`, one per decoded frame. Raises DataError for a part
    of a video or for several."""
    if not np.array_equal(batch["frame_index"], np.arange(len(batch["frame_index"]))):
        raise DataError("a batch of read_videos is not one whole video: the comparison would be wrong")
    sampling = Sampling()
    times_us = np.rint(np.asarray([t[0] for t in batch["frame_timestamp"]]) * US_PER_SECOND).astype(np.int64)
    duration_us = int(times_us[-1] + np.median(np.diff(times_us)))
    num_windows = int(window_count(sampling, np.array([duration_us]))[0])
    samples = unit_samples_us(sampling, start_us=0, first_window=0, num_windows=num_windows)
    frame_of_sample = np.maximum(np.searchsorted(times_us, samples, side="right") - 1, 0)
    used, position = np.unique(frame_of_sample, return_inverse=True)
    starts, ends = window_spans_us(
        sampling, start_us=0, duration_us=duration_us, first_window=0, num_windows=num_windows
    )
    return Frames(
        pixels=np.stack([batch["frame"][index] for index in used]),
        pts_us=times_us[used],
        window_frames=position.astype(np.int32)[unit_window_samples(sampling, num_windows)],
        window_start_us=starts,
        window_end_us=ends,
        frames_per_second=sampling.frames_per_second,
    )


def read_videos_pipeline(manifest: pa.Table, labeler: type[LabelVideo]) -> tuple[float, float]:
    """Video seconds and wall seconds, start-up included, of ray.data.read_videos (one row per frame) and map_batches on
    a pool of actors, one video a batch. One CPU reads, two actors share each of the others."""
    import ray  # by now on_ray has chosen Ray's token

    sampling = Sampling()
    paths = [
        uri for uri, status in zip(*(manifest[c].to_pylist() for c in ("uri", "status")), strict=True) if status == "ok"
    ]
    started = time.perf_counter()
    video_seconds = 0.0
    with ray_session():
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = 2**31  # a video stays in one block
        cpus = max(1, int(ray.cluster_resources()["CPU"]) - 1)
        dataset = ray.data.read_videos(
            paths,
            include_timestamps=True,
            resize=(sampling.frame_height_px, sampling.frame_width_px),
            override_num_blocks=len(paths),  # with more, Ray cuts videos into pieces
        ).map_batches(labeler, batch_size=None, compute=ray.data.ActorPoolStrategy(size=2 * cpus), num_cpus=0.5)
        for batch in dataset.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
            video_seconds += float(batch["seconds"].sum())
    return video_seconds, time.perf_counter() - started


def main(kind: str, manifest_path: str) -> dict[str, float]:
    manifest = pq.read_table(manifest_path)
    if kind == "pinned":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    loops = {
        "pinned": lambda: plain_loop(manifest, num_threads=1, decodes_ahead=False),
        "one_thread": lambda: plain_loop(manifest, num_threads=1, decodes_ahead=False),
        "all_threads": lambda: plain_loop(manifest, num_threads=os.cpu_count() or 1, decodes_ahead=False),
        "decode_ahead": lambda: plain_loop(manifest, num_threads=os.cpu_count() or 1, decodes_ahead=True),
        "read_videos": lambda: read_videos_pipeline(manifest, LabelWindows),
        "read_videos_shared": lambda: read_videos_pipeline(manifest, LabelVideo),
    }
    video_seconds, wall_seconds = loops[kind]()
    return {"video_seconds": video_seconds, "wall_seconds": wall_seconds}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2])) + "\n")
