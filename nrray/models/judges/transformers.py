"""A judge that transformers runs: any causal language model folder, its prompts batched, its answers greedy."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jinja2 import TemplateError
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from nrray.errors import ErrorKind, ModelError, UnitError
from nrray.models.batches import micro_batched
from nrray.models.chat_template import chat_text
from nrray.models.checkpoint import LOADING_ERRORS, torch_device
from nrray.models.config import Device
from nrray.models.engines.asking import choice_probabilities, single_token_ids
from nrray.models.engines.token_choice import check_numbers
from nrray.models.judges.judge import JudgeQuestion, JudgeReplies
from nrray.models.judges.quoting import filled
from nrray.models.judges.resolved import ResolvedJudge, check_same_judge


@dataclass(frozen=True, kw_only=True)
class _Batch:
    rows: list[int]  # of the prompts
    texts: list[str]
    probabilities: NDArray[np.float32]
    num_tokens: NDArray[np.int32]
    seconds: float


class TransformersJudge:
    """Each different prompt is answered once; prompts of like lengths go through the model together, padded on the left."""

    def __init__(
        self, judge: ResolvedJudge, *, device: Device, dtype: str, batch_prompts: int, num_threads: int = 1
    ) -> None:
        """Raises ModelError where this node has another judge, or none, or one that is no causal language model."""
        check_same_judge(judge)
        self._name = judge.name
        self._device = torch_device(device)
        if self._device.type == "cpu":
            torch.set_num_threads(num_threads)
        self._dtype = dtype
        self._batch_prompts = batch_prompts
        self._tokenizer, self._model = _loaded(judge, self._device, dtype)
        self._max_tokens = getattr(self._model.config, "max_position_embeddings", None)
        self._special_texts = sorted(
            {token.content for token in self._tokenizer.added_tokens_decoder.values()} - {""}, key=len, reverse=True
        )

    @property
    def device(self) -> str:
        """As `Judge` says."""
        return f"{self._device}/{self._dtype}"

    def judged(self, question: JudgeQuestion, captions: Sequence[str]) -> JudgeReplies:
        """As `Judge` says."""
        prompts = [self._prompt(question, caption) for caption in captions]
        different = list(dict.fromkeys(prompts))
        # A chat template writes the tokens of the beginning itself.
        is_plain = self._tokenizer.chat_template is None
        encoded = [self._tokenizer.encode(prompt, add_special_tokens=is_plain) for prompt in different]
        self._check_lengths(encoded, question)
        in_order = sorted(range(len(different)), key=lambda row: len(encoded[row]))
        token_ids = [single_token_ids(self._tokenizer, spellings) for _, spellings in question.choices]
        batches = micro_batched(
            lambda rows: self._answered(in_order[rows], encoded, question, token_ids=token_ids),
            num_rows=len(in_order),
            rows_per_batch=self._batch_prompts,
        )
        return _dealt(
            batches,
            place_of={prompt: row for row, prompt in enumerate(different)},
            prompts=prompts,
            num_choices=len(question.choices),
        )

    def _prompt(self, question: JudgeQuestion, caption: str) -> str:
        text = filled(question.template, self._without_special_texts(caption))
        return text if self._tokenizer.chat_template is None else self._turn(text)

    def _turn(self, text: str) -> str:
        """The text as a user's turn, to be answered. Templates take it as it is, or as a part of several."""
        for content in (text, [{"type": "text", "text": text}]):
            try:
                turn = chat_text(
                    self._tokenizer,
                    [{"role": "user", "content": content}],
                    name=self._name,
                    enable_thinking=False,  # of models that think aloud before they answer
                )
            except (TypeError, TemplateError):
                continue
            if text in turn:
                return turn
        raise ModelError(
            f"judge {self._name}: found a chat template that does not write the user's text, expected one that does. Correct "
            f"chat_template.jinja or tokenizer_config.json of its folder."
        )

    def _without_special_texts(self, caption: str) -> str:
        """The caption without texts that this tokenizer reads as a token of its own kind, however they are nested."""
        before = None
        while before != caption:
            before = caption
            for text in self._special_texts:
                caption = caption.replace(text, " ")
        return caption

    def _check_lengths(self, encoded: Sequence[Sequence[int]], question: JudgeQuestion) -> None:
        longest = max(map(len, encoded), default=0) + max(question.max_tokens, 1)
        if self._max_tokens is not None and longest > self._max_tokens:
            raise UnitError(
                ErrorKind.LABEL_FAILED,
                f"judge {self._name}: found a prompt and answer of {longest} tokens, expected at most {self._max_tokens}. Lower "
                f"strategy.caption_tokens, or take a judge that reads more.",
            )

    def _answered(
        self, rows: list[int], encoded: Sequence[list[int]], question: JudgeQuestion, *, token_ids: list[list[int]]
    ) -> _Batch:
        started = time.perf_counter()
        longest = max(len(encoded[row]) for row in rows)
        pad = _pad_id(self._tokenizer, self._model)
        ids = torch.tensor([[pad] * (longest - len(encoded[row])) + encoded[row] for row in rows], device=self._device)
        mask = torch.tensor(
            [[0] * (longest - len(encoded[row])) + [1] * len(encoded[row]) for row in rows], device=self._device
        )
        with torch.inference_mode():
            generated = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(question.max_tokens, 1),
                do_sample=False,
                num_beams=1,
                pad_token_id=pad,
                output_logits=True,
                return_dict_in_generate=True,
            )
        for logits in generated.logits:
            check_numbers(logits)
        new_tokens = generated.sequences[:, longest:]
        first = torch.softmax(generated.logits[0].float(), dim=-1).cpu()
        probabilities = choice_probabilities(first, token_ids).numpy()
        texts = (
            self._tokenizer.batch_decode(new_tokens, skip_special_tokens=True)
            if question.max_tokens
            else self._likeliest(first, probabilities, question, token_ids)
        )
        return _Batch(
            rows=rows,
            texts=texts,
            probabilities=probabilities,
            num_tokens=_lengths(new_tokens, self._model.generation_config.eos_token_id),
            seconds=time.perf_counter() - started,
        )

    def _likeliest(
        self,
        first: torch.Tensor,
        probabilities: NDArray[np.float32],
        question: JudgeQuestion,
        token_ids: list[list[int]],
    ) -> list[str]:
        """The word of the likeliest choice, or the likeliest token where it is likelier than every choice."""
        others = first.clone()
        others[:, [token for ids in token_ids for token in ids]] = 0
        best, token = others.max(dim=1)
        chances = np.nan_to_num(probabilities, nan=-1.0)
        return [
            question.choices[int(row.argmax())][0]
            if row.max() > float(other)
            else self._tokenizer.decode([int(spoken)], skip_special_tokens=True)
            for row, other, spoken in zip(chances, best, token, strict=True)
        ]


