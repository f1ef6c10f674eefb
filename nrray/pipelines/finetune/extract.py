"""Frames to train on, extracted by Ray Data into files that all workers of a training read."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nrray.archive.manifest import facts_of_videos
from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.decode import DecodeConfig, FrameRequest, GuardedDecoder
from nrray.errors import DataError, DecodeError, ErrorKind, StorageError
from nrray.pipelines.finetune.job import ResolvedFinetune
from nrray.pipelines.on_ray.blocks import decoder_blocks
from nrray.pipelines.on_ray.pools import MIB, Capacity, PoolRequest, cluster_capacity, planned_pools
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.on_ray.streaming import PooledStage, streamed_rows
from nrray.pipelines.workers import WorkersConfig
from nrray.sampling import Sampling, unit_samples_us
from nrray.storage import check_unchanged
from nrray.tables import rows_from_table, schema_of, table_from_rows
from nrray.train.examples import Chunk, window_name
from nrray.train.frame_store import is_whole_file, stated_digest, store_file, whole_windows, write_frames
from nrray.types import US_PER_SECOND, VideoFacts

_DECODER_MEMORY_BYTES = 768 * MIB
_DIGEST_LETTERS = 16  # a checkpoint states one of each video


@dataclass(frozen=True, kw_only=True)
class ChunkRequest(VideoFacts):
    """A chunk whose frames are to be extracted, with the facts of its video."""

    name: str
    first_sample: int
    num_starts: int


@dataclass(frozen=True, kw_only=True)
class ChunkResult:
    """A chunk whose frames are in the store, or the reason why they are not."""

    name: str
    num_bytes: int = 0
    error_kind: ErrorKind | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """Chunks whose frames are on disk, and a digest of each video's frames by its path; `dropped` chunks have none: the reason
    by name."""

    chunks: list[Chunk]
    frames: dict[str, str]
    dropped: dict[str, str]
    num_new: int


class ExtractStage:
    """A chunk in, a file and a row out, in an actor that owns one guarded decoder. A bad video raises nothing here; a
    full disk does, as no later chunk would fit either."""

    def __init__(self, *, folder: str, decode: DecodeConfig, sampling: Sampling) -> None:
        self._folder = Path(folder)
        self._decoder = GuardedDecoder(decode)
        self._sampling = sampling

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for request in rows_from_table(batch, ChunkRequest):
            yield table_from_rows([self._extracted(request)], ChunkResult)

    def _extracted(self, request: ChunkRequest) -> ChunkResult:
        try:
            check_unchanged(request.uri, size_bytes=request.size_bytes, modified_us=request.modified_us)
            sampled = self._decoder.sample(self._frames_of(request))
            # A model learns from no damaged picture.
            kept = np.where(sampled.is_sound, sampled.frame_of_sample, -1).astype(np.int32)
            sampled = replace(sampled, frame_of_sample=kept)
            if not whole_windows(sampled.frame_of_sample, self._sampling.frames_per_window).any():
                raise DecodeError(ErrorKind.NO_FRAMES, sampled.shortfall or "no window has all of its frames")
            num_bytes = write_frames(store_file(self._folder, request.name), sampled)
        except DecodeError as problem:
            return ChunkResult(name=request.name, error_kind=problem.kind, error=str(problem))
        return ChunkResult(name=request.name, num_bytes=num_bytes)

    def _frames_of(self, request: ChunkRequest) -> FrameRequest:
        dense = self._sampling.model_copy(update={"stride_seconds": 1 / self._sampling.frames_per_second})
        return FrameRequest(
            uri=request.uri,
            sample_us=unit_samples_us(
                dense, start_us=request.start_us, first_window=request.first_sample, num_windows=request.num_starts
            ),
            width_px=self._sampling.frame_width_px,
            height_px=self._sampling.frame_height_px,
            video_end_us=request.start_us + request.duration_us,
            seekable=request.seekable,
            clock=request.clock,
            frame_interval_us=request.frame_interval_us,
            stream_index=request.stream_index,
        )


def extracted(resolved: ResolvedFinetune, reporter: Reporter) -> Extracted:
    """Bring the store up to date: files that are there stay. Raises DataError, ResourcesError, StorageError."""
    job, folder = resolved.job, Path(resolved.job.store)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for leftover in folder.glob(".tmp-*"):
        leftover.unlink(missing_ok=True)
    todo = [chunk for chunk in job.chunks if not _is_there(folder, chunk)]
    dropped: dict[str, str] = {}
    if todo:
        _check_room(folder, todo, job.sampling)
        reporter.say(f"extracting the frames of {len(todo)} chunks of video")
        requests = _requests(todo, resolved.manifest)
        with (
            Progress(
                console=reporter.console,
                verb="extract",
                total_units=len(todo),
                total_us=sum(_length_us(chunk, job.sampling) for chunk in todo),
                unit="chunks",
                quiet=reporter.is_silent,
            ) as progress,
            ray_session(),
        ):
            by_name = {chunk.name: chunk for chunk in todo}
            for result in _results(requests, resolved):
                chunk = by_name[result.name]
                kind = result.error_kind.value if result.error_kind is not None else None
                progress.add(video_us=_length_us(chunk, job.sampling), error_kind=kind)
                if kind is not None:
                    where = window_name(chunk, 0, job.sampling)
                    dropped[chunk.name] = f"{where}: {kind}: {result.error}"
    kept = [chunk for chunk in job.chunks if chunk.name not in dropped]
    for split in {chunk.split for chunk in job.chunks} - {chunk.split for chunk in kept}:
        raise DataError(f"not one window of the {split} split could be decoded: {next(iter(dropped.values()))}")
    return Extracted(
        chunks=kept, frames=frames_digests(folder, kept), dropped=dropped, num_new=len(todo) - len(dropped)
    )


def frames_digests(folder: Path, chunks: Iterable[Chunk]) -> dict[str, str]:
    """Of each video, by its path, a digest of the pixels of its chunks in a store. Raises DataError."""
    totals: dict[str, Any] = {}
    for chunk in sorted(chunks, key=lambda chunk: (chunk.path, chunk.name)):
        total = totals.setdefault(chunk.path, hashlib.sha256())
        total.update(f"{chunk.name} {stated_digest(store_file(folder, chunk.name))}\0".encode())
    return {path: total.hexdigest()[:_DIGEST_LETTERS] for path, total in totals.items()}


def _results(requests: pa.Table, resolved: ResolvedFinetune) -> Iterator[ChunkResult]:
    config, capacity = resolved.config, cluster_capacity()
    (decoders,) = planned_pools([_decoders(config.workers, capacity)], capacity, num_units=requests.num_rows)
    arguments = {"folder": resolved.job.store, "decode": config.decode, "sampling": resolved.job.sampling}
    for table in streamed_rows(
        decoder_blocks(requests, span_us=_span_us(requests, resolved.job.sampling)),
        [PooledStage(actor=ExtractStage, arguments=arguments, pool=decoders)],
        stall_timeout_seconds=config.workers.stall_timeout_seconds,
    ):
        yield from rows_from_table(table, ChunkResult)


def _span_us(requests: pa.Table, sampling: Sampling) -> NDArray[np.int64]:
    spans: NDArray[np.int64] = requests["num_starts"].to_numpy() * round(US_PER_SECOND / sampling.frames_per_second)
    return spans


def _decoders(asked: WorkersConfig, capacity: Capacity) -> PoolRequest:
    """One worker per CPU, and fewer where fewer are asked for."""
    count = asked.decoders
    return PoolRequest(
        name="decoders",
        count=count if count == "auto" else min(count, int(capacity.num_cpus)),
        memory_bytes=_DECODER_MEMORY_BYTES,
        count_setting="workers.decoders",
    )


def _requests(chunks: list[Chunk], manifest: pa.Table) -> pa.Table:
    """Rows of `ChunkRequest`."""
    columns = {
        **facts_of_videos(manifest, pa.array([chunk.video_id for chunk in chunks], pa.string())),
        "name": pa.array([chunk.name for chunk in chunks], pa.string()),
        "first_sample": pa.array([chunk.first_sample for chunk in chunks], pa.int64()),
        "num_starts": pa.array([chunk.num_starts for chunk in chunks], pa.int64()),
    }
    return pa.table(columns, schema=schema_of(ChunkRequest))


def _is_there(folder: Path, chunk: Chunk) -> bool:
    file = store_file(folder, chunk.name)
    if is_whole_file(file):
        return True
    file.unlink(missing_ok=True)  # cut short by a crash of the machine: made anew
    return False


def _check_room(folder: Path, chunks: list[Chunk], sampling: Sampling) -> None:
    needed = sum(chunk.num_samples(sampling) for chunk in chunks) * sampling.frame_bytes
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: {needed / 2**30:.1f} GiB of frames are to be extracted, {free / 2**30:.1f} GiB are free. Free some, or "
            f"set store.folder to another disk."
        )


def _length_us(chunk: Chunk, sampling: Sampling) -> int:
    return round(chunk.num_samples(sampling) / sampling.frames_per_second * 1e6)
