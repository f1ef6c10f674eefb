"""The seeded recipe: the tower's tail, projector, language model and, where there is one, the head learn from windows whose
appearance is changed.

The head learns the activities, the language model to answer questions about the same windows. The same seed, data and
number of threads give the same weights on a CPU. Knows no simulator and no Ray.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from nrray.config import Section
from nrray.models.families.family import HiddenStates
from nrray.models.families.frame_wise_vlm import CPU_FRAMES_PER_FORWARD
from nrray.models.frame_stacking import FrameStacking
from nrray.models.head import Head
from nrray.train.augment import augmented
from nrray.train.objective import BinaryCrossEntropy, Objective, positive_weights, prior_log_odds
from nrray.train.training_config import AugmentConfig
from nrray.workshop.dialogue import Dialogues, Spoken
from nrray.workshop.embedded import HeadedVlm
from nrray.workshop.vlm import PIXEL_MEAN, PIXEL_STD, TrainableVlm
from nrray.workshop.window_store import WindowSet


class RecipeConfig(Section):
    """How a model is trained."""

    seed: int = Field(default=0, ge=0)
    num_steps: int = Field(default=1000, ge=1, description="optimizer steps")
    batch_windows: int = Field(default=64, ge=1, description="windows per step")
    peak_learning_rate: float = Field(default=1.0e-3, gt=0, description="top of the one-cycle schedule")
    tail_share: float = Field(default=0.3, ge=0, le=1, description="the tower's tail learns at this share of the rate")
    warmup_fraction: float = Field(default=0.1, gt=0, lt=1, description="share of the steps that rise to the peak")
    weight_decay: float = Field(default=0.05, ge=0)
    gradient_norm: float = Field(default=1.0, gt=0, description="gradients are clipped to this norm")
    objective: Objective = Field(default=BinaryCrossEntropy(max_positive_weight=4.0), description="of the activities")
    answer_weight: float = Field(default=1.0, ge=0, description="of the answers' loss, beside 1 for the activities'")
    augment: AugmentConfig = Field(default_factory=AugmentConfig, description="changes of the windows")


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """The course of a training run: losses has one value per step."""

    losses: list[float]
    windows_seen: int
    seconds: float


def train_vlm(
    vlm: TrainableVlm,
    windows: WindowSet,
    config: RecipeConfig,
    *,
    dialogues: Dialogues,
    report: Callable[[int, torch.Tensor], None],
    is_new: bool = True,
) -> TrainingRecord:
    """Train `vlm` in place on `windows`; `report(step, loss)` is called after each step; the loss is a scalar
    on the model's device. is_new: the head starts at the windows' log-odds; one that has learned goes on from what it knows.

    The loss is the objective's cost of the head, where there is one, with positive weights negatives / positives bounded on
    both sides, and `answer_weight` times the cross-entropy of the answers' sentences, a mean over each answer and then over
    answers.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    head_loss = None if vlm.head is None else HeadLoss(vlm.head, windows, config.objective, is_new=is_new)
    vlm.model.train()
    vlm.model.model.vision_tower.eval()
    optimizer = torch.optim.AdamW(
        _parameter_groups(
            vlm,
            weight_decay=config.weight_decay,
            tail_learning_rate=config.tail_share * config.peak_learning_rate,
        ),
        lr=config.peak_learning_rate,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle_share(step, config))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    channels = torch.from_numpy(vlm.frame_stacking.channels).to(vlm.device)
    losses: list[torch.Tensor] = []
    started = time.perf_counter()
    for step, rows in enumerate(_batches(rng, num_windows=len(windows.targets), config=config)):
        frames = window_frames(windows, rows, device=vlm.device)
        images = composed(augmented(frames, config.augment, rng, channels=channels), vlm.frame_stacking)
        spoken = dialogues.drawn(windows, rows, rng)
        states = window_states(
            vlm,
            images,
            token_ids=torch.from_numpy(spoken.token_ids).to(vlm.device),
            readable=torch.from_numpy(spoken.is_prompt).to(vlm.device),
        )
        loss = config.answer_weight * answer_loss(vlm, states, spoken)
        if head_loss is not None:
            loss = loss + head_loss.of(states, rows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())  # not yet read: a device works on while the next batch is made
        report(step, losses[-1])
    vlm.model.eval()
    values = torch.stack(losses).tolist()
    seconds = time.perf_counter() - started
    return TrainingRecord(losses=values, windows_seen=config.num_steps * config.batch_windows, seconds=seconds)


