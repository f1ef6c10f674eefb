"""The two stages that label where a language model judges captions: one looks and describes, the other reads."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nrray.labels import LabelSet
from nrray.models import Execution, JudgedStrategy, ResolvedModel
from nrray.models.engines.engine import Replies
from nrray.models.judges import ResolvedJudge
from nrray.pipelines.on_ray.allocator import keep_freed_memory
from nrray.pipelines.on_ray.stage import UnitFailure
from nrray.pipelines.relabel.stages import ModelStage
from nrray.pipelines.relabel.unit_rows import device_of, unlabelled_unit, with_labels
from nrray.results.journal import EntryLimits
from nrray.sampling import Sampling
from nrray.types import CaptionedUnit, DecodedUnit, UnitResult, UnitStatus


class CaptionStage(ModelStage[DecodedUnit, CaptionedUnit]):
    """The captions of decoded units, in an actor that owns a vision-language model."""

    name = "caption"
    request = DecodedUnit
    result = CaptionedUnit

    def __init__(
        self,
        *,
        output: str,
        run_id: str,
        checkpoint: ResolvedModel,
        strategy: JudgedStrategy,
        execution: Execution,
        label_set: LabelSet,
        sampling: Sampling,
        limits: EntryLimits,
    ) -> None:
        """Raises ModelError where this node has another model than the driver."""
        super().__init__(output=output, run_id=run_id, limits=limits)
        keep_freed_memory()
        self._sampling = sampling
        self._captioner = strategy.captioner(checkpoint, label_set=label_set, execution=execution)

    def processed(self, row: DecodedUnit, *, attempts: int) -> CaptionedUnit:
        """The unit's captions. Raises LabelMemoryError, and whatever the model raises."""
        started = time.perf_counter()
        frames = row.frames(frames_per_second=self._sampling.frames_per_second)
        rounds = self._captioner.captions(frames)
        captioned = replace(
            uncaptioned_unit(row, device=device_of(self._captioner.info)),
            attempts=attempts,
            window_captioned=row.window_decoded,
            num_frames=len(frames.pixels),
            label_seconds=time.perf_counter() - started,
        )
        return with_captions(captioned, rounds)

    def failed(self, row: DecodedUnit, failure: UnitFailure) -> CaptionedUnit:
        return replace(
            uncaptioned_unit(row, device=device_of(self._captioner.info)),
            attempts=failure.attempts,
            status=failure.status,
            error_kind=failure.error_kind,
            error=failure.error,
            label_seconds=failure.seconds,
        )


class JudgeStage(ModelStage[CaptionedUnit, UnitResult]):
    """The labels of captioned units, in an actor that owns a language model; it reads the captions of several units together."""

    name = "judge"
    request = CaptionedUnit
    result = UnitResult

    def __init__(
        self,
        *,
        output: str,
        run_id: str,
        checkpoint: ResolvedModel,
        judge: ResolvedJudge,
        strategy: JudgedStrategy,
        execution: Execution,
        label_set: LabelSet,
        limits: EntryLimits,
    ) -> None:
        """Raises ModelError where this node has another judge than the driver, or none."""
        super().__init__(output=output, run_id=run_id, limits=limits)
        keep_freed_memory()
        self._run_id = run_id
        self._num_activities = len(label_set.activities)
        self._num_votes = strategy.votes
        self._reader = strategy.reader(checkpoint, judge=judge, label_set=label_set, execution=execution)

    def processed(self, row: CaptionedUnit, *, attempts: int) -> UnitResult:
        """The unit's labels. Raises UnitError, and whatever the judge raises."""
        return self.processed_together([row], attempts=[attempts])[0]

    def processed_together(self, rows: Sequence[CaptionedUnit], *, attempts: Sequence[int]) -> list[UnitResult]:
        """As `UnitStage` says. Each unit took an equal share of the time."""
        started = time.perf_counter()
        labels = self._reader.labels([caption_rounds(row, num_votes=self._num_votes) for row in rows])
        seconds = (time.perf_counter() - started) / len(rows)
        return [
            with_labels(
                replace(
                    self._unlabelled(row),
                    attempts=number,
                    window_labelled=row.window_captioned,
                    label_seconds=row.label_seconds + seconds,
                ),
                of_unit,
            )
            for row, number, of_unit in zip(rows, attempts, labels, strict=True)
        ]

    def failed(self, row: CaptionedUnit, failure: UnitFailure) -> UnitResult:
        return replace(
            self._unlabelled(row),
            attempts=failure.attempts,
            status=failure.status,
            error_kind=failure.error_kind,
            error=failure.error,
            label_seconds=row.label_seconds + failure.seconds,
        )

    def _unlabelled(self, row: CaptionedUnit) -> UnitResult:
        device = f"{row.device}, judge {self._reader.device}"
        unit = unlabelled_unit(row, num_activities=self._num_activities, run_id=self._run_id, device=device)
        return replace(unit, num_frames=row.num_frames)


def uncaptioned_unit(row: DecodedUnit, *, device: str) -> CaptionedUnit:
    """The unit without a caption."""
    return CaptionedUnit(
        unit_id=row.unit_id,
        video_id=row.video_id,
        first_window=row.first_window,
        num_windows=row.num_windows,
        earlier_attempts=row.earlier_attempts,
        attempts=row.attempts,
        status=UnitStatus.OK,
        error_kind=None,
        error=None,
        shortfall=row.shortfall,
        window_start_us=row.window_start_us,
        window_end_us=row.window_end_us,
        window_captioned=np.zeros(row.num_windows, bool),
        window_damage=row.window_damage,
        captions=[],
        caption_tokens=np.zeros(0, np.int32),
        caption_seconds=np.zeros(0, np.float32),
        looks_distances=None,
        num_frames=0,
        decode_seconds=row.decode_seconds,
        label_seconds=0.0,
        device=device,
    )


def with_captions(unit: CaptionedUnit, rounds: Sequence[Replies]) -> CaptionedUnit:
    """The unit with the votes' replies about its `window_captioned`."""
    return replace(
        unit,
        captions=[
            text
            for by_round in zip(*(replies.texts for replies in rounds), strict=True)
            for texts in by_round
            for text in texts
        ],
        caption_tokens=np.concatenate([replies.num_tokens for replies in rounds], axis=1).reshape(-1),
        caption_seconds=np.concatenate([replies.seconds for replies in rounds], axis=1).reshape(-1),
        looks_distances=rounds[0].distances,
    )


def caption_rounds(row: CaptionedUnit, *, num_votes: int) -> list[Replies]:
    """The votes' replies, as they were before `with_captions`, with probabilities of nothing."""
    num_windows = int(row.window_captioned.sum())
    num_captions = len(row.captions) // max(num_windows * num_votes, 1)
    texts = np.array(row.captions, object).reshape(num_windows, num_votes, num_captions)
    tokens = row.caption_tokens.reshape(texts.shape)
    seconds = row.caption_seconds.reshape(texts.shape)
    return [
        Replies(
            texts=texts[:, vote].tolist(),
            probabilities=[np.zeros((num_windows, 0), np.float32)] * num_captions,
            num_tokens=tokens[:, vote],
            seconds=seconds[:, vote],
            distances=row.looks_distances,
        )
        for vote in range(num_votes)
    ]
