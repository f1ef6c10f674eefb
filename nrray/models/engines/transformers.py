"""Answers from a checkpoint that transformers runs."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ModelError
from nrray.models.batches import micro_batched
from nrray.models.checkpoint import load_checkpoint, model_info
from nrray.models.config import Execution
from nrray.models.engines.engine import GREEDY, Decoding, Question, Replies
from nrray.models.families.family import distances, watched
from nrray.models.families.tower_moments import moments_of
from nrray.models.frame_stacking import stacked
from nrray.models.labeler import ModelInfo, check_frames
from nrray.models.resolved import ResolvedCheckpoint
from nrray.types import Frames


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Of B windows: texts of one answer each, (B, C) probabilities, (B,) tokens, seconds and distances."""

    texts: list[str]
    probabilities: NDArray[np.float32]
    num_tokens: NDArray[np.int32]
    seconds: NDArray[np.float32]
    distances: NDArray[np.float32] | None


class TransformersEngine:
    """Every question is a prompt of its own, behind the frames; they are stacked as in the checkpoint's training."""

    def __init__(self, checkpoint: ResolvedCheckpoint, *, execution: Execution) -> None:
        self._inputs = checkpoint.inputs
        self._micro_batch_windows = execution.micro_batch_windows
        self._checkpoint = load_checkpoint(checkpoint, execution=execution)
        self._info = model_info(self._checkpoint, checkpoint)
        self._runner = self._checkpoint.family.runner(self._checkpoint)  # last: it may lay weights out anew

    @property
    def info(self) -> ModelInfo:
        return self._info

    def ask(self, frames: Frames, questions: Sequence[Question], *, decoding: Decoding = GREEDY) -> Replies:
        """As `Engine` says. Raises ModelError for a question with a schema."""
        if constrained := [question.name for question in questions if question.schema is not None]:
            raise ModelError(
                f"question {constrained[0]}: found a JSON schema, expected none: the engine transformers cannot keep answers to "
                f"one yet. Ask for free text, or choose another engine."
            )
        shown = frames
        if self._inputs is not None:
            check_frames(frames, trained=self._inputs.sampling, name=self._info.name)
            shown = stacked(frames, self._inputs.frame_stacking)
        asked = [self._asked(shown, question, decoding) for question in questions]
        known = [found.distances for found in asked[0] if found.distances is not None]
        num_windows = len(frames.window_frames)
        texts = [[text for found in batches for text in found.texts] for batches in asked]
        return Replies(
            texts=[[of_question[window] for of_question in texts] for window in range(num_windows)],
            probabilities=[
                np.concatenate(
                    [np.zeros((0, len(question.choices)), np.float32), *(found.probabilities for found in batches)]
                )
                for question, batches in zip(questions, asked, strict=True)
            ],
            num_tokens=_columns([[found.num_tokens for found in batches] for batches in asked], np.int32),
            seconds=_columns([[found.seconds for found in batches] for batches in asked], np.float32),
            distances=np.concatenate(known) if known else None,
        )

    def _asked(self, frames: Frames, question: Question, decoding: Decoding) -> list[_Batch]:
        tokenizer = self._checkpoint.processor.tokenizer
        token_ids = [single_token_ids(tokenizer, choice) for choice in question.choices]
        return micro_batched(
            lambda rows: self._answered(frames, rows, question, decoding, token_ids=token_ids),
            num_rows=len(frames.window_frames),
            rows_per_batch=self._micro_batch_windows,
        )

    def _answered(
        self, frames: Frames, rows: slice, question: Question, decoding: Decoding, *, token_ids: list[list[int]]
    ) -> _Batch:
        started = time.perf_counter()
        inputs = self._runner.window_inputs(frames, rows, question=question.text)
        if decoding.temperature > 0:
            torch.manual_seed(hash((decoding.seed, decoding.vote)))
        drawn = {"do_sample": True, "temperature": decoding.temperature, "top_k": 0, "top_p": 1.0}
        with torch.inference_mode(), watched(self._checkpoint) as outputs:
            generated = self._checkpoint.model.generate(
                **inputs,
                max_new_tokens=max(question.max_tokens, 1),
                num_beams=1,
                output_logits=True,
                return_dict_in_generate=True,
                **(drawn if decoding.temperature > 0 else {"do_sample": False}),
            )
        count = len(generated.sequences)
        new_tokens = generated.sequences[:, inputs["input_ids"].shape[1] :]
        tokenizer = self._checkpoint.processor.tokenizer
        first = torch.softmax(generated.logits[0].float(), dim=-1).cpu()
        return _Batch(
            texts=tokenizer.batch_decode(new_tokens, skip_special_tokens=True) if question.max_tokens else [""] * count,
            probabilities=choice_probabilities(first, token_ids).numpy(),
            num_tokens=(new_tokens != tokenizer.pad_token_id).sum(dim=1).cpu().numpy().astype(np.int32),
            seconds=np.full(count, (time.perf_counter() - started) / count, np.float32),
            distances=distances(self._checkpoint, moments_of(outputs, count=count)),
        )


def _columns(by_question: Sequence[Sequence[NDArray[Any]]], dtype: type[np.generic]) -> NDArray[Any]:
    """(W, Q) of the parts of every question's (W,)."""
    return np.stack([np.concatenate([np.zeros(0, dtype), *parts]) for parts in by_question], axis=1)


def single_token_ids(tokenizer: Any, spellings: Iterable[str]) -> list[int]:
    """Ids of the spellings that the tokenizer writes as one known token."""
    encoded = [tokenizer.encode(spelling, add_special_tokens=False) for spelling in spellings]
    return sorted({ids[0] for ids in encoded if len(ids) == 1 and ids[0] != tokenizer.unk_token_id})


def choice_probabilities(probabilities: torch.Tensor, token_ids: list[list[int]]) -> torch.Tensor:
    """(B, C) sums of (B, V) probabilities over the tokens of each choice; NaN for a choice without tokens."""
    found = torch.full((len(probabilities), len(token_ids)), float("nan"))
    for choice, ids in enumerate(token_ids):
        if ids:
            found[:, choice] = probabilities[:, ids].sum(dim=1)
    return found
