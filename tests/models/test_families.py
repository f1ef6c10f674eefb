"""Every family of checkpoints that nrray names, through the same code: what goes in is what a plain forward sees."""

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from nrray.models.families import family_of
from nrray.models.measure import synthetic_frames
from nrray.models.packed_attention import packed_attention
from nrray.models.window_processor import processing_device
from nrray.types import Frames
from tests.checkpoints import CHECKPOINTS
from tests.model_fixtures import labeler_of, loaded

# Of a window of 6 frames of 64 px; the Qwens merge two frames and 2 x 2 patches, the others see each frame alone.
FRAME_TOKENS = {"fast_vlm": 6 * 4, "llava_next_video": 6 * 4, "qwen2_5_vl": 3 * 4, "qwen3_vl": 3 * 4, "smolvlm": 6 * 4}

families = pytest.mark.parametrize("name", list(CHECKPOINTS))


def states_of(folder, unit, *, num_windows):
    family = family_of(loaded(folder))
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
    processor = loaded(checkpoint_of(name)).processor
    assert processor.video_processor.cap_pixels_per_frame is False


@families
def test_blank_frames_change_the_scores(name, checkpoint_of, tmp_path, label_set, small_sampling, add_head):
    folder = shutil.copytree(checkpoint_of(name), tmp_path / "model")
    add_head(folder, label_set=label_set, sampling=small_sampling)
    unit = synthetic_frames(small_sampling, num_windows=2)
    blank = Frames(**{**vars(unit), "pixels": np.zeros_like(unit.pixels)})
    labeler = labeler_of(folder, label_set)
    seen, unseen = labeler.label(unit).scores, labeler.label(blank).scores
    assert np.abs(seen - unseen).max() > 1e-3
    np.testing.assert_allclose(unseen[0], unseen[1], atol=1e-5)  # nothing is left that could tell windows apart


class RoundingProcessor:
    """Makes pixels that are `error` grey levels off where they are not made on the CPU."""

    def __init__(self, error):
        self.error = error

    def tensors(self, windows, *, question, frames_per_second, device):
        pixels = torch.from_numpy(np.stack(windows)).float() / 127.5 - 1
        return {"pixel_values": pixels + (self.error / 127.5 if device.type != "cpu" else 0)}


@pytest.mark.parametrize(("error", "kept"), [(0.0, True), (0.01, True), (1.0, False)])
def test_pixels_are_made_on_the_device_where_they_come_out_the_same(error, kept):
    elsewhere = torch.device("cuda")
    processor = RoundingProcessor(error)
    found = processing_device(processor, (2, 8, 8, 3), device=elsewhere, frames_per_second=2.0)
    assert found == (elsewhere if kept else torch.device("cpu"))


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
