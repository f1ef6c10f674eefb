"""Vision-language models of many classes through the same code: what goes in is what a plain forward sees."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from nrray.errors import ModelError
from nrray.models.families.frame_wise_vlm import FrameWiseVlm
from nrray.models.families.vlm import VisionLanguageModel
from nrray.models.measure import synthetic_frames
from nrray.types import Frames
from tests.checkpoints import CHECKPOINTS
from tests.model_fixtures import labeler_of, loaded

# Of a window of 6 frames of 64 px; the Qwens merge two frames and 2 x 2 patches, the others see each frame alone.
FRAME_TOKENS = {"fast_vlm": 6 * 4, "llava_next_video": 6 * 4, "qwen2_5_vl": 3 * 4, "qwen3_vl": 3 * 4, "smolvlm": 6 * 4}

families = pytest.mark.parametrize("name", list(CHECKPOINTS))


def states_of(folder, unit, *, num_windows):
    checkpoint = loaded(folder)
    runner = checkpoint.family.runner(checkpoint)
    with torch.inference_mode():
        forward = runner.unit_forward(unit, question="Well?", micro_batch_windows=2)
        return runner, forward(slice(0, num_windows))


@families
def test_hidden_states_are_those_of_a_plain_forward(name, checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=2)
    runner, states = states_of(checkpoint_of(name), unit, num_windows=2)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint_of(name), dtype=torch.float32).eval()
    with torch.inference_mode():
        inputs = runner.window_inputs(unit, slice(0, 2), question="Well?")
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


def test_video_models_are_told_the_rate_and_the_kind_of_each_token(video_folder, small_sampling):
    checkpoint = loaded(video_folder)
    unit = synthetic_frames(small_sampling, num_windows=2)
    inputs = checkpoint.family.runner(checkpoint).window_inputs(unit, slice(0, 2), question="Well?")
    assert "mm_token_type_ids" in inputs
    assert inputs["second_per_grid_ts"].tolist() == [1.0, 1.0]  # two frames of 2 Hz a step
    assert inputs["video_grid_thw"][:, 0].tolist() == [3, 3]  # all 6 frames, none sampled away


class Processor:
    """A processor with the parts that are named."""

    def __init__(self, *parts, template="{{ messages }}"):
        for part in ("image_processor", "video_processor"):
            setattr(self, part, object() if part in parts else None)
        if "tokenizer" in parts:
            self.tokenizer = SimpleNamespace(chat_template=template)


@pytest.mark.parametrize(
    ("family", "processor", "message"),
    [
        (VisionLanguageModel(), Processor("image_processor"), "expected a processor with tokenizer"),
        (VisionLanguageModel(), Processor("tokenizer", "image_processor", template=None), "has no chat template"),
        (VisionLanguageModel(), Processor("tokenizer"), "without image or video processor"),
        (FrameWiseVlm(), Processor("tokenizer", "video_processor"), "without image processor, expected one"),
    ],
)
def test_a_processor_that_lacks_a_part_is_refused(family, processor, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        family.check_processor(processor, folder=tmp_path)


def test_padding_stands_on_the_left(checkpoint_of):
    for name in CHECKPOINTS:
        assert loaded(checkpoint_of(name)).processor.tokenizer.padding_side == "left"
