"""Config sections of a training: how a model is trained, whichever it is, and its new parts. No torch."""

import math
from typing import Annotated, Literal

from pydantic import Field

from nrray.config import Section
from nrray.models.metadata import Pooling
from nrray.train.objective import BinaryCrossEntropy, Objective


class AugmentConfig(Section):
    """How far windows are changed; every amount is drawn evenly between its two ends."""

    flip_fraction: float = Field(default=0.5, ge=0, le=1, description="share of windows that are mirrored")
    max_turn_degrees: float = Field(default=20.0, ge=0, description="either way")
    max_zoom: float = Field(default=0.25, ge=0, description="in or out, natural logarithm of the factor")
    max_shift: float = Field(default=0.12, ge=0, description="either way, as a share of the frame's side")
    max_hue_degrees: float = Field(default=180.0, ge=0, description="either way")
    max_gain: float = Field(default=0.35, ge=0, description="of saturation, contrast and each colour, relative")
    max_light: float = Field(default=0.1, ge=0, description="added to all pixels, as a share of white")
    max_sharpness: float = Field(default=0.8, ge=0, description="from blurred (-) to sharpened (+)")
    max_noise: float = Field(default=0.03, ge=0, description="standard deviation of every pixel, as a share of white")


class TrainingConfig(Section):
    """How it is trained. Learning rates: Schulman et al. 2025 for adapters; heads and towers as their ratios are in use."""

    seed: int = Field(default=0, ge=0, description="of weights, order, shifts in time and augmentation")
    num_epochs: float = Field(default=3.0, gt=0, description="passes over the windows")
    batch_windows: int = Field(default=16, ge=1, description="windows of an optimizer step, over all workers")
    micro_batch_windows: int = Field(default=8, ge=1, description="of a worker at once; halved when memory runs out")
    learning_rate: float = Field(default=2.0e-4, gt=0, description="of the adapter")
    head_learning_rate: float = Field(default=1.0e-3, gt=0, description="of the head")
    tower_learning_rate: float = Field(default=4.0e-5, gt=0, description="of the tower's adapter, where it has one")
    projector_learning_rate: float = Field(default=2.0e-5, gt=0, description="of the projector, where it is trained")
    full_learning_rate: float = Field(default=1.0e-4, gt=0, description="of a TimeSformer, which is trained whole")
    unfreezing_fraction: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the training, over which its layers begin to learn, last first; not from scratch",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="of matrices (AdamW)")
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1, description="share of the steps; then half a cosine to 0")
    gradient_norm: float = Field(default=1.0, gt=0, description="gradients are clipped to this norm")
    objective: Objective = BinaryCrossEntropy()
    average_decay: float = Field(default=0.99, ge=0, lt=1, description="of the moving average that is kept; 0: none")
    gradient_checkpointing: bool = Field(default=False, description="less memory, a third more work")
    compile_layers: bool = Field(
        default=False, description="torch.compile: minutes at the start, then faster; needs g++"
    )
    max_jitter_seconds: float = Field(default=0.5, ge=0, description="windows are moved in time, either way")
    augment: AugmentConfig = AugmentConfig(
        max_turn_degrees=10.0, max_zoom=0.15, max_shift=0.08, max_hue_degrees=18.0, max_gain=0.2
    )
    validate_every_steps: int = Field(default=100, ge=1, description="and at the end")
    patience: int = Field(default=5, ge=1, description="validations without a better macro F1, then it stops")
    checkpoint_every_steps: int = Field(default=50, ge=1, description="at most so many steps are lost by a crash")
    loader_processes: Annotated[int, Field(ge=0, le=64)] | Literal["auto"] = Field(
        default="auto", description="of each worker, that prepare batches; 0: itself; auto: up to 8 where it has a GPU"
    )

    def num_steps(self, num_windows: int) -> int:
        """Optimizer steps, unless it stops early."""
        return max(1, math.ceil(self.num_epochs * num_windows / self.batch_windows))

    def rate_share(self, step: int, num_steps: int) -> float:
        """Learning rate of a step as a share of its peak."""
        warmup = round(self.warmup_fraction * num_steps)
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup)))


class HeadSection(Section):
    """The classification head: the hidden states that it reads, and its layers."""

    pooling: Pooling = Field(default=Pooling.MEAN_FRAMES, description="which hidden states are read")
    hidden_units: int | None = Field(default=None, ge=1, description="of a hidden layer; None: one linear layer")


class TimesformerSection(Section):
    """A TimeSformer from scratch, for frames as they are sampled; the published one is 768 wide, 12 deep."""

    hidden_size: int = Field(default=192, ge=8)
    num_layers: int = Field(default=6, ge=1)
    num_heads: int = Field(default=3, ge=1)
    patch_px: int = Field(default=16, ge=2)
