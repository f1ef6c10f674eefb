"""The two stages of relabel: a unit is decoded, then labelled. A unit that failed in the first passes through the second
untouched."""

import time
from dataclasses import replace
from typing import TypeVar

from nrray.decode import DecodeConfig, FrameRequest, GuardedDecoder
from nrray.errors import ConfigError, DecodeError, ErrorKind
from nrray.labels import LabelSet
from nrray.models import Execution, Labeler, ResolvedModel, Strategy, is_device_lost
from nrray.models.shown import Shown, as_shown
from nrray.pipelines.on_ray.allocator import keep_freed_memory
from nrray.pipelines.on_ray.stage import UnitFailure, UnitStage
from nrray.pipelines.relabel.unit_rows import decoded_unit, device_of, undecoded_unit, unlabelled_unit, with_labels
from nrray.results.journal import EntryLimits
from nrray.sampling import Sampling, unit_samples_us
from nrray.storage import check_unchanged
from nrray.types import (
    CaptionedUnit,
    DecodedUnit,
    UnitRequest,
    UnitResult,
)


class DecodeStage(UnitStage[UnitRequest, DecodedUnit]):
    """The sampled frames of units, or what is shown in their place, in an actor that owns one guarded decoder."""

    name = "decode"
    request = UnitRequest
    result = DecodedUnit
    unforeseen = ErrorKind.DECODE_FAILED

    def __init__(
        self, *, output: str, run_id: str, decode: DecodeConfig, sampling: Sampling, shown: Shown, limits: EntryLimits
    ) -> None:
        """Raises ConfigError where this node cannot decode any video."""
        super().__init__(output=output, run_id=run_id, limits=limits)
        self._decoder = GuardedDecoder(decode)
        try:
            self._decoder.check()
        except DecodeError as error:
            raise ConfigError(f"no video can be decoded on this node: {error}") from None
        self._sampling = sampling
        self._shown = shown
        self._max_damaged_fraction = decode.max_damaged_fraction

    def earlier_attempts(self, row: UnitRequest) -> int:
        return row.earlier_attempts

    def processed(self, row: UnitRequest, *, attempts: int) -> DecodedUnit:
        """The unit's frames. Raises DecodeError, also where the file is another one than the scanned one, before or after."""
        started = time.perf_counter()
        check_unchanged(row.uri, size_bytes=row.size_bytes, modified_us=row.modified_us)
        sampled = self._decoder.sample(self._frame_request(row))
        check_unchanged(row.uri, size_bytes=row.size_bytes, modified_us=row.modified_us)
        seconds = time.perf_counter() - started
        unit = decoded_unit(
            row,
            sampled,
            self._sampling,
            attempts=attempts,
            seconds=seconds,
            max_damaged_fraction=self._max_damaged_fraction,
        )
        frames = as_shown(unit.frames(frames_per_second=self._sampling.frames_per_second), self._shown)
        return replace(unit, pixels=frames.pixels.reshape(-1), window_frames=frames.window_frames.reshape(-1))

    def failed(self, row: UnitRequest, failure: UnitFailure) -> DecodedUnit:
        return replace(
            undecoded_unit(row, self._sampling),
            attempts=failure.attempts,
            status=failure.status,
            error_kind=failure.error_kind,
            error=failure.error,
            decode_seconds=failure.seconds,
        )

    def _frame_request(self, row: UnitRequest) -> FrameRequest:
        return FrameRequest(
            uri=row.uri,
            sample_us=unit_samples_us(
                self._sampling, start_us=row.start_us, first_window=row.first_window, num_windows=row.num_windows
            ),
            width_px=self._sampling.frame_width_px,
            height_px=self._sampling.frame_height_px,
            video_end_us=row.start_us + row.duration_us,
            seekable=row.seekable,
            clock=row.clock,
            frame_interval_us=row.frame_interval_us,
            stream_index=row.stream_index,
        )


SeenT = TypeVar("SeenT", DecodedUnit, CaptionedUnit)
FoundT = TypeVar("FoundT", CaptionedUnit, UnitResult)


class ModelStage(UnitStage[SeenT, FoundT]):
    """A stage that owns a model: a unit that failed before passes untried, and a lost device ends the process."""

    unforeseen = ErrorKind.LABEL_FAILED

    def earlier_attempts(self, row: SeenT) -> int:
        return row.earlier_attempts

    def earlier_failure(self, row: SeenT) -> UnitFailure | None:
        if row.error_kind is None:
            return None
        return UnitFailure(
            status=row.status, error_kind=row.error_kind, error=row.error or "", attempts=row.attempts, seconds=0.0
        )

    def is_device_lost(self, error: Exception) -> bool:
        return is_device_lost(error)


class LabelStage(ModelStage[DecodedUnit, UnitResult]):
    """The labels of decoded units, in an actor that owns one model."""

    name = "label"
    request = DecodedUnit
    result = UnitResult

    def __init__(
        self,
        *,
        output: str,
        run_id: str,
        checkpoint: ResolvedModel,
        strategy: Strategy,
        execution: Execution,
        label_set: LabelSet,
        sampling: Sampling,
        limits: EntryLimits,
    ) -> None:
        """Raises ModelError where this node has another model than the driver."""
        super().__init__(output=output, run_id=run_id, limits=limits)
        keep_freed_memory()
        self._run_id = run_id
        self._sampling = sampling
        self._num_activities = len(label_set.activities)
        self._labeler: Labeler = strategy.labeler(checkpoint, label_set=label_set, execution=execution)

    def processed(self, row: DecodedUnit, *, attempts: int) -> UnitResult:
        """The unit's labels. Raises LabelMemoryError, and whatever the model raises."""
        started = time.perf_counter()
        frames = row.frames(frames_per_second=self._sampling.frames_per_second)
        labels = self._labeler.label(frames)
        result = replace(
            self._unlabelled(row),
            attempts=attempts,
            window_labelled=row.window_decoded,
            num_frames=len(frames.pixels),
            label_seconds=time.perf_counter() - started,
        )
        return with_labels(result, labels)

    def failed(self, row: DecodedUnit, failure: UnitFailure) -> UnitResult:
        return replace(
            self._unlabelled(row),
            attempts=failure.attempts,
            status=failure.status,
            error_kind=failure.error_kind,
            error=failure.error,
            label_seconds=failure.seconds,
        )

    def _unlabelled(self, row: DecodedUnit) -> UnitResult:
        return unlabelled_unit(
            row, num_activities=self._num_activities, run_id=self._run_id, device=device_of(self._labeler.info)
        )
