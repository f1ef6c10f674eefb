"""Answers from a checkpoint that transformers runs, by greedy decoding."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from nrray.models.batches import micro_batched
from nrray.models.checkpoint import load_checkpoint, model_info
from nrray.models.config import Execution
from nrray.models.engines.engine import Answers, Choice
from nrray.models.families.family import distances, watched
from nrray.models.families.tower_moments import moments_of
from nrray.models.frame_stacking import stacked
from nrray.models.labeler import ModelInfo, check_frames
from nrray.models.resolved import ResolvedCheckpoint
from nrray.types import Frames


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

    def answers(self, frames: Frames, *, question: str, choices: Sequence[Choice], max_tokens: int) -> Answers:
        """As `Engine` says."""
        shown = frames
        if self._inputs is not None:
            check_frames(frames, trained=self._inputs.sampling, name=self._info.name)
            shown = stacked(frames, self._inputs.frame_stacking)
        tokenizer = self._checkpoint.processor.tokenizer
        token_ids = [single_token_ids(tokenizer, choice) for choice in choices]
        batches = micro_batched(
            lambda rows: self._answered(shown, rows, question=question, token_ids=token_ids, max_tokens=max_tokens),
            num_rows=len(frames.window_frames),
            rows_per_batch=self._micro_batch_windows,
        )
        nothing = np.zeros((0, len(choices)), np.float32)
        known = [batch.distances for batch in batches if batch.distances is not None]
        return Answers(
            texts=[text for batch in batches for text in batch.texts],
            probabilities=np.concatenate([nothing, *(batch.probabilities for batch in batches)]),
            distances=np.concatenate(known) if known else None,
        )

    def _answered(
        self, frames: Frames, rows: slice, *, question: str, token_ids: list[list[int]], max_tokens: int
    ) -> Answers:
        inputs = self._runner.window_inputs(frames, rows, question=question)
        with torch.inference_mode(), watched(self._checkpoint) as outputs:
            generated = self._checkpoint.model.generate(
                **inputs,
                max_new_tokens=max_tokens,
                do_sample=False,
                num_beams=1,
                output_logits=True,
                return_dict_in_generate=True,
            )
        count = len(generated.sequences)
        new_tokens = generated.sequences[:, inputs["input_ids"].shape[1] :]
        texts = self._checkpoint.processor.tokenizer.batch_decode(new_tokens, skip_special_tokens=True)
        first = torch.softmax(generated.logits[0].float(), dim=-1).cpu()
        return Answers(
            texts=texts,
            probabilities=choice_probabilities(first, token_ids).numpy(),
            distances=distances(self._checkpoint, moments_of(outputs, count=count)),
        )


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
