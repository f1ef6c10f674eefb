"""The language model's lessons: a question about a window and its true answer, as tokens.

Three in four questions ask for a caption, the others for one activity, in the words that a prompted run uses.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrray.labels import LabelSet
from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.workshop.embedded import CAPTION_PROMPT, TrainableVlm, window_prompt_ids
from nrray.workshop.window_store import WindowSet

_CAPTION_SHARE = 0.75


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Of B windows: token_ids (B, L) int64, padded on the right; is_answer (B, L) bool; num_sentences (B,) int64 of
    the answers."""

    token_ids: NDArray[np.int64]
    is_answer: NDArray[np.bool_]
    num_sentences: NDArray[np.int64]

    @property
    def is_prompt(self) -> NDArray[np.bool_]:
        """(B, L) the tokens before the answer, which a head may read."""
        before: NDArray[np.bool_] = np.cumsum(self.is_answer, axis=1) == 0
        return before


class Dialogues:
    """Draws questions of windows of `num_frames`, each with its answer."""

    def __init__(self, vlm: TrainableVlm, sampling: Sampling, label_set: LabelSet, *, num_frames: int) -> None:
        questions = [CAPTION_PROMPT, *(f"{activity.question} {INSTRUCTION}" for activity in label_set.activities)]
        self._tokenizer = vlm.processor.tokenizer
        self._prompts = [window_prompt_ids(vlm, sampling, num_frames=num_frames, question=text) for text in questions]
        self._answers: dict[str, NDArray[np.int64]] = {}

    def drawn(self, windows: WindowSet, rows: NDArray[np.int64], rng: np.random.Generator) -> Spoken:
        """One question and answer for each of windows `rows`."""
        num_activities = len(self._prompts) - 1
        asked = np.where(rng.random(len(rows)) < _CAPTION_SHARE, 0, rng.integers(1, num_activities + 1, len(rows)))
        pairs, num_sentences = [], []
        for row, question in zip(rows, asked, strict=True):
            is_caption = question == 0
            answer = str(windows.captions[row]) if is_caption else yes_or_no(windows.targets[row, question - 1])
            pairs.append((self._prompts[question], self._answer_ids(answer)))
            num_sentences.append(max(1, answer.count(".")))
        length = max(len(prompt) + len(answer_ids) for prompt, answer_ids in pairs)
        token_ids = np.full((len(rows), length), self._tokenizer.pad_token_id, dtype=np.int64)
        is_answer = np.zeros((len(rows), length), dtype=bool)
        for i, (prompt, answer_ids) in enumerate(pairs):
            end = len(prompt) + len(answer_ids)
            token_ids[i, : len(prompt)] = prompt
            token_ids[i, len(prompt) : end] = answer_ids
            is_answer[i, len(prompt) : end] = True
        return Spoken(token_ids=token_ids, is_answer=is_answer, num_sentences=np.array(num_sentences))

    def _answer_ids(self, answer: str) -> NDArray[np.int64]:
        if answer not in self._answers:
            ids = self._tokenizer.encode(answer, add_special_tokens=False)
            self._answers[answer] = np.array([*ids, self._tokenizer.eos_token_id], dtype=np.int64)
        return self._answers[answer]


def yes_or_no(is_present: bool) -> str:
    """The answer to a question about one activity."""
    return "yes" if is_present else "no"
