from dataclasses import replace

import numpy as np
import pytest
import torch

from nrray.models import Pooling
from nrray.workshop.recipe import (
    one_cycle_share,
    train_vlm,
    window_images,
    window_scores,
    window_states,
)
from nrray.workshop.window_store import WindowSet
from tests.workshop import toy_vlm
from tests.workshop.toy_vlm import ANSWERS, NUM_FRAMES, PROMPT_IDS, TOY, OneQuestion, tiny_vlm


@pytest.fixture(scope="module")
def separable_windows():
    return toy_vlm.separable_windows()


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
