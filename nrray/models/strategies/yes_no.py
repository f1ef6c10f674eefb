"""Any vision-language checkpoint without a head: one yes/no question per activity, answered in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.batches import micro_batched
from nrray.models.checkpoint import load_checkpoint, model_info
from nrray.models.config import Execution
from nrray.models.labeler import ModelInfo, ModelKind
from nrray.models.resolved import ResolvedCheckpoint
from nrray.models.strategies.answers import parse_answer
from nrray.types import STATE_INDEX, Frames, WindowLabels

ANSWER_TOKENS = 8
INSTRUCTION = "Answer with one word, yes or no."


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of B windows to one question: the texts, and (B,) float32 P(yes) / (P(yes) + P(no)), NaN without such tokens."""

    texts: list[str]
    scores: torch.Tensor


class PromptLabeler:
    """Greedy answers, kept word for word; states are PRESENT, ABSENT or UNPARSED. The rules are not applied."""

    def __init__(self, checkpoint: ResolvedCheckpoint, *, label_set: LabelSet, execution: Execution) -> None:
        self._label_set = label_set
        self._micro_batch_windows = execution.micro_batch_windows
        self._checkpoint = load_checkpoint(checkpoint, execution=execution)
        if not checkpoint.family.knows_words:
            raise ModelError(
                f"model {self._checkpoint.name}: found a checkpoint that knows no words and has no head of nrray, expected one "
                f"of the two. Train it with `nrray finetune`."
            )
        tokenizer = self._checkpoint.processor.tokenizer
        self._yes_ids = single_token_ids(tokenizer, ("yes", "Yes", "YES", " yes", " Yes"))
        self._no_ids = single_token_ids(tokenizer, ("no", "No", "NO", " no", " No"))
        self._info = model_info(self._checkpoint, checkpoint, activities=label_set.names, kind=ModelKind.PROMPTED)
        self._runner = self._checkpoint.family.runner(self._checkpoint)  # last: it may lay weights out anew

    @property
    def info(self) -> ModelInfo:
        return self._info

    def label(self, frames: Frames) -> WindowLabels:
        """Asks every question of every window. Raises LabelMemoryError."""
        num_windows, names = len(frames.window_frames), self._label_set.names
        scores = np.full((num_windows, len(names)), np.nan, dtype=np.float32)
        states = np.zeros((num_windows, len(names)), dtype=np.uint8)
        answers: list[list[str]] = [[] for _ in range(num_windows)]
        for column, activity in enumerate(self._label_set.activities):
            asked = self._asked(frames, question=f"{activity.question} {INSTRUCTION}")
            texts = [text for batch in asked for text in batch.texts]
            if asked:
                scores[:, column] = torch.cat([batch.scores for batch in asked]).numpy()
            states[:, column] = [STATE_INDEX[parse_answer(text)] for text in texts]
            for row, text in zip(answers, texts, strict=True):
                row.append(text)
        return WindowLabels(scores=scores, states=states, answers=answers)

    def _asked(self, frames: Frames, *, question: str) -> list[Answers]:
        return micro_batched(
            lambda rows: self._answered(frames, rows, question=question),
            num_rows=len(frames.window_frames),
            rows_per_batch=self._micro_batch_windows,
        )

    def _answered(self, frames: Frames, rows: slice, *, question: str) -> Answers:
        inputs = self._runner.window_inputs(frames, rows, question=question)
        with torch.inference_mode():
            generated = self._checkpoint.model.generate(
                **inputs,
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
                num_beams=1,
                output_logits=True,
                return_dict_in_generate=True,
            )
        new_tokens = generated.sequences[:, inputs["input_ids"].shape[1] :]
        texts = self._checkpoint.processor.tokenizer.batch_decode(new_tokens, skip_special_tokens=True)
        first = torch.softmax(generated.logits[0].float(), dim=-1).cpu()
        return Answers(texts=texts, scores=yes_share(first, yes_ids=self._yes_ids, no_ids=self._no_ids))


def single_token_ids(tokenizer: Any, spellings: Iterable[str]) -> list[int]:
    """Ids of the spellings that the tokenizer writes as one known token."""
    encoded = [tokenizer.encode(spelling, add_special_tokens=False) for spelling in spellings]
    return sorted({ids[0] for ids in encoded if len(ids) == 1 and ids[0] != tokenizer.unk_token_id})


def yes_share(probabilities: torch.Tensor, *, yes_ids: list[int], no_ids: list[int]) -> torch.Tensor:
    """(B,) P(yes) / (P(yes) + P(no)) of (B, V) first-token probabilities; NaN where there are no such tokens."""
    if not yes_ids or not no_ids:
        return torch.full((probabilities.shape[0],), float("nan"))
    yes, no = probabilities[:, yes_ids].sum(dim=1), probabilities[:, no_ids].sum(dim=1)
    return yes / (yes + no)  # NaN where both are 0
