"""Ways to ask a checkpoint that transformers runs: all questions about a window together, or each anew."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor, LogitsProcessorList

from nrray.errors import ModelError
from nrray.models.engines.constraint import Grammars, constrained
from nrray.models.engines.engine import Decoding, Question
from nrray.models.engines.shared_prefix import (
    CacheKind,
    Rows,
    cache_kind,
    common_prefix_length,
    continued,
    extended,
    prefix_read,
    rows_that_fit,
)
from nrray.models.engines.token_choice import TokenChoice, check_numbers, token_choice, uniform_numbers
from nrray.models.families.family import LoadedCheckpoint, WindowRunner, distances, watched
from nrray.models.families.prompt_runner import PromptRunner, UnitInputs
from nrray.models.families.tower_moments import moments_of
from nrray.models.families.vlm import frame_tokens
from nrray.types import Frames


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Of B windows to Q questions. texts: B x Q; probabilities: of each question (B, C) float32; num_tokens: (B, Q) int32;
    distances: (B,), or None."""

    texts: list[list[str]]
    probabilities: list[NDArray[np.float32]]
    num_tokens: NDArray[np.int32]
    distances: NDArray[np.float32] | None


class Asking(Protocol):
    """A way in which the windows of a unit are asked."""

    def begin(self, frames: Frames, questions: Sequence[Question], decoding: Decoding) -> None:
        """Take up a unit: what its windows share is computed here."""

    def answered(self, rows: slice) -> Answered:
        """Answers about windows `rows` of the unit."""
        ...


def asking(runner: WindowRunner, *, micro_batch_windows: int) -> Asking:
    """How a model is asked: all questions together where its family and what it keeps of a prompt allow that, else each anew."""
    anew = AskedAnew(runner)
    if not isinstance(runner, PromptRunner) or cache_kind(runner.checkpoint.model) is CacheKind.OTHER:
        return anew
    return AskedTogether(runner, anew, micro_batch_windows=micro_batch_windows)


