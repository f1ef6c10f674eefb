"""Video encoders: their hidden states are those of a plain forward, and every token but a class token stands for frames."""

import numpy as np
import pytest
import torch
from transformers import TimesformerModel, VideoMAEModel, VJEPA2Model

from nrray.errors import ModelError
from nrray.models.config import Dtype
from nrray.models.measure import synthetic_frames
from nrray.types import Frames
from tests.checkpoints import ENCODERS
from tests.model_fixtures import loaded

PATCHES = 4 * 4  # of 16 px in a frame of 64 px
# TimeSformer sees each of 6 frames and has a class token; the others see tubes of 2 frames.
NUM_TOKENS = {"timesformer": 1 + 6 * PATCHES, "videomae": 3 * PATCHES, "vjepa2": 3 * PATCHES}
CLASSES = {"timesformer": TimesformerModel, "videomae": VideoMAEModel, "vjepa2": VJEPA2Model}

encoders = pytest.mark.parametrize("name", list(ENCODERS))


def states_of(checkpoint, unit):
    with torch.inference_mode():
        forward = checkpoint.family.runner(checkpoint).unit_forward(unit, question="Well?", micro_batch_windows=2)
        return forward(slice(0, len(unit.window_frames)))


@encoders
def test_hidden_states_are_those_of_a_plain_forward(name, checkpoint_of, small_sampling):
    unit, checkpoint = synthetic_frames(small_sampling, num_windows=2), loaded(checkpoint_of(name))
    states = states_of(checkpoint, unit)
    videos = [unit.pixels[rows] for rows in unit.window_frames]
    made = checkpoint.processor(videos=videos, do_sample_frames=False, return_tensors="pt")
    with torch.inference_mode():
        plain = CLASSES[name].from_pretrained(checkpoint_of(name)).eval()(**made).last_hidden_state
    torch.testing.assert_close(states.hidden, plain, atol=1e-5, rtol=0)
    assert states.hidden.shape[1] == NUM_TOKENS[name]
    assert states.attended.all()


@encoders
def test_every_token_but_a_class_token_stands_for_frames(name, checkpoint_of, small_sampling):
    states = states_of(loaded(checkpoint_of(name)), synthetic_frames(small_sampling, num_windows=1))
    assert states.frame_tokens[0, 0].item() is (name != "timesformer")
    assert states.frame_tokens[0, 1:].all()


@encoders
def test_other_frames_give_other_states(name, checkpoint_of, small_sampling):
    unit, checkpoint = synthetic_frames(small_sampling, num_windows=1), loaded(checkpoint_of(name))
    blank = Frames(**{**vars(unit), "pixels": np.zeros_like(unit.pixels)})
    assert (states_of(checkpoint, unit).hidden - states_of(checkpoint, blank).hidden).abs().max() > 1e-3


@encoders
def test_a_bfloat16_model_computes_about_the_same(name, checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=1)
    exact, coarse = (
        states_of(loaded(checkpoint_of(name), dtype=dtype), unit).hidden.float()
        for dtype in (Dtype.FLOAT32, Dtype.BFLOAT16)
    )
    assert (exact - coarse).abs().mean() < 0.05 * exact.abs().mean()


@encoders
def test_the_stem_stands_in_front_of_the_layers(name, checkpoint_of):
    checkpoint = loaded(checkpoint_of(name))
    stem = {id(parameter) for parameter in checkpoint.family.stem(checkpoint.model).parameters()}
    layers = {id(p) for layer in checkpoint.family.layers(checkpoint.model) for p in layer.parameters()}
    assert stem
    assert not stem & layers


@pytest.mark.parametrize(("name", "is_refused"), [("timesformer", False), ("videomae", True), ("vjepa2", False)])
def test_windows_of_another_number_of_frames_are_refused_where_positions_are_a_table(name, is_refused, checkpoint_of):
    checkpoint = loaded(checkpoint_of(name))
    checkpoint.family.check_window(checkpoint, num_frames=6)
    if is_refused:
        with pytest.raises(ModelError, match="found windows of 8 frames, expected the 6"):
            checkpoint.family.check_window(checkpoint, num_frames=8)
    else:
        checkpoint.family.check_window(checkpoint, num_frames=8)
