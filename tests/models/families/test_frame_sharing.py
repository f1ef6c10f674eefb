"""Frames that windows share go through a tower once, in every family that shares them, and give what the whole class gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from nrray.models.families.blocks import block_to_watch
from nrray.models.families.frame_sharing import distinct_blocks
from nrray.models.families.tower_moments import outputs_of
from nrray.models.measure import synthetic_frames
from tests.checkpoints import CHECKPOINTS
from tests.model_fixtures import loaded
from tests.more_checkpoints import MORE_CHECKPOINTS

FRAME_WISE = ("fast_vlm", "llava")  # have a runner of their own
WINDOWS = 7
families = pytest.mark.parametrize(
    "name", [name for name in (*CHECKPOINTS, *MORE_CHECKPOINTS) if name not in FRAME_WISE]
)


def states_and_tower_tokens(folder, unit):
    """(W, L, D) hidden states of a unit, and how many tokens went through its tower."""
    checkpoint = loaded(folder)
    runner = checkpoint.family.runner(checkpoint)
    with torch.inference_mode(), outputs_of(block_to_watch(checkpoint.family.tower(checkpoint.model))) as outputs:
        forward = runner.unit_forward(unit, question="Well?", micro_batch_windows=2)
        states = torch.cat([forward(slice(i, min(i + 3, WINDOWS))).hidden for i in range(0, WINDOWS, 3)])
    return runner, states, sum(output.shape[:-1].numel() for output in outputs)


def with_frames(unit, num_frames):
    return replace(unit, window_frames=unit.window_frames[:, :num_frames])


@families
@pytest.mark.parametrize("num_frames", [6, 5])
def test_sharing_frames_equals_a_plain_forward_of_every_window(name, num_frames, checkpoint_of, small_sampling):
    unit = with_frames(synthetic_frames(small_sampling, num_windows=WINDOWS), num_frames)
    runner, states, _ = states_and_tower_tokens(checkpoint_of(name), unit)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint_of(name), dtype=torch.float32).eval()
    with torch.inference_mode():
        inputs = runner.window_inputs(unit, slice(0, WINDOWS), question="Well?")
        plain = model(**inputs, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(states, plain, atol=1e-4, rtol=0)
    assert torch.std(plain[:, -1], dim=0).max() > 1e-3  # windows differ, so equality says something


@families
def test_a_shared_frame_is_encoded_once(name, checkpoint_of, small_sampling):
    """Windows of 6 frames, 4 of them shared with the next: 18 frames, which are 3 windows' worth, instead of 42."""
    unit = synthetic_frames(small_sampling, num_windows=WINDOWS)
    _, _, one = states_and_tower_tokens(
        checkpoint_of(name), replace(unit, window_frames=np.repeat(unit.window_frames[:1], WINDOWS, axis=0))
    )
    _, _, found = states_and_tower_tokens(checkpoint_of(name), unit)
    assert found == 3 * one


def test_blocks_are_shared_by_windows_that_hold_the_same_frames_as_a_block():
    windows = np.array([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6]], np.int32)
    blocks, rows = distinct_blocks(windows, 2)
    assert blocks[rows].tolist() == [
        [[0, 1], [2, 3], [4, 4]],
        [[1, 2], [3, 4], [5, 5]],
        [[2, 3], [4, 5], [6, 6]],
    ]
    assert len(blocks) == 8  # of 9: [2, 3] is one
    assert len(distinct_blocks(windows, 1)[0]) == 7