def _loaded(judge: ResolvedJudge, device: torch.device, dtype: str) -> tuple[Any, Any]:
    transformers_logging.disable_progress_bar()
    folder, gguf = judge.folder, judge.gguf_file
    source: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if gguf is not None:
        source["gguf_file"] = gguf
    try:
        config = AutoConfig.from_pretrained(folder, **source)
        tokenizer = AutoTokenizer.from_pretrained(folder, **source)
        model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=getattr(torch, dtype), **source)
    except LOADING_ERRORS as error:
        raise ModelError(
            f"judge {folder} cannot be loaded: {type(error).__name__}: {_first_line(error)}. Expected a complete causal "
            f"language model with its tokenizer; set strategy.judge.model to such a folder, or to words."
        ) from error
    return tokenizer, model.to(device).eval()


def _first_line(error: Exception) -> str:
    """Without the list of all classes there are, which takes a page."""
    return str(error).strip().split("\n", 1)[0].rstrip(".")


def _pad_id(tokenizer: Any, model: Any) -> int:
    """Any token: what is padded is masked."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id, model.config.pad_token_id)
    return next((int(token) for token in known if token is not None), 0)


def _lengths(new_tokens: torch.Tensor, eos: int | list[int] | None) -> NDArray[np.int32]:
    """(B,) tokens of each answer up to its end."""
    ends = torch.zeros_like(new_tokens, dtype=torch.bool)
    for token in [eos] if isinstance(eos, int) else eos or []:
        ends |= new_tokens == token
    before = (ends.cumsum(dim=1) == 0).sum(dim=1)
    return np.asarray(before.cpu(), np.int32)


def _dealt(
    batches: Sequence[_Batch], *, place_of: dict[str, int], prompts: Sequence[str], num_choices: int
) -> JudgeReplies:
    """The answers of the different prompts for every prompt; those that share one share its seconds."""
    rows = np.array([row for batch in batches for row in batch.rows], int)
    place = np.empty(len(rows), int)
    place[rows] = np.arange(len(rows))
    texts = [text for batch in batches for text in batch.texts]
    seconds = np.array([batch.seconds / len(batch.rows) for batch in batches for _ in batch.rows], np.float32)
    of_prompt = np.array([place[place_of[prompt]] for prompt in prompts], int)
    times = np.bincount(of_prompt, minlength=len(rows))
    probabilities = np.concatenate(
        [np.zeros((0, num_choices), np.float32), *(batch.probabilities for batch in batches)]
    )
    num_tokens = np.concatenate([np.zeros(0, np.int32), *(batch.num_tokens for batch in batches)])
    return JudgeReplies(
        texts=[texts[row] for row in of_prompt],
        probabilities=probabilities[of_prompt],
        num_tokens=num_tokens[of_prompt],
        seconds=(seconds / np.maximum(times, 1))[of_prompt].astype(np.float32),
    )
