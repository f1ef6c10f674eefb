"""The seeded recipe: projector, language model and head learn from stored tower features; the tower stays frozen.

The same seed, data and number of threads give the same weights. Knows no simulator and no Ray.
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
from nrray.models.families import HiddenStates
from nrray.models.head_labeler import pooled
from nrray.train.embedded import TrainableVlm
from nrray.train.features import FeatureSet


class RecipeConfig(Section):
    """How the embedded model is trained."""

    seed: int = Field(default=0, ge=0)
    num_steps: int = Field(default=1000, ge=1, description="optimizer steps")
    batch_windows: int = Field(default=64, ge=1, description="windows per step")
    peak_learning_rate: float = Field(default=1.0e-3, gt=0, description="top of the one-cycle schedule")
    warmup_fraction: float = Field(default=0.1, gt=0, lt=1, description="share of the steps that rise to the peak")
    weight_decay: float = Field(default=0.05, ge=0)
    gradient_norm: float = Field(default=1.0, gt=0, description="gradients are clipped to this norm")
    max_positive_weight: float = Field(default=4.0, ge=1, description="bound of negatives / positives in the loss")
    flip_fraction: float = Field(default=0.5, ge=0, le=1, description="share of windows that are mirrored")


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What a training run was: losses has one value per step."""

    losses: list[float]
    windows_seen: int
    seconds: float


def train_vlm(
    vlm: TrainableVlm,
    windows: FeatureSet,
    config: RecipeConfig,
    *,
    prompt_ids: NDArray[np.int64],
    report: Callable[[int, float], None],
) -> TrainingRecord:
    """Train `vlm` in place on `windows`; `report(step, loss)` is called after each step.

    prompt_ids: (L,) tokens of a whole window's prompt, image tokens included. Binary cross-entropy with positive
    weights negatives / positives, bounded on both sides.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    _start_head_at_prior(vlm.head, windows.targets)
    weights = positive_weights(windows.targets, bound=config.max_positive_weight)
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.from_numpy(weights))
    vlm.model.train()
    vlm.model.model.vision_tower.eval()
    optimizer = torch.optim.AdamW(
        _parameter_groups(vlm, weight_decay=config.weight_decay), lr=config.peak_learning_rate
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle_share(step, config))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    losses: list[float] = []
    started = time.perf_counter()
    for step, rows in enumerate(_batches(rng, num_windows=len(windows.targets), config=config)):
        features = batch_features(windows, rows, mirrored=rng.random(len(rows)) < config.flip_fraction)
        logits = window_logits(vlm, features, prompt_ids=prompt_ids)
        loss = loss_of(logits, torch.from_numpy(windows.targets[rows].astype(np.float32)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.gradient_norm)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        report(step, losses[-1])
    vlm.model.eval()
    seconds = time.perf_counter() - started
    return TrainingRecord(losses=losses, windows_seen=config.num_steps * config.batch_windows, seconds=seconds)


def window_scores(
    vlm: TrainableVlm, windows: FeatureSet, *, prompt_ids: NDArray[np.int64], batch_windows: int = 64
) -> NDArray[np.float32]:
    """(W, A) scores of all windows, in order."""
    batches = []
    with torch.inference_mode():
        for start in range(0, len(windows.targets), batch_windows):
            rows = np.arange(start, min(start + batch_windows, len(windows.targets)))
            features = batch_features(windows, rows, mirrored=np.zeros(len(rows), dtype=bool))
            batches.append(torch.sigmoid(window_logits(vlm, features, prompt_ids=prompt_ids)).numpy())
    scores: NDArray[np.float32] = np.concatenate(batches)
    return scores


def window_logits(vlm: TrainableVlm, features: torch.Tensor, *, prompt_ids: NDArray[np.int64]) -> torch.Tensor:
    """(B, A) logits of (B, F x T, C) float32 tower features: what the whole model does after its tower."""
    model = vlm.model.model
    input_ids = torch.from_numpy(prompt_ids)[None].expand(len(features), -1)
    is_frame = input_ids == vlm.model.config.image_token_id
    text = model.get_input_embeddings()(input_ids)
    embeds = text.masked_scatter(is_frame.unsqueeze(-1), model.multi_modal_projector(features))
    hidden = model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
    states = HiddenStates(hidden=hidden, attended=torch.ones_like(is_frame), frame_tokens=is_frame)
    logits: torch.Tensor = vlm.head(pooled(states, vlm.pooling))
    return logits


def batch_features(windows: FeatureSet, rows: NDArray[np.int64], *, mirrored: NDArray[np.bool_]) -> torch.Tensor:
    """(B, F x T, C) float32 features of windows `rows`, left and right exchanged where `mirrored`.

    Mirroring the grid of tokens stands in for encoding mirrored frames: a convolutional tower does nearly the same.
    """
    picked = windows.features[windows.window_frames[rows]]  # (B, F, T, C)
    batch, num_frames, num_tokens, channels = picked.shape
    side = round(num_tokens**0.5)
    grid = picked.reshape(batch, num_frames, side, side, channels)
    grid = np.where(mirrored[:, None, None, None, None], grid[:, :, :, ::-1], grid)
    return torch.from_numpy(grid.reshape(batch, num_frames * num_tokens, channels).astype(np.float32))


def one_cycle_share(step: int, config: RecipeConfig) -> float:
    """Learning rate of `step` as a share of the peak: a linear rise, then half a cosine down to 0."""
    warmup = max(1, round(config.warmup_fraction * config.num_steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup + 1) / (config.num_steps - warmup + 1)))


def positive_weights(targets: NDArray[np.bool_], *, bound: float) -> NDArray[np.float32]:
    """(A,) negatives / positives of (W, A) targets, within [1 / bound, bound]."""
    positives = targets.sum(axis=0)
    ratio = (len(targets) - positives) / np.maximum(positives, 1)
    weights: NDArray[np.float32] = np.clip(ratio, 1 / bound, bound).astype(np.float32)
    return weights


def _batches(rng: np.random.Generator, *, num_windows: int, config: RecipeConfig) -> list[NDArray[np.int64]]:
    wanted = config.num_steps * config.batch_windows
    passes = [rng.permutation(num_windows) for _ in range(-(-wanted // num_windows))]
    return np.split(np.concatenate(passes)[:wanted], config.num_steps)


def _start_head_at_prior(head: torch.nn.Linear, targets: NDArray[np.bool_]) -> None:
    # From the prior odds the loss starts at its floor, and rare activities are not first unlearned.
    prior = np.clip(targets.mean(axis=0), 0.01, 0.99)
    with torch.no_grad():
        head.bias.copy_(torch.from_numpy(np.log(prior / (1 - prior)).astype(np.float32)))


def _parameter_groups(vlm: TrainableVlm, *, weight_decay: float) -> list[dict[str, object]]:
    trained = [parameter for parameter in vlm.model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim > 1]
    others = [parameter for parameter in trained if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": [*others, *vlm.head.parameters()], "weight_decay": 0.0},
    ]
