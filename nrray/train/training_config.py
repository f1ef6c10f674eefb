"""The `training` section: how a model is trained, whichever it is."""

import math

from pydantic import Field

from nrray.config import Section
from nrray.train.augment import AugmentConfig
from nrray.train.objective import BinaryCrossEntropy, Objective


class TrainingConfig(Section):
    """How it is trained. Learning rates: Schulman et al. 2025 for adapters; heads and towers as their ratios are in use."""

    seed: int = Field(default=0, ge=0, description="of weights, order, moves and looks")
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
    max_jitter_seconds: float = Field(default=0.5, ge=0, description="windows are moved in time, either way")
    augment: AugmentConfig = AugmentConfig(
        max_turn_degrees=10.0, max_zoom=0.15, max_shift=0.08, max_hue_degrees=18.0, max_gain=0.2
    )
    validate_every_steps: int = Field(default=100, ge=1, description="and at the end")
    patience: int = Field(default=5, ge=1, description="validations without a better macro F1, then it stops")
    checkpoint_every_steps: int = Field(default=50, ge=1, description="what a crash costs at most")
    loader_processes: int = Field(default=0, ge=0, le=64, description="of each worker, that prepare batches; 0: itself")

    def num_steps(self, num_windows: int) -> int:
        """Optimizer steps, unless it stops early."""
        return max(1, math.ceil(self.num_epochs * num_windows / self.batch_windows))

    def rate_share(self, step: int, num_steps: int) -> float:
        """Learning rate of a step as a share of its peak."""
        warmup = round(self.warmup_fraction * num_steps)
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup)))