class HeadLoss:
    """The objective's cost of a head; a new one starts at the windows' log-odds."""

    def __init__(self, head: Head, windows: WindowSet, objective: Objective, *, is_new: bool) -> None:
        if is_new:
            head.start_at(prior_log_odds(windows.targets.mean(axis=0)))
        weights = positive_weights(windows.targets.mean(axis=0), bound=objective.max_positive_weight)
        self._positive_weight = torch.from_numpy(weights).to(next(head.parameters()).device)
        self._head, self._targets, self._objective = head, windows.targets, objective

    def of(self, states: HiddenStates, rows: NDArray[np.int64]) -> torch.Tensor:
        """A mean over windows `rows` and activities."""
        targets = torch.from_numpy(self._targets[rows].astype(np.float32)).to(states.hidden.device)
        cost = self._objective.cost(self._head(states), targets, positive_weight=self._positive_weight)
        return cost.mean()


def window_scores(
    vlm: HeadedVlm, windows: WindowSet, *, prompt_ids: NDArray[np.int64], batch_windows: int = 64
) -> NDArray[np.float32]:
    """(W, A) scores of all windows, in order. prompt_ids: (L,) tokens of a window's prompt, image tokens included."""
    batches = []
    vlm.model.eval()
    with torch.inference_mode():
        for start in range(0, len(windows.targets), batch_windows):
            rows = np.arange(start, min(start + batch_windows, len(windows.targets)))
            images = window_images(vlm, windows, rows)
            token_ids = torch.from_numpy(prompt_ids).to(vlm.device).expand(len(rows), -1)
            batches.append(torch.sigmoid(vlm.head(window_states(vlm, images, token_ids=token_ids))).cpu())
    scores: NDArray[np.float32] = torch.cat(batches).numpy()
    return scores


def window_states(
    vlm: TrainableVlm, images: torch.Tensor, *, token_ids: torch.Tensor, readable: torch.Tensor | None = None
) -> HiddenStates:
    """The forward pass of the whole model: (B, P, 3, H, W) images in [0, 1] and (B, L) tokens to the last layer's states.
    `readable` (B, L) marks the tokens that a head may read, all of them where it is None. Padding stands on the
    right, where no token that counts can see it."""
    is_frame = token_ids == vlm.model.config.image_token_id
    hidden = vlm.model.model.language_model(inputs_embeds=window_embeds(vlm, images, token_ids), use_cache=False)
    attended = torch.ones_like(is_frame) if readable is None else readable
    return HiddenStates(
        hidden=hidden.last_hidden_state,
        attended=attended,
        frame_tokens=is_frame,
    )


def window_embeds(vlm: TrainableVlm, images: torch.Tensor, token_ids: torch.Tensor) -> torch.Tensor:
    """(B, L, D) embeddings of tokens, images in their places."""
    model = vlm.model.model
    is_frame = token_ids == vlm.model.config.image_token_id
    grid = tower_grid(vlm, images)  # (B x P, C, h, w)
    tokens = grid.flatten(2).permute(0, 2, 1).reshape(len(images), -1, grid.shape[1])
    text = model.get_input_embeddings()(token_ids)
    embeds: torch.Tensor = text.masked_scatter(is_frame.unsqueeze(-1), model.multi_modal_projector(tokens))
    return embeds


