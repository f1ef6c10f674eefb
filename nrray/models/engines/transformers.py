"""Answers from a checkpoint that transformers runs."""

import time
from collections.abc import Sequence

import numpy as np
import torch

from nrray.models.batches import micro_batched
from nrray.models.checkpoint import load_checkpoint, model_info
from nrray.models.config import Execution
from nrray.models.engines.asking import Answered, Asking, asking
from nrray.models.engines.engine import GREEDY, Decoding, Question, Replies
from nrray.models.frame_stacking import stacked
from nrray.models.labeler import ModelInfo, check_frames
from nrray.models.resolved import ResolvedCheckpoint
from nrray.types import Frames


class TransformersEngine:
    """Every question is a prompt of its own, behind the frames; they are stacked as in the checkpoint's training. Where the
    family allows it, frames and all that prompts begin with are read once for all questions; else each is asked anew."""

    def __init__(self, checkpoint: ResolvedCheckpoint, *, execution: Execution) -> None:
        self._inputs = checkpoint.inputs
        self._micro_batch_windows = execution.micro_batch_windows
        loaded = load_checkpoint(checkpoint, execution=execution)
        self._info = model_info(loaded, checkpoint)
        runner = loaded.family.runner(loaded)  # last: it may lay weights out anew
        self.checkpoint = loaded
        self._asking = asking(runner, micro_batch_windows=execution.micro_batch_windows)

    @property
    def info(self) -> ModelInfo:
        return self._info

    def ask(self, frames: Frames, questions: Sequence[Question], *, decoding: Decoding = GREEDY) -> Replies:
        """As `Engine` says. Raises ModelError where answers cannot be held to a question's schema."""
        shown = frames
        if self._inputs is not None:
            check_frames(frames, trained=self._inputs.sampling, name=self._info.name)
            shown = stacked(frames, self._inputs.frame_stacking)
        num_windows, num_questions = len(frames.window_frames), len(questions)
        if num_windows * num_questions == 0:
            return _no_replies(num_windows, questions)
        started = time.perf_counter()
        with torch.inference_mode():
            self._asking.begin(shown, questions, decoding)
            prepared = (time.perf_counter() - started) / num_windows
            batches = micro_batched(
                lambda rows: _timed(self._asking, rows), num_rows=num_windows, rows_per_batch=self._micro_batch_windows
            )
        answered = [batch for batch, _ in batches]
        seconds = np.concatenate([np.full(len(batch.texts), taken + prepared) for batch, taken in batches])
        known = [batch.distances for batch in answered if batch.distances is not None]
        return Replies(
            texts=[texts for batch in answered for texts in batch.texts],
            probabilities=[
                np.concatenate(parts) for parts in zip(*(batch.probabilities for batch in answered), strict=True)
            ],
            num_tokens=np.concatenate([batch.num_tokens for batch in answered]),
            seconds=np.repeat(seconds[:, None] / num_questions, num_questions, axis=1).astype(np.float32),
            distances=np.concatenate(known) if known else None,
        )


def _timed(asked: Asking, rows: slice) -> tuple[Answered, float]:
    """Answers, and the seconds of each window."""
    started = time.perf_counter()
    answered = asked.answered(rows)
    return answered, (time.perf_counter() - started) / (rows.stop - rows.start)


def _no_replies(num_windows: int, questions: Sequence[Question]) -> Replies:
    return Replies(
        texts=[[] for _ in range(num_windows)],
        probabilities=[np.zeros((num_windows, len(question.choices)), np.float32) for question in questions],
        num_tokens=np.zeros((num_windows, len(questions)), np.int32),
        seconds=np.zeros((num_windows, len(questions)), np.float32),
    )
