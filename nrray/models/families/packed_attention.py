"""Attention of towers that take the patches of all frames as one packed sequence: all frames in one call.

transformers' `sdpa` calls once for every frame (or pair of frames) and layer: some 9,000 small kernels for 64 windows of 12
frames through 24 layers, during which a large GPU waits for Python.
"""

import inspect
from typing import Any

import torch
from transformers import AttentionInterface

# transformers hands packed sequences only to implementations with "flash" in their names.
_NAME = "nrray_packed_flash"


def pack_attention(model: Any) -> None:
    """Let the tower of a vision-language model attend to all frames at once, where its attention takes packed sequences; its
    outputs stay the same."""
    vision = getattr(model.config, "vision_config", None)
    if vision is None or not any(
        "cu_seqlens" in inspect.signature(part.forward).parameters for part in model.modules()
    ):
        return
    AttentionInterface.register(_NAME, packed_attention)
    model.set_attn_implementation({"vision_config": _NAME})


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    max_length_q: int,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """(1, S, heads, D) of (1, heads, S, D) queries, keys and values, whose S is sequences one after the other, ending where
    cu_seq_lens_q says; each attends to itself alone."""
    packed = (query[0], key[0], value[0])  # (heads, S, D)
    num_sequences = len(cu_seq_lens_q) - 1
    if num_sequences * max_length_q == query.shape[2]:  # all as long as each other: one batch
        batches = [[tensor.unflatten(1, (num_sequences, max_length_q)).transpose(0, 1) for tensor in packed]]
    else:
        lengths = cu_seq_lens_q.diff().tolist()
        parts = [tensor.unsqueeze(0).split(lengths, dim=2) for tensor in packed]
        batches = [list(batch) for batch in zip(*parts, strict=True)]
    attended = [
        torch.nn.functional.scaled_dot_product_attention(*batch, scale=scaling, dropout_p=dropout) for batch in batches
    ]
    return torch.cat([part.transpose(1, 2).flatten(0, 1) for part in attended]).unsqueeze(0), None
