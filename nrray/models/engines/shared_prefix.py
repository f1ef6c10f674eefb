"""The beginning that prompts have in common, computed once, and what may follow it.

Positions are always given: a model that counts them itself takes those of the video before, or of another cut of the prompt.
"""

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from nrray.models.families.prompt_runner import Prompt

TOKEN_WISE = ("input_ids", "inputs_embeds", "attention_mask", "mm_token_type_ids", "token_type_ids")
"""Arguments of a forward whose second dimension is a prompt's tokens."""
CPU_CACHE_BYTES = 2**30
"""Most that copies of a prefix take on a CPU, where more rows at once gain nothing."""


class CacheKind(str, Enum):
    """What a model keeps of the tokens that it has read."""

    ALL_TOKENS = "all_tokens"  # keys and values of each
    LAST_TOKENS = "last_tokens"  # in some layers those of the last ones alone, of which padding would push some out
    OTHER = "other"  # something that cannot be taken up again with other words


@dataclass(frozen=True, kw_only=True)
class Rows:
    """R rows that a model has read up to their last token. cache: of T tokens; attended: (R, T) bool, None where all are;
    positions: (R, 1) or (3, R, 1) of the last; logits: (R, V) of the next."""

    cache: Cache
    attended: torch.Tensor | None
    positions: torch.Tensor
    logits: torch.Tensor


def common_prefix_length(prompts: Sequence[Prompt]) -> int:
    """How many tokens all prompts begin with; at least one of each is left to follow."""
    token_ids = [prompt.token_ids[0].tolist() for prompt in prompts]
    shortest = min(len(ids) for ids in token_ids)
    differing = (i for i in range(shortest) if any(ids[i] != token_ids[0][i] for ids in token_ids))
    return min(next(differing, shortest), shortest - 1)


def cache_kind(model: Any) -> CacheKind:
    """What the model keeps of a prompt."""
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if kinds <= {DynamicLayer}:
        return CacheKind.ALL_TOKENS
    return CacheKind.LAST_TOKENS if kinds <= {DynamicLayer, DynamicSlidingWindowLayer} else CacheKind.OTHER


def prefix_read(model: Any, inputs: Mapping[str, Any], *, length: int, positions: torch.Tensor) -> Cache:
    """The cache of the first `length` tokens of W prompts, whose arguments and (..., 1, L) positions are of all tokens."""
    cache = DynamicCache(config=model.config)
    cut = {name: value[:, :length] if name in TOKEN_WISE else value for name, value in inputs.items()}
    num_rows = next(value.shape[0] for name, value in inputs.items() if name in TOKEN_WISE)
    _forward(model, cut, cache=cache, positions=_expanded(positions[..., :length], num_rows))
    return cache


def continued(
    model: Any, prefix: Cache, prompts: Sequence[Prompt], *, length: int, num_windows: int, pad_id: int
) -> Rows:
    """What follows the first `length` tokens of each prompt, read behind each window's prefix, in rows window by window. Shorter
    ones are padded on their left, so that all rows end together."""
    device = prompts[0].token_ids.device
    lengths = [prompt.token_ids.shape[1] - length for prompt in prompts]
    longest = max(lengths)
    token_ids = torch.full((len(prompts), longest), pad_id, device=device)
    attended = torch.ones((len(prompts), length + longest), dtype=torch.bool, device=device)
    positions = prompts[0].positions.new_zeros((*prompts[0].positions.shape[:-2], len(prompts), longest))
    for row, (prompt, count) in enumerate(zip(prompts, lengths, strict=True)):
        token_ids[row, longest - count :] = prompt.token_ids[0, length:]
        attended[row, length : length + longest - count] = False
        positions[..., row, longest - count :] = prompt.positions[..., 0, length:]
    of_rows = torch.arange(len(prompts), device=device).repeat(num_windows)
    cache = _picked(prefix, torch.arange(num_windows, device=device).repeat_interleave(len(prompts)))
    is_padded = min(lengths) < longest
    return _read(
        model,
        token_ids[of_rows],
        cache=cache,
        attended=attended[of_rows] if is_padded else None,
        positions=positions[..., of_rows, :],
    )


def extended(model: Any, rows: Rows, token_ids: torch.Tensor) -> Rows:
    """The rows with one more token each, of (R,) ids. Their cache is used up."""
    attended = rows.attended
    if attended is not None:
        attended = torch.cat([attended, attended.new_ones((len(attended), 1))], dim=1)
    return _read(model, token_ids.unsqueeze(1), cache=rows.cache, attended=attended, positions=rows.positions + 1)


def rows_that_fit(prefix: Cache, device: torch.device) -> int:
    """How many copies of a prefix may be kept at once, at least one: those that take half of what is free."""
    size: int = sum(
        tensor.numel() * tensor.element_size() for layer in prefix.layers for tensor in (layer.keys, layer.values)
    )
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        room: int = (torch.cuda.mem_get_info(device)[0] + unused) // 2
    else:
        room = CPU_CACHE_BYTES
    return max(1, room // max(1, size))


def _read(
    model: Any,
    token_ids: torch.Tensor,
    *,
    cache: Cache,
    attended: torch.Tensor | None,
    positions: torch.Tensor,
) -> Rows:
    mask = {} if attended is None else {"attention_mask": attended.long()}
    logits = _forward(model, {"input_ids": token_ids, **mask}, cache=cache, positions=positions)
    return Rows(cache=cache, attended=attended, positions=positions[..., -1:], logits=logits)


def _forward(model: Any, arguments: Mapping[str, Any], *, cache: Cache, positions: torch.Tensor) -> torch.Tensor:
    """(R, V) logits behind the last token."""
    known = inspect.signature(model.forward).parameters
    # Older releases of transformers know the second name, newer ones warn of it.
    kept: dict[str, Any] = {"cache" if "cache" in known else "past_key_values": cache}
    if "logits_to_keep" in known:
        kept["logits_to_keep"] = 1
    logits: torch.Tensor = model(**arguments, **kept, position_ids=positions, use_cache=True).logits[:, -1]
    return logits


def _picked(cache: Cache, rows: torch.Tensor) -> Cache:
    """A cache of copies of `rows`; the given one stays as it is."""
    picked = copy.copy(cache)
    picked.layers = [copy.copy(layer) for layer in cache.layers]
    picked.reorder_cache(rows)
    return picked


def _expanded(positions: torch.Tensor, num_rows: int) -> torch.Tensor:
    return positions.expand(*positions.shape[:-2], num_rows, positions.shape[-1])
