"""From a checkpoint, or the size of a fresh one, to a trainee that is ready for the loop."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ConfigError
from nrray.labels import LabelSet
from nrray.models.checkpoint import load_checkpoint, torch_device, torch_dtype
from nrray.models.config import Dtype, Execution, LoraSection, ResolvedParts, TowerLearning
from nrray.models.families import FamilyEntry
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.frame_stacking import FrameStacking
from nrray.models.head import Head, load_head
from nrray.models.metadata import CheckpointMetadata, Pooling
from nrray.models.resolved import ResolvedCheckpoint
from nrray.sampling import Sampling
from nrray.train.start import check_pooling, family_of, has_own_head
from nrray.train.trainee.adapted import AdaptedModel
from nrray.train.trainee.frozen import FrozenModel
from nrray.train.trainee.timesformer import fresh_timesformer
from nrray.train.trainee.trainee import Trainee, TraineeSections
from nrray.train.trainee.whole import WholeEncoder
from nrray.train.trainee.window_inputs import WindowInputs
from nrray.train.training_config import HeadSection, TimesformerSection, TrainingConfig

QUESTION = "Which activities are going on?"


def question_of(label_set: LabelSet, pooling: Pooling) -> str:
    """The text of the user's turn of a checkpoint that states none: what the label set says of its activities, where the head
    reads the end of the prompt. Frame tokens stand before it, so that a head that pools them never sees it."""
    if pooling not in (Pooling.LAST, Pooling.QUERY):
        return QUESTION
    described = [
        f"{activity.name.replace('_', ' ')}: {activity.description}"
        for activity in label_set.activities
        if activity.description
    ]
    return " ".join([*described, QUESTION])


class TraineeClass(Protocol):
    """How a checkpoint and a head become a trainee."""

    def prepared(self, checkpoint: LoadedCheckpoint, head: Head, sections: TraineeSections) -> Trainee: ...


def trainee_class(parts: ResolvedParts, entry: FamilyEntry) -> TraineeClass:
    """The kind of trainee that lets these parts of a family's checkpoint learn."""
    if parts.is_frozen:
        return FrozenModel
    is_whole = parts.tower is TowerLearning.WHOLE and not entry.knows_words
    return WholeEncoder if is_whole else AdaptedModel


@dataclass(frozen=True, kw_only=True)
class PreparedTrainee:
    """A trainee and its inputs. base: the checkpoint that a saved adapter needs, None where the model is saved whole; dtype:
    of its arithmetic; cuts, temperatures: (A,) logits above which it says yes, and divisors of logits for scores, before it
    is trained."""

    module: Trainee
    inputs: WindowInputs
    base: ResolvedCheckpoint | None
    dtype: torch.dtype
    cuts: NDArray[np.float64]
    temperatures: NDArray[np.float64]


def prepared_trainee(
    start: ResolvedCheckpoint | TimesformerSection,
    *,
    execution: Execution,
    parts: ResolvedParts,
    adapter: LoraSection,
    head: HeadSection,
    label_set: LabelSet,
    sampling: Sampling,
    log_odds: torch.Tensor,
    config: TrainingConfig,
) -> PreparedTrainee:
    """The trainee of a checkpoint's family, or of a fresh TimeSformer.

    The head is the checkpoint's own where it has one for these activities that reads the same, else a fresh one whose bias
    is the (A,) log_odds. Raises ConfigError, ModelError.
    """
    torch.manual_seed(config.seed)
    _check_dtype(execution)
    check_pooling(head, start)
    trainee = trainee_class(parts, family_of(start))
    if isinstance(start, TimesformerSection):
        resolved, checkpoint = None, fresh_timesformer(start, sampling, execution, seed=config.seed)
        config = config.model_copy(update={"unfreezing_fraction": 0.0})  # random layers have nothing to keep
    else:
        # A model that is trained whole keeps 32-bit weights: steps below a 16-bit weight's last digit would be lost.
        weights = Dtype.FLOAT32 if trainee is WholeEncoder else execution.dtype
        resolved, checkpoint = start, load_checkpoint(start, execution=execution.model_copy(update={"dtype": weights}))
    own = resolved.metadata if resolved is not None else None
    given = resolved.inputs if resolved is not None else None
    stacking = given.frame_stacking if given is not None else FrameStacking.FRAMES
    checkpoint.family.check_window(checkpoint, num_frames=len(stacking.rows(sampling.frames_per_window)))
    placed = _placed_head(checkpoint, resolved, head, label_set, log_odds)
    sections = TraineeSections(parts=parts, adapter=adapter, training=config)
    module = trainee.prepared(checkpoint, placed, sections)
    cuts, temperatures = _cuts(own if has_own_head(start, head, label_set) else None, label_set)
    if config.gradient_checkpointing:
        checkpoint.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return PreparedTrainee(
        module=module,
        inputs=WindowInputs(
            processor=checkpoint.family.window_processor(checkpoint),
            question=given.prompt if given is not None else question_of(label_set, head.pooling),
            frame_stacking=stacking,
            frames_per_second=sampling.frames_per_second,
        ),
        base=resolved if module.needs_base else None,
        dtype=torch_dtype(execution.dtype, checkpoint.device),
        cuts=cuts,
        temperatures=temperatures,
    )


def _check_dtype(execution: Execution) -> None:
    if execution.dtype is Dtype.NF4 and torch_device(execution.device).type == "cpu":
        raise ConfigError(
            "model.dtype: found nf4 and no GPU. In 4 bits a model is trained on CUDA alone, as bitsandbytes has no gradients on "
            "a CPU. Set it to auto."
        )


def _cuts(own: CheckpointMetadata | None, label_set: LabelSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cuts and temperatures of the checkpoint's own head; of a fresh one, whose loss weighs yes and no alike, 0 and 1."""
    if own is None:
        return np.zeros(len(label_set.names)), np.ones(len(label_set.names))
    thresholds = np.array([own.thresholds[name] for name in label_set.names])
    temperatures = np.array([own.temperatures.get(name, 1.0) for name in label_set.names])
    cuts: NDArray[np.float64] = np.log(thresholds / (1 - thresholds)) * temperatures
    return cuts, temperatures


def _placed_head(
    checkpoint: LoadedCheckpoint,
    start: ResolvedCheckpoint | None,
    section: HeadSection,
    label_set: LabelSet,
    log_odds: torch.Tensor,
) -> Head:
    hidden_size = checkpoint.family.hidden_size(checkpoint.model)
    own = start.metadata if start is not None else None
    if start is not None and own is not None and has_own_head(start, section, label_set):
        head = load_head(start.head_folder, metadata=own, hidden_size=hidden_size).requires_grad_(True)
    else:
        head = Head(
            hidden_size=hidden_size,
            num_activities=len(label_set.names),
            pooling=section.pooling,
            hidden_units=section.hidden_units,
        )
        head.start_at(log_odds)
    placed: Head = head.to(checkpoint.device)
    return placed
