"""Windows of checkpoints that do not say how they sample video, planned before a weight is read."""

import json
import shutil

import pytest

from nrray.errors import ConfigError, ModelError
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.frame_size import FrameSize
from nrray.models.measure import synthetic_frames
from nrray.models.window_plan import MAX_FRAME_TOKENS, planned_window
from nrray.sampling import SamplingSection
from tests.checkpoints import CHECKPOINTS, ENCODERS, NUM_FRAMES
from tests.model_fixtures import loaded

VGA = FrameSize(width_px=640, height_px=480)


def resolved(folder):
    return resolve_checkpoint(CheckpointChoice(path=str(folder)))


def plan_of(folder, *, video=VGA, questions=("Is it raining?",), **given):
    return planned_window(resolved(folder), SamplingSection(**given), video=video, questions=questions)


@pytest.mark.parametrize("name", [*CHECKPOINTS, *ENCODERS])
def test_the_tokens_that_are_told_are_those_of_a_real_window(name, checkpoint_of):
    folder = checkpoint_of(name)
    plan, checkpoint = plan_of(folder), loaded(folder)
    runner = checkpoint.family.runner(checkpoint)
    unit = synthetic_frames(plan.sampling, num_windows=1)
    forward = runner.unit_forward(unit, question="Is it raining?", micro_batch_windows=1)
    states = forward(slice(0, 1))
    has_class_token = name == "timesformer"
    assert states.hidden.shape[1] == plan.tokens
    assert int(states.frame_tokens.sum()) == plan.frame_tokens - has_class_token
    assert f"{plan.frame_tokens:,} tokens a window" in plan.text()


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl", "smolvlm"])
def test_the_aspect_of_the_videos_is_kept_where_the_family_can(name, checkpoint_of):
    wide, high = (
        plan_of(checkpoint_of(name), video=FrameSize(width_px=width, height_px=height)).sampling
        for width, height in ((640, 320), (320, 640))
    )
    assert wide.frame_width_px > wide.frame_height_px
    assert (high.frame_height_px, high.frame_width_px) == (wide.frame_width_px, wide.frame_height_px)


def test_sizes_are_multiples_of_merged_patches_and_the_processor_leaves_them_as_they_are(checkpoint_of):
    plan = plan_of(checkpoint_of("qwen2_5_vl"))
    assert plan.sampling.frame_width_px % 28 == plan.sampling.frame_height_px % 28 == 0
    assert plan.resized == FrameSize(width_px=plan.sampling.frame_width_px, height_px=plan.sampling.frame_height_px)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_windows_have_the_number_of_frames_that_the_config_says(name, checkpoint_of):
    assert plan_of(checkpoint_of(name)).sampling.frames_per_window == NUM_FRAMES
    slower = plan_of(checkpoint_of(name), frames_per_second=1.5).sampling
    assert (slower.frames_per_window, slower.window_seconds) == (NUM_FRAMES, 4.0)
    shorter = plan_of(checkpoint_of(name), window_seconds=1.5, stride_seconds=0.5).sampling
    assert (shorter.frames_per_window, shorter.frames_per_second) == (NUM_FRAMES, 4.0)


def changed(folder, into, **sections):
    """A copy with other values in its config.json."""
    copy = shutil.copytree(folder, into)
    config = json.loads((copy / "config.json").read_text())
    for name, value in sections.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def test_many_frames_of_an_encoder_whose_positions_are_free_are_halved_until_their_tokens_are_few(
    checkpoint_of, tmp_path
):
    many = 2 * 4 * MAX_FRAME_TOKENS // 16  # tubes of 2 frames of 16 patches: four times as many tokens as may be
    plan = plan_of(changed(checkpoint_of("vjepa2"), tmp_path / "long", frames_per_clip=many))
    assert plan.sampling.frames_per_window == many // 4
    assert plan.frame_tokens == MAX_FRAME_TOKENS


def test_frames_of_fixed_size_and_many_tokens_are_sampled_less_often(checkpoint_of, tmp_path):
    fine = changed(checkpoint_of("llava_next_video"), tmp_path / "fine")
    for file in fine.glob("*processor*.json"):
        text = file.read_text().replace("64", "640")
        file.write_text(text)
    plan = plan_of(fine, video=FrameSize(width_px=1920, height_px=1080))
    assert plan.sampling.frames_per_second < 4
    assert plan.sampling.frame_width_px == plan.sampling.frame_height_px == 640
    assert plan.tokens <= 2048  # of its language model: fewer than frames may be elsewhere


def test_what_the_config_sets_stands_and_the_sentence_names_the_rest(checkpoint_of):
    given = SamplingSection(frames_per_second=2.0, frame_width_px=56, frame_height_px=56)
    plan = planned_window(resolved(checkpoint_of("qwen2_5_vl")), given, video=VGA)
    assert (plan.sampling.frames_per_second, plan.sampling.frame_width_px) == (2.0, 56)
    said = plan.sentence("tiny", given)
    assert "A window is 6 frames of 56x56 px, 2 a second" in said
    assert "window_seconds, stride_seconds are what its config and processor are made for" in said
    everything = SamplingSection.model_validate(plan.sampling.model_dump())
    assert "made for" not in plan.sentence("tiny", everything)


def test_settings_that_do_not_go_together_are_refused_with_the_model_s_own(checkpoint_of):
    with pytest.raises(
        ConfigError, match=r"found stride_seconds=0.3; the model's own are 4 frames a second .* whole number"
    ):
        plan_of(checkpoint_of("qwen2_5_vl"), stride_seconds=0.3)


def test_another_number_of_frames_than_positions_are_made_for_is_refused(checkpoint_of):
    with pytest.raises(ModelError, match=r"found windows of 8 frames, expected the 6 .* their product is 6"):
        plan_of(checkpoint_of("videomae"), frames_per_second=4.0, window_seconds=2.0)


def test_an_odd_number_of_frames_is_refused_where_the_last_one_would_not_be_seen(checkpoint_of):
    with pytest.raises(ModelError, match="found windows of 5 frames, expected a multiple of 2"):
        plan_of(checkpoint_of("vjepa2"), frames_per_second=2.0, window_seconds=2.5)


def test_more_tokens_than_the_language_model_has_read_are_refused(checkpoint_of, tmp_path):
    short = changed(checkpoint_of("qwen2_5_vl"), tmp_path / "short", text_config={"max_position_embeddings": 10})
    with pytest.raises(
        ModelError, match=r"are \d+ tokens with the question, expected the 10 of its max_position_embeddings"
    ):
        plan_of(short)


def test_a_language_model_without_eyes_is_refused_by_its_kind(checkpoint_of, tmp_path):
    blind = changed(checkpoint_of("qwen2_5_vl"), tmp_path / "blind", model_type="bert")
    with pytest.raises(ModelError, match="found a 'bert' checkpoint, expected one of transformers' image-text-to-text"):
        plan_of(blind)
