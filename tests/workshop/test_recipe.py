from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import FastVlmConfig, FastVlmForConditionalGeneration, LlamaConfig, TimmWrapperConfig

from nrray.models import Pooling
from nrray.models.frame_stacking import FrameStacking
from nrray.models.head import Head
from nrray.train.training_config import AugmentConfig
from nrray.workshop.dialogue import Spoken
from nrray.workshop.embedded import HeadedVlm
from nrray.workshop.recipe import (
    RecipeConfig,
    one_cycle_share,
    train_vlm,
    window_images,
    window_scores,
    window_states,
)
from nrray.workshop.window_store import WindowSet

NUM_FRAMES, NUM_TOKENS, CHANNELS, IMAGE_TOKEN = 3, 4, 1280, 3
SIDE_PX = 16
PROMPT_IDS = np.array([1, *[IMAGE_TOKEN] * (NUM_FRAMES * NUM_TOKENS), 5, 6], dtype=np.int64)
ANSWERS = {False: 7, True: 8}
UNCHANGED = AugmentConfig(
    flip_fraction=0, max_turn_degrees=0, max_zoom=0, max_shift=0, max_hue_degrees=0, max_gain=0, max_light=0,
    max_gamma=0, invert_fraction=0, max_sharpness=0, max_noise=0,
)  # fmt: skip
TOY = RecipeConfig(seed=3, num_steps=60, batch_windows=16, peak_learning_rate=3e-3, augment=UNCHANGED)


class OneQuestion:
    """Asks of the first activity alone; the answer is one token, and padding follows half of them."""

    def drawn(self, windows, rows, rng):
        answers = np.array([[ANSWERS[bool(windows.targets[row, 0])], 0] for row in rows])
        return Spoken(
            token_ids=np.concatenate([np.tile(PROMPT_IDS, (len(rows), 1)), answers], axis=1),
            is_answer=np.tile([False] * len(PROMPT_IDS) + [True, False], (len(rows), 1)),
            num_sentences=np.ones(len(rows), dtype=np.int64),
        )


def tiny_vlm(seed=0, pooling=Pooling.MEAN_FRAMES):
    torch.manual_seed(seed)
    config = FastVlmConfig(
        vision_config=TimmWrapperConfig(
            architecture="tf_efficientnet_lite0", do_pooling=False, hidden_size=CHANNELS, num_labels=0
        ),
        text_config=LlamaConfig(
            vocab_size=16, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
        ),
        image_token_index=IMAGE_TOKEN,
    )
    model = FastVlmForConditionalGeneration(config)
    model.model.vision_tower.requires_grad_(False)
    torch.manual_seed(seed)
    return HeadedVlm(
        model=model,
        processor=None,
        head=Head(hidden_size=32, num_activities=2, pooling=pooling),
        frame_stacking=FrameStacking.FRAMES,
        trunk=torch.nn.Identity(),
        tail=torch.nn.Conv2d(3, CHANNELS, kernel_size=8, stride=8),  # 2 x 2 tokens; a random tower shrinks all signal
    )


@pytest.fixture(scope="module")
def separable_windows():
    """Two activities, each written into a colour of the frames of its windows."""
    rng = np.random.default_rng(0)
    targets = rng.random((120, 2)) < (0.5, 0.2)
    pixels = rng.integers(90, 140, size=(120, NUM_FRAMES, SIDE_PX, SIDE_PX, 3))
    pixels[..., 0] += 80 * targets[:, None, None, None, 0]
    pixels[..., 2] += 80 * targets[:, None, None, None, 1]
    return WindowSet(
        pixels=torch.from_numpy(pixels.reshape(-1, SIDE_PX, SIDE_PX, 3).astype(np.uint8)),
        window_frames=np.arange(120 * NUM_FRAMES).reshape(120, NUM_FRAMES),
        targets=targets,
        cases=np.zeros(120, dtype=np.int64),
        captions=np.full(120, "A scene."),
    )


def trained(windows, config=TOY, pooling=Pooling.MEAN_FRAMES):
    vlm = tiny_vlm(pooling=pooling)
    record = train_vlm(vlm, windows, config, dialogues=OneQuestion(), report=lambda step, loss: None)
    return vlm, record


@pytest.mark.parametrize("pooling", list(Pooling))
def test_a_separable_set_is_learned(separable_windows, pooling):
    vlm, record = trained(separable_windows, pooling=pooling)
    assert np.mean(record.losses[-5:]) < 0.2 * np.mean(record.losses[:5])
    scores = window_scores(vlm, separable_windows, prompt_ids=PROMPT_IDS)
    assert ((scores > 0.5) == separable_windows.targets).mean() > 0.98
    assert record.windows_seen == 60 * 16


def test_answers_are_learned_beside_the_activities(separable_windows):
    vlm, _ = trained(separable_windows)
    images = window_images(vlm, separable_windows, np.arange(120))
    with torch.inference_mode():
        states = window_states(vlm, images, token_ids=torch.from_numpy(PROMPT_IDS).expand(120, -1))
        told = vlm.model.lm_head(states.hidden[:, -1]).argmax(dim=1)
    expected = np.where(separable_windows.targets[:, 0], ANSWERS[True], ANSWERS[False])
    assert (told.numpy() == expected).mean() > 0.95


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(separable_windows):
    short = TOY.model_copy(update={"num_steps": 5})
    first, second = (trained(separable_windows, short)[0] for _ in range(2))
    other = trained(separable_windows, short.model_copy(update={"seed": 4}))[0]
    same = [torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True)]
    assert all(same)
    assert not torch.equal(first.head.out.weight, other.head.out.weight)


def test_the_trained_forward_is_that_of_the_class():
    vlm = tiny_vlm(pooling=Pooling.LAST)
    model = vlm.model.eval()
    tower = model.model.vision_tower.timm_model
    parts = replace(
        vlm,
        trunk=torch.nn.Sequential(tower.conv_stem, tower.bn1, *tower.blocks[:5]),
        tail=torch.nn.Sequential(*tower.blocks[5:], tower.conv_head, tower.bn2),
    )
    pixels = torch.randint(0, 256, (NUM_FRAMES, 64, 64, 3), dtype=torch.uint8)
    windows = WindowSet(
        pixels=pixels,
        window_frames=np.arange(NUM_FRAMES)[None],
        targets=np.zeros((1, 2), dtype=bool),
        cases=np.zeros(1, dtype=np.int64),
        captions=np.array(["A scene."]),
    )
    scores = window_scores(parts, windows, prompt_ids=PROMPT_IDS)
    values = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        hidden = model.model(input_ids=torch.from_numpy(PROMPT_IDS)[None], pixel_values=values).last_hidden_state
        expected = torch.sigmoid(vlm.head.out(hidden[:, -1]))
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-5)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nearly_nothing():
    shares = [one_cycle_share(step, TOY) for step in range(TOY.num_steps)]
    assert max(shares) == pytest.approx(1)
    assert shares.index(max(shares)) == 5
    assert 0 < shares[-1] < 0.01


def weights(vlm):
    return [*vlm.model.parameters(), *vlm.tail.parameters(), *vlm.head.parameters()]
