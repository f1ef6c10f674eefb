"""Every family of checkpoints that nrray names, through the same code: what goes in is what a plain forward sees."""

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from nrray.models import ModelConfig, load_labeler
from nrray.models.checkpoint import load_checkpoint
from nrray.models.families import family_of
from nrray.models.measure import synthetic_frames
from nrray.types import Frames
from tests.checkpoints import CHECKPOINTS

# Of a window of 6 frames of 64 px; the Qwens merge two frames and 2 x 2 patches, the others see each frame alone.
FRAME_TOKENS = {"fast_vlm": 6 * 4, "llava_next_video": 6 * 4, "qwen2_5_vl": 3 * 4, "qwen3_vl": 3 * 4, "smolvlm": 6 * 4}

families = pytest.mark.parametrize("name", list(CHECKPOINTS))


def states_of(folder, unit, *, num_windows):
    family = family_of(load_checkpoint(ModelConfig(path=str(folder))))
    with torch.inference_mode():
        forward = family.unit_forward(unit, question="Well?", frames_per_second=2.0, micro_batch_windows=2)
        return family, forward(slice(0, num_windows))


@families
def test_hidden_states_are_those_of_a_plain_forward(name, checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=2)
    family, states = states_of(checkpoint_of(name), unit, num_windows=2)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint_of(name), dtype=torch.float32).eval()
    with torch.inference_mode():
        inputs = family.window_inputs(unit, slice(0, 2), question="Well?", frames_per_second=2.0)
        plain = model(**inputs, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(states.hidden, plain, atol=1e-4, rtol=0)
    assert states.frame_tokens.sum(dim=1).tolist() == [FRAME_TOKENS[name]] * 2


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
def test_pictures_keep_the_size_of_the_sampling_section(name, checkpoint_of):
    processor = load_checkpoint(ModelConfig(path=str(checkpoint_of(name)))).processor
    assert processor.video_processor.cap_pixels_per_frame is False


@families
def test_blank_frames_change_the_scores(name, checkpoint_of, tmp_path, label_set, small_sampling, add_head):
    folder = shutil.copytree(checkpoint_of(name), tmp_path / "model")
    add_head(folder, label_set=label_set, sampling=small_sampling)
    unit = synthetic_frames(small_sampling, num_windows=2)
    blank = Frames(**{**vars(unit), "pixels": np.zeros_like(unit.pixels)})
    labeler = load_labeler(ModelConfig(path=str(folder)), label_set)
    seen, unseen = labeler.label(unit).scores, labeler.label(blank).scores
    assert np.abs(seen - unseen).max() > 1e-3
    np.testing.assert_allclose(unseen[0], unseen[1], atol=1e-5)  # nothing is left that could tell windows apart
