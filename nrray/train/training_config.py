"""Config sections of a training: how a model is trained, whichever it is, and its new parts. No torch."""

import math
from typing import Annotated, Literal

from pydantic import Field

from nrray.config import Section
from nrray.models.config import TowerLearning
from nrray.models.metadata import Pooling
from nrray.train.objective import BinaryCrossEntropy, Objective

Auto = Literal["auto"]
Steps = Annotated[int, Field(ge=1)] | Auto
Rate = Annotated[float, Field(gt=0)] | Auto


class AugmentConfig(Section):
    """How far windows are changed; every amount is drawn evenly between its two ends."""

    flip_fraction: float = Field(default=0.5, ge=0, le=1, description="share of windows that are mirrored")
    max_turn_degrees: float = Field(default=20.0, ge=0, description="either way")
    max_zoom: float = Field(default=0.25, ge=0, description="in or out, natural logarithm of the factor")
    max_shift: float = Field(default=0.12, ge=0, description="either way, as a share of the frame's side")
    max_hue_degrees: float = Field(default=180.0, ge=0, description="either way")
    max_gain: float = Field(default=0.35, ge=0, description="of saturation, contrast and each colour, relative")
    max_light: float = Field(default=0.1, ge=0, description="added to all pixels, as a share of white")
    max_gamma: float = Field(default=0.5, ge=0, description="natural logarithm of the exponent of light, either way")
    invert_fraction: float = Field(
        default=0.2, ge=0, le=1, description="share of windows whose light is turned to dark"
    )
    max_sharpness: float = Field(default=0.8, ge=0, description="from blurred (-) to sharpened (+)")
    max_noise: float = Field(default=0.03, ge=0, description="standard deviation of every pixel, as a share of white")

    def times(self, strength: float) -> "AugmentConfig":
        """All amounts times `strength`, as far as they have a meaning: no more than half of the windows need a mirror, no hue is
        further than 180 degrees, and a gain of 1 would leave nothing."""
        amounts = {name: strength * amount for name, amount in self.model_dump().items()}
        return AugmentConfig(
            **{
                **amounts,
                "flip_fraction": self.flip_fraction * min(1.0, strength),
                "invert_fraction": self.invert_fraction * min(1.0, strength),
                "max_hue_degrees": min(180.0, amounts["max_hue_degrees"]),
                "max_gain": min(max(0.9, self.max_gain), amounts["max_gain"]),
            }
        )


class TrainingConfig(Section):
    """How it is trained. What is `auto` is decided by the examples and by where the training starts: `resolved_training`."""

    seed: int = Field(default=0, ge=0, description="of weights, order, shifts in time and augmentation")
    num_steps: Steps = Field(
        default="auto", description="optimizer steps at most; fewer where validation gets no better (patience)"
    )
    batch_windows: int = Field(default=16, ge=1, description="windows of an optimizer step, over all workers")
    micro_batch_windows: int = Field(default=8, ge=1, description="of a worker at once; halved when memory runs out")
    learning_rate: Rate = Field(default="auto", description="of the language model's adapter")
    head_learning_rate: Rate = Field(default="auto", description="of the head")
    tower_learning_rate: Rate = Field(default="auto", description="of what learns in the tower")
    projector_learning_rate: Rate = Field(default="auto", description="of the projector, where it learns")
    full_learning_rate: Rate = Field(default="auto", description="of a model that is trained whole")
    head_first_steps: Annotated[int, Field(ge=0)] | Auto = Field(
        default="auto", description="in which the head alone learns; auto: a tenth of the steps where it is a fresh one"
    )
    unfreezing_fraction: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the training, over which its layers begin to learn, last first; not from scratch",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="of matrices (AdamW)")
    warmup_fraction: float = Field(
        default=0.05, ge=0, lt=1, description="of the steps, in which a rate rises to its peak"
    )
    decay_fraction: float = Field(
        default=0.2, ge=0, le=1, description="of the steps made, the last ones, in which rates fall to 0"
    )
    gradient_norm: float = Field(default=1.0, gt=0, description="gradients are clipped to this norm")
    objective: Objective = BinaryCrossEntropy()
    average_decay: float = Field(default=0.98, ge=0, lt=1, description="of the moving average that is kept; 0: none")
    gradient_checkpointing: bool = Field(default=False, description="less memory, a third more work")
    compile_layers: bool = Field(
        default=False, description="torch.compile: minutes at the start, then faster; needs g++"
    )
    min_positive_share: float = Field(
        default=0.2, ge=0, lt=1, description="of an activity in the windows that are shown; 0: as rare as it is"
    )
    min_positive_windows: int = Field(
        default=10, ge=1, description="of each activity in the train split, fewer are refused"
    )
    max_jitter_seconds: float = Field(default=0.5, ge=0, description="windows are moved in time, either way")
    augment_strength: float = Field(
        default=1.0, ge=0, description="all amounts of augment are multiplied by it; 0: none"
    )
    augment: AugmentConfig = AugmentConfig(
        max_turn_degrees=10.0,
        max_zoom=0.15,
        max_shift=0.08,
        max_hue_degrees=18.0,
        max_gain=0.2,
        max_gamma=0.2,
        invert_fraction=0.0,
    )
    validate_every_steps: Steps = Field(default="auto", description="and at the end; auto: a twelfth of the steps")
    patience: int = Field(
        default=5, ge=1, description="validations without a better macro F1, then rates fall to 0 and it ends"
    )
    checkpoint_every_steps: int = Field(default=50, ge=1, description="at most so many steps are lost by a crash")
    loader_processes: Annotated[int, Field(ge=0, le=64)] | Auto = Field(
        default="auto", description="of each worker, that prepare batches; 0: itself; auto: up to 8 where it has a GPU"
    )