class AskedTogether:
    """The frames of a window and the beginning of its prompts are read once, then the ends of all prompts in one batch."""

    def __init__(self, runner: PromptRunner, anew: "AskedAnew", *, micro_batch_windows: int) -> None:
        self._runner = runner
        self._anew = anew
        self._micro_batch_windows = micro_batch_windows
        self._checkpoint = runner.checkpoint
        self._can_pad = cache_kind(runner.checkpoint.model) is CacheKind.ALL_TOKENS
        self._tokenizer = runner.checkpoint.processor.tokenizer
        self._end_ids = end_ids(runner.checkpoint)

    def begin(self, frames: Frames, questions: Sequence[Question], decoding: Decoding) -> None:
        """As `Asking` says."""
        self._anew.begin(frames, questions, decoding)
        self._asked = self._anew.asked
        self._prompts = [self._runner.prompt(frames, question.text) for question in questions]
        self._length = common_prefix_length(self._prompts)
        is_frame = frame_tokens(self._checkpoint, self._prompts[0].token_ids)[0]
        self._shows_frames_first = not bool(is_frame[self._length :].any())
        self._inputs: UnitInputs = self._runner.unit_inputs(frames, micro_batch_windows=self._micro_batch_windows)

    def answered(self, rows: slice) -> Answered:
        """As `Asking` says."""
        first = self._prompts[0]
        inputs = self._inputs.of(rows, first)
        is_laid_out_so = "input_ids" not in inputs or bool(
            inputs["input_ids"].shape[1] == first.token_ids.shape[1] and (inputs["input_ids"] == first.token_ids).all()
        )
        if not (self._shows_frames_first and is_laid_out_so):
            return self._anew.answered(rows)
        model, count = self._checkpoint.model, rows.stop - rows.start
        with watched(self._checkpoint) as outputs:
            prefix = prefix_read(model, inputs, length=self._length, positions=first.positions)
        of_questions: dict[int, _Column] = {}
        for group in self._groups(rows_that_fit(prefix, self._checkpoint.device)):
            read = continued(
                model,
                prefix,
                [self._prompts[question] for question in group],
                length=self._length,
                num_windows=count,
                pad_id=self._end_ids[0],
            )
            of_questions.update(zip(group, self._columns(read, rows, group), strict=True))
        return _answered(
            [of_questions[question] for question in range(len(self._prompts))],
            distances(self._checkpoint, self._inputs.moments(rows, outputs)),
        )

    def _groups(self, most: int) -> list[list[int]]:
        """Questions that are read in one batch: `most` at most, and of one length where their prompts cannot be padded."""
        by_length: dict[int, list[int]] = {}
        for question, prompt in enumerate(self._prompts):
            by_length.setdefault(0 if self._can_pad else prompt.token_ids.shape[1], []).append(question)
        return [group[i : i + most] for group in by_length.values() for i in range(0, len(group), most)]

    def _columns(self, read: Rows, rows: slice, group: Sequence[int]) -> "list[_Column]":
        """Of the questions of a group, whose rows have been read window by window."""
        asked = self._asked
        check_numbers(read.logits)  # also of questions that are scored, of which no token is chosen
        probabilities = torch.softmax(read.logits.float(), dim=-1)
        most = [asked.questions[question].max_tokens for question in group]
        num_windows = rows.stop - rows.start
        limits = torch.tensor(most * num_windows, device=read.logits.device)
        choice = asked.token_choice(
            [(window, question) for window in range(rows.start, rows.stop) for question in group]
        )
        made = self._made(read, limits, choice)
        return [
            _Column(
                texts=[
                    self._tokenizer.decode(tokens, skip_special_tokens=True) for tokens in made[place :: len(group)]
                ],
                probabilities=choice_probabilities(
                    probabilities[place :: len(group)].cpu(), asked.choice_ids[question]
                ).numpy(),
                num_tokens=[len(tokens) for tokens in made[place :: len(group)]],
            )
            for place, question in enumerate(group)
        ]

    def _made(self, read: Rows, limits: torch.Tensor, choice: TokenChoice) -> list[list[int]]:
        """Tokens of each row, its end token included, of at most (R,) `limits`."""
        ends = torch.tensor(self._end_ids, device=limits.device)
        goes_on = limits > 0
        steps: list[torch.Tensor] = []
        kept: list[torch.Tensor] = []
        while bool(goes_on.any()):
            tokens = choice(read.logits, len(steps))
            steps.append(tokens)
            kept.append(goes_on)
            goes_on = goes_on & ~torch.isin(tokens, ends) & (limits > len(steps))
            if bool(goes_on.any()):
                read = extended(self._checkpoint.model, read, tokens)
        if not steps:
            return [[] for _ in range(len(limits))]
        tokens_of = torch.stack(steps, dim=1).tolist()
        counts = torch.stack(kept, dim=1).sum(dim=1).tolist()
        return [tokens[:count] for tokens, count in zip(tokens_of, counts, strict=True)]


class AskedAnew:
    """Every question goes through the whole model with the frames."""

    def __init__(self, runner: WindowRunner) -> None:
        self._runner = runner
        self._checkpoint = runner.checkpoint
        self._tokenizer = runner.checkpoint.processor.tokenizer
        self._end_ids = end_ids(runner.checkpoint)
        self._grammars = Grammars(
            self._tokenizer,
            end_ids=self._end_ids,
            vocabulary_size=runner.checkpoint.model.config.get_text_config().vocab_size,
        )

    def begin(self, frames: Frames, questions: Sequence[Question], decoding: Decoding) -> None:
        """As `Asking` says."""
        self._frames = frames
        self.asked = _Asked(frames, questions, decoding, tokenizer=self._tokenizer, grammars=self._grammars)

    def answered(self, rows: slice) -> Answered:
        """As `Asking` says."""
        columns, found = [], None
        for question in range(len(self.asked.questions)):
            with watched(self._checkpoint) as outputs:
                columns.append(self._column(rows, question))
            if question == 0:
                found = distances(self._checkpoint, moments_of(outputs, count=rows.stop - rows.start))
        return _answered(columns, found)

    def _column(self, rows: slice, index: int) -> "_Column":
        question = self.asked.questions[index]
        inputs = self._runner.window_inputs(self._frames, rows, question=question.text)
        length = inputs["input_ids"].shape[1]
        choice = self.asked.token_choice([(window, index) for window in range(rows.start, rows.stop)])
        generated = self._checkpoint.model.generate(
            **inputs,
            max_new_tokens=max(question.max_tokens, 1),
            eos_token_id=self._end_ids,
            logits_processor=LogitsProcessorList([_Chosen(choice, length)]),
            output_logits=True,
            return_dict_in_generate=True,
            # What a checkpoint suggests beside: an answer is the likeliest, or drawn from what the model says.
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
        )
        first = torch.softmax(generated.logits[0].float(), dim=-1).cpu()
        made = (
            [self._ended(tokens) for tokens in generated.sequences[:, length:].tolist()] if question.max_tokens else []
        )
        return _Column(
            texts=[self._tokenizer.decode(tokens, skip_special_tokens=True) for tokens in made] or [""] * len(first),
            probabilities=choice_probabilities(first, self.asked.choice_ids[index]).numpy(),
            num_tokens=[len(tokens) for tokens in made] or [0] * len(first),
        )

    def _ended(self, tokens: list[int]) -> list[int]:
        """Up to the first end token, which others follow in a batch."""
        end = next((i for i, token in enumerate(tokens) if token in self._end_ids), len(tokens) - 1)
        return tokens[: end + 1]


