"""A toy of the workshop's models, and windows that it learns in seconds."""

import numpy as np
import torch
from transformers import FastVlmConfig, FastVlmForConditionalGeneration, LlamaConfig, TimmWrapperConfig

from nrray.models import Pooling
from nrray.models.frame_stacking import FrameStacking
from nrray.models.head import Head
from nrray.train.training_config import AugmentConfig
from nrray.workshop.dialogue import Spoken
from nrray.workshop.embedded import HeadedVlm
from nrray.workshop.recipe import RecipeConfig
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
