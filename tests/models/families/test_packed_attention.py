"""Towers of packed sequences: all frames attend in one call, each to itself alone."""

import numpy as np
import pytest
import torch

from nrray.models.families.packed_attention import packed_attention
from tests.model_fixtures import loaded


@pytest.mark.parametrize("lengths", [(4, 4, 4), (3, 5, 1)])
def test_packed_sequences_attend_to_themselves_alone(lengths):
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, sum(lengths), 8, generator=random) for _ in range(3))
    ends = torch.tensor([0, *np.cumsum(lengths)])
    found, _ = packed_attention(
        torch.nn.Identity(), query, key, value, None, scaling=0.3, cu_seq_lens_q=ends, max_length_q=max(lengths)
    )
    parts = [tensor.split(lengths, dim=2) for tensor in (query, key, value)]
    alone = [torch.softmax(0.3 * q @ k.transpose(2, 3), dim=-1) @ v for q, k, v in zip(*parts, strict=True)]
    torch.testing.assert_close(found, torch.cat(alone, dim=2).transpose(1, 2))


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
def test_towers_of_packed_sequences_attend_at_once(name, checkpoint_of):
    config = loaded(checkpoint_of(name)).model.config
    assert config.vision_config._attn_implementation == "nrray_packed_flash"
    assert config.get_text_config()._attn_implementation == "sdpa"