class _Asked:
    """What is asked of a unit. choice_ids: of each question's choices."""

    def __init__(
        self,
        frames: Frames,
        questions: Sequence[Question],
        decoding: Decoding,
        *,
        tokenizer: Any,
        grammars: Grammars,
    ) -> None:
        self.questions = questions
        self.choice_ids = [
            [single_token_ids(tokenizer, choice) for choice in question.choices] for question in questions
        ]
        self._frames = frames
        self._decoding = decoding
        self._grammars = grammars

    def token_choice(self, rows: Sequence[tuple[int, int]]) -> TokenChoice:
        """How the tokens of rows are chosen, each the answer about a window to a question, by their numbers."""
        most = max(self.questions[question].max_tokens for _, question in rows)
        numbers = [
            uniform_numbers(
                self._decoding,
                question=self.questions[question].name,
                start_us=int(self._frames.window_start_us[window]),
                end_us=int(self._frames.window_end_us[window]),
                count=max(most, 1),
            )
            for window, question in (rows if self._decoding.temperature > 0 else ())
        ]
        schemas = [self.questions[question].schema for _, question in rows]
        return constrained(
            token_choice(self._decoding, np.array(numbers)),
            [None if schema is None else self._grammars.matcher(schema) for schema in schemas],
            end_ids=self._grammars.end_ids,
        )


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A question's answers about B windows."""

    texts: list[str]
    probabilities: NDArray[np.float32]
    num_tokens: list[int]


class _Chosen(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
    """Leaves of each row's tokens the chosen one alone."""

    def __init__(self, choice: TokenChoice, prompt_length: int) -> None:
        self._choice = choice
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        chosen = self._choice(scores, input_ids.shape[1] - self._prompt_length)
        return torch.full_like(scores, float("-inf")).scatter(1, chosen.unsqueeze(1), 0.0)


def end_ids(checkpoint: LoadedCheckpoint) -> list[int]:
    """Tokens that end an answer of a loaded checkpoint."""
    return named_end_ids(checkpoint.model.generation_config, checkpoint.processor.tokenizer, name=checkpoint.name)


def named_end_ids(generation_config: Any, tokenizer: Any, *, name: str) -> list[int]:
    """Tokens that end an answer: those that a checkpoint names for generation, and its tokenizer's."""
    named = generation_config.eos_token_id
    several = named if isinstance(named, list) else [named]
    known = {token for token in (*several, tokenizer.eos_token_id) if token is not None}
    if not known:
        raise ModelError(
            f"model {name}: found no end token in its generation_config.json and tokenizer, expected one: an answer "
            f"would never end. Add the checkpoint's generation_config.json."
        )
    return sorted(known)


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


def _answered(columns: Sequence[_Column], found: NDArray[np.float32] | None) -> Answered:
    return Answered(
        texts=[list(texts) for texts in zip(*(column.texts for column in columns), strict=True)],
        probabilities=[column.probabilities for column in columns],
        num_tokens=np.array([column.num_tokens for column in columns], np.int32).T,
        distances=found,
    )
