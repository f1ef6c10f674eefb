"""Answers that keep to a JSON schema: a token that would leave it is never chosen. llguidance says which those are."""

from collections.abc import Sequence
from typing import Any

import torch

from nrray.errors import ModelError
from nrray.models.engines.token_choice import TokenChoice

_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}  # of json.dumps, and no more


class Grammars:
    """Of JSON schemas over a tokenizer's tokens, made as they are asked for. vocabulary_size: of the model's logits."""

    def __init__(self, tokenizer: Any, *, end_ids: Sequence[int], vocabulary_size: int) -> None:
        self._tokenizer = tokenizer
        self.end_ids = list(end_ids)
        self._vocabulary_size = vocabulary_size
        self._tokens: Any = None  # llguidance.LLTokenizer, which takes a second to make
        self._matchers: dict[str, Any] = {}

    def matcher(self, schema: str) -> Any:
        """A matcher of one answer's tokens. Raises ModelError where llguidance is missing, or cannot keep to the schema."""
        if schema not in self._matchers:
            self._matchers[schema] = self._made(schema)
        return self._matchers[schema].deep_copy()

    def _made(self, schema: str) -> Any:
        try:
            from llguidance import LLMatcher
            from llguidance.hf import from_tokenizer
        except ImportError as error:
            raise ModelError(
                f"a question has a JSON schema, which engine transformers keeps to with llguidance: pip install 'nrray[schema]' "
                f"({error})"
            ) from error
        try:
            if self._tokens is None:
                self._tokens = from_tokenizer(self._tokenizer, n_vocab=self._vocabulary_size, eos_token=self.end_ids)
            matcher = LLMatcher(
                self._tokens, LLMatcher.grammar_from_json_schema(schema, overrides=_SPACING), log_level=0
            )
        except ValueError as error:
            raise _unkept(schema, str(error)) from error
        if matcher.is_error():
            raise _unkept(schema, matcher.get_error())
        return matcher


def constrained(choice: TokenChoice, matchers: Sequence[Any | None], *, end_ids: Sequence[int]) -> TokenChoice:
    """The choice among those tokens that each row's matcher allows; all are where it has none, or has ended."""
    if all(matcher is None for matcher in matchers):
        return choice
    going = {row: matcher for row, matcher in enumerate(matchers) if matcher is not None}

    def chosen(logits: torch.Tensor, step: int) -> torch.Tensor:
        allowed = torch.ones(logits.shape, dtype=torch.bool)
        for row, matcher in going.items():
            allowed[row] = _bits(matcher.compute_bitmask(), logits.shape[1])
        tokens = choice(logits.masked_fill(~allowed.to(logits.device), float("-inf")), step)
        for row, token in enumerate(tokens.tolist()):
            if row not in going:
                continue
            if token in end_ids:
                del going[row]
            elif not going[row].consume_token(token):
                raise ModelError(f"an answer cannot be held to its JSON schema any more: {going[row].get_error()}.")
        return tokens

    return chosen


def _bits(mask: bytes, count: int) -> torch.Tensor:
    """(count,) bool of a mask with one bit per token, the lowest of each byte first."""
    packed = torch.frombuffer(bytearray(mask), dtype=torch.uint8)
    return ((packed.unsqueeze(1) >> torch.arange(8, dtype=torch.uint8)) & 1).bool().flatten()[:count]


def _unkept(schema: str, reason: str) -> ModelError:
    return ModelError(
        f"found a JSON schema that answers cannot be held to: {reason}. Expected one of llguidance's kinds of objects, arrays, "
        f"strings, numbers and truth values; change it, or leave answers free. The schema: {schema[:200]}"
    )