class ResolvedTraining(TrainingConfig):
    """A TrainingConfig of which nothing that decides the result is `auto`: what a training is given."""

    num_steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    head_learning_rate: float = Field(gt=0)
    tower_learning_rate: float = Field(gt=0)
    projector_learning_rate: float = Field(gt=0)
    full_learning_rate: float = Field(gt=0)
    head_first_steps: int = Field(ge=0)
    validate_every_steps: int = Field(ge=1)


AUTO_EPOCHS, AUTO_STEPS = 30, (200, 600)


def resolved_training(
    config: TrainingConfig,
    *,
    num_windows: int,
    has_own_head: bool,
    is_from_scratch: bool,
    is_large: bool = False,
    tower: TowerLearning = TowerLearning.LAST_BLOCKS,
) -> ResolvedTraining:
    """The config with a number for each `auto`. num_windows: to train on; has_own_head: the head is the checkpoint's own, and
    not a fresh one; is_large: the language model; tower: how it learns.

    Steps: 30 passes over the windows, within 200 and 600; more are wasted on few windows, and patience ends it sooner.
    Rates: a low-rank adapter learns best at ten times the rate of a whole model, and a large model at smaller ones (Schulman et
    al. 2025); a tower's features are worth keeping, so that its own weights move at a third of an adapter's rate. A fresh head
    learns alone at first, or its random gradients would wreck the features that it is to read (Kumar et al. 2022); layers
    that are random themselves have nothing to keep.
    """
    least, most = AUTO_STEPS
    wanted = min(most, max(least, math.ceil(AUTO_EPOCHS * num_windows / config.batch_windows)))
    num_steps = wanted if config.num_steps == "auto" else config.num_steps
    adapter_rate = 2e-4 if is_large else 1e-3
    own_rate = 3e-5 if is_large else 3e-4
    chosen = {
        "num_steps": num_steps,
        "learning_rate": adapter_rate,
        "head_learning_rate": 1e-3 if has_own_head else 3e-3,
        "tower_learning_rate": adapter_rate if tower is TowerLearning.ADAPTER else own_rate,
        "projector_learning_rate": 1e-4 if is_large else 1e-3,
        "full_learning_rate": 5e-4 if is_from_scratch else 1e-4,
        "head_first_steps": 0 if has_own_head or is_from_scratch else num_steps // 10,
        "validate_every_steps": max(1, num_steps // 12),
    }
    given = config.model_dump()
    return ResolvedTraining.model_validate(
        {**given, **{name: value for name, value in chosen.items() if given[name] == "auto"}}
    )


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