def tower_grid(vlm: TrainableVlm, images: torch.Tensor) -> torch.Tensor:
    """(B x P, C, h, w) outputs of the tower for (B, P, 3, H, W) images in [0, 1]."""
    values = ((images.flatten(0, 1) - PIXEL_MEAN) / PIXEL_STD).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():  # a CPU is 2.5 times as fast on as many frames as its cache holds
        chunk = CPU_FRAMES_PER_FORWARD if values.device.type == "cpu" else len(values)
        features = torch.cat([vlm.trunk(part) for part in values.split(chunk)])
    grid: torch.Tensor = vlm.tail(features)
    return grid


def window_images(vlm: TrainableVlm, windows: WindowSet, rows: NDArray[np.int64]) -> torch.Tensor:
    """(B, P, 3, H, W) float32 images in [0, 1] of windows `rows`, stacked of stored pixels as in `models.frame_stacking`."""
    stored = windows.batch(rows).to(vlm.device).permute(0, 1, 4, 2, 3)
    channels = torch.from_numpy(vlm.frame_stacking.channels).to(vlm.device)
    shown = (channels @ stored.flatten(3).float()).floor_()  # whole bytes, as there
    return composed(shown.unflatten(3, stored.shape[3:]), vlm.frame_stacking) / 255


def composed(frames: torch.Tensor, frame_stacking: FrameStacking) -> torch.Tensor:
    """(B, F, K, H, W) frames, of whose colours the K that `frame_stacking` keeps are left, to (B, P, 3, H, W) images."""
    if frame_stacking is FrameStacking.FRAMES:
        return frames
    return frames[:, torch.from_numpy(frame_stacking.rows(frames.shape[1])).to(frames.device), 0]


def answer_loss(vlm: TrainableVlm, states: HiddenStates, spoken: Spoken) -> torch.Tensor:
    """Cross-entropy of a sentence of the answers: its tokens' sum, each told by the state before it.

    A mean over tokens would weigh a fact that one word decides, such as a passer-by, by the length of its caption.
    """
    device = states.hidden.device
    is_told = torch.from_numpy(spoken.is_answer[:, 1:]).to(device)
    logits = vlm.model.lm_head(states.hidden[:, :-1][is_told])
    losses = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(spoken.token_ids[:, 1:]).to(device)[is_told], reduction="none"
    )
    share = 1 / torch.from_numpy(spoken.num_sentences).to(device).unsqueeze(1).expand_as(is_told)[is_told]
    return (losses * share).sum() / len(is_told)


def window_frames(windows: WindowSet, rows: NDArray[np.int64], *, device: torch.device) -> torch.Tensor:
    """(B, F, 3, H, W) float32 frames in [0, 1] of windows `rows`, on `device`."""
    return windows.batch(rows).to(device).permute(0, 1, 4, 2, 3).float() / 255


def one_cycle_share(step: int, config: RecipeConfig) -> float:
    """Learning rate of `step` as a share of the peak: a linear rise, then half a cosine down to 0."""
    warmup = max(1, round(config.warmup_fraction * config.num_steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup + 1) / (config.num_steps - warmup + 1)))


def _batches(rng: np.random.Generator, *, num_windows: int, config: RecipeConfig) -> list[NDArray[np.int64]]:
    wanted = config.num_steps * config.batch_windows
    passes = [rng.permutation(num_windows) for _ in range(-(-wanted // num_windows))]
    return np.split(np.concatenate(passes)[:wanted], config.num_steps)


def _parameter_groups(vlm: TrainableVlm, *, weight_decay: float, tail_learning_rate: float) -> list[dict[str, object]]:
    tail = [parameter for parameter in vlm.tail.parameters() if parameter.requires_grad]
    in_tail = {id(parameter) for parameter in tail}
    trained = [p for p in vlm.model.parameters() if p.requires_grad and id(p) not in in_tail]
    matrices = [parameter for parameter in trained if parameter.ndim > 1]
    others = [parameter for parameter in trained if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": [*others, *(vlm.head.parameters() if vlm.head is not None else ())], "weight_decay": 0.0},
        {"params": tail, "weight_decay": 0.0, "lr": tail_learning_rate},
    ]
