"""Frames that windows share are encoded once, and give what the whole class gives."""

from dataclasses import replace

import pytest
import torch

from nrray.errors import ModelError
from nrray.models.families.family import WindowRunner
from nrray.models.families.frame_wise_vlm import FrameWiseRunner
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from tests.model_fixtures import loaded


def test_sharing_frames_equals_the_plain_forward_of_the_whole_class():
    whole = loaded()
    # In double precision: sums in another order then differ by far less than a wrong frame would make.
    checkpoint = replace(whole, model=whole.model.double(), dtype=torch.float64)
    runner = checkpoint.family.runner(checkpoint)
    unit = synthetic_frames(Sampling.model_validate({}), num_windows=4)
    with torch.inference_mode():
        forward = runner.unit_forward(unit, question="Well?", micro_batch_windows=2)
        shared = forward(slice(0, 4)).hidden
        inputs = runner.window_inputs(unit, slice(0, 4), question="Well?")
        inputs["pixel_values"] = inputs["pixel_values"].double()
        plain = checkpoint.model(**inputs, output_hidden_states=True).hidden_states[-1]
    assert torch.std(shared[:, -1], dim=0).max() > 1e-4  # windows differ, so equality says something
    torch.testing.assert_close(shared, plain, atol=1e-5, rtol=0)


def test_a_shared_frame_is_encoded_once(image_folder, small_sampling, monkeypatch):
    encoded = []
    original = FrameWiseRunner.frame_embeddings
    monkeypatch.setattr(
        FrameWiseRunner,
        "frame_embeddings",
        lambda self, pixels: encoded.append(len(pixels)) or original(self, pixels),
    )
    checkpoint = loaded(image_folder)
    runner = checkpoint.family.runner(checkpoint)
    unit = synthetic_frames(small_sampling, num_windows=10)
    with torch.inference_mode():
        runner.unit_forward(unit, question="Well?", micro_batch_windows=2)
    assert sum(encoded) == len(unit.pixels) == 24  # and not 10 windows x 6 frames


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize(("side_px", "is_refused"), [(64, False), (96, False), (80, True)])
def test_frames_of_which_the_tower_makes_more_than_the_prompt_has_room_for_are_refused(
    is_shared, side_px, is_refused, image_folder
):
    """Its processor does not resize: it counts patches that fit, the tower those that are begun, too."""
    checkpoint = loaded(image_folder)
    runner = (checkpoint.family.runner if is_shared else WindowRunner)(checkpoint)
    sampling = Sampling(
        frames_per_second=2.0, window_seconds=2.0, stride_seconds=1.0, frame_width_px=side_px, frame_height_px=side_px
    )
    unit = synthetic_frames(sampling, num_windows=2)

    def states():
        with torch.inference_mode():
            return runner.unit_forward(unit, question="Well?", micro_batch_windows=2)(slice(0, 2))

    if is_refused:
        with pytest.raises(ModelError, match=r"frames of 80x80 px, expected the \d+ that its processor leaves room"):
            states()
    else:
        assert int(states().frame_tokens[0].sum()) == 4 * (side_px // 32) ** 2


def test_a_tower_that_is_laid_out_for_speed_returns_the_same(image_folder, small_sampling):
    checkpoint = loaded(image_folder)
    tower = checkpoint.model.get_encoder(modality="image")
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = tower(pixel_values=pixels).last_hidden_state
        checkpoint.family.optimize_tower(checkpoint)
        optimized = checkpoint.model.get_encoder(modality="image")
        after = optimized(pixel_values=pixels).last_hidden_state
    assert sum(isinstance(part, torch.nn.BatchNorm2d) for part in optimized.modules()) == 0
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * float(before.abs().max()))
