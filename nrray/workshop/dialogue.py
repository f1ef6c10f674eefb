"""The language model's lessons: a question about a window and its true answer, as tokens."""

import functools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nrray.labels import LabelSet
from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.workshop.vlm import CAPTION_PROMPT, TrainableVlm, window_prompt_ids
from nrray.workshop.window_store import WindowSet

CAPTION_SHARE = 0.75


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


class Lessons(Protocol):
    """Questions about windows, with their true answers."""

    def drawn(self, windows: WindowSet, row: int, rng: np.random.Generator) -> tuple[str, str]:
        """A question about window `row`, and its answer."""
        ...


class ActivityLessons:
    """Three in four questions ask for the caption, the others for one activity, in the words that a prompted run uses."""

    def __init__(self, label_set: LabelSet) -> None:
        self._questions = [f"{activity.question} {INSTRUCTION}" for activity in label_set.activities]

    def drawn(self, windows: WindowSet, row: int, rng: np.random.Generator) -> tuple[str, str]:
        """As `Lessons` says."""
        if rng.random() < CAPTION_SHARE:
            return CAPTION_PROMPT, str(windows.captions[row])
        column = int(rng.integers(len(self._questions)))
        return self._questions[column], yes_or_no(windows.targets[row, column])


class Dialogues:
    """Draws lessons of windows of `num_frames`, as tokens."""

    def __init__(self, vlm: TrainableVlm, sampling: Sampling, lessons: Lessons, *, num_frames: int) -> None:
        self._tokenizer = vlm.processor.tokenizer
        self._lessons = lessons
        self._prompt_ids = functools.cache(functools.partial(window_prompt_ids, vlm, sampling, num_frames=num_frames))
        self._answers: dict[str, NDArray[np.int64]] = {}

    def drawn(self, windows: WindowSet, rows: NDArray[np.int64], rng: np.random.Generator) -> Spoken:
        """One question and answer for each of windows `rows`."""
        pairs, num_sentences = [], []
        for row in rows.tolist():
            question, answer = self._lessons.drawn(windows, row, rng)
            pairs.append((self._prompt_ids(question=question), self._answer_ids(answer)))
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
