"""What is fine-tuned: a checkpoint with an adapter beside its linears and a head behind it, as one module."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nrray.errors import ConfigError, ModelError
from nrray.labels import LabelSet
from nrray.models.adapters import add_adapter
from nrray.models.checkpoint import load_checkpoint, torch_device, torch_dtype
from nrray.models.config import Dtype, Execution, LoraSection
from nrray.models.families import TuningMethod
from nrray.models.families.family import LoadedCheckpoint, WindowProcessor
from nrray.models.frame_stacking import FrameStacking, stacked
from nrray.models.head import Head, add_query, load_head, save_head
from nrray.models.metadata import CheckpointMetadata, trained_labels
from nrray.models.resolved import ResolvedCheckpoint
from nrray.sampling import Sampling
from nrray.train.trainee.module import TunedModule
from nrray.train.trainee.timesformer import READABLE, TunedClassifier, fresh_timesformer
from nrray.train.training_config import HeadSection, TimesformerSection, TrainingConfig
from nrray.types import Frames

QUESTION = "Which activities are going on?"


@dataclass(frozen=True, kw_only=True)
class WindowInputs:
    """(B, F, H, W, 3) uint8 windows to the model's tensors, as they are made when it labels. Knows no weights."""

    processor: WindowProcessor
    question: str
    frame_stacking: FrameStacking
    frames_per_second: float

    def __call__(self, windows: NDArray[np.uint8]) -> dict[str, torch.Tensor]:
        num_windows, num_frames = windows.shape[:2]
        times = np.zeros(num_windows, np.int64)
        frames = Frames(
            pixels=windows.reshape(-1, *windows.shape[2:]),
            pts_us=np.zeros(num_windows * num_frames, np.int64),
            window_frames=np.arange(num_windows * num_frames, dtype=np.int32).reshape(num_windows, num_frames),
            window_start_us=times,
            window_end_us=times,
            frames_per_second=self.frames_per_second,
        )
        shown = stacked(frames, self.frame_stacking)
        return self.processor.tensors(
            [shown.pixels[rows] for rows in shown.window_frames],
            question=self.question,
            frames_per_second=shown.frames_per_second,
        )


class TunedVlm(TunedModule):
    """A checkpoint with an adapter beside its linears; what is not trained is frozen."""

    def __init__(self, checkpoint: LoadedCheckpoint, adapted: Any, head: Head) -> None:
        super().__init__(checkpoint, head)
        self.adapted = adapted

    def train(self, mode: bool = True) -> "TunedVlm":
        """As every module, but a tower stays as it labels: its statistics are not of these few videos."""
        super().train(mode)
        self._checkpoint.model.get_encoder(modality="image").eval()
        return self

    def part_of(self, name: str) -> str:
        """Of a trained tensor: head, tower, projector or adapter."""
        if name.startswith("head."):
            return "head"
        if "modules_to_save" in name:
            return "projector"
        tower = {id(parameter) for parameter in self._checkpoint.model.get_encoder(modality="image").parameters()}
        return "tower" if id(self.get_parameter(name)) in tower else "adapter"

    def save(self, folder: Path) -> None:
        """Write adapter and head as they are loaded for labelling."""
        self.adapted.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's form, not filled in
        save_head(self.head, folder)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A model that is ready to be trained, and its inputs. base: the checkpoint that an adapter needs; None where
    the model is trained whole; dtype: in which it computes; cuts, temperatures: (A,) logits above which
    it says yes, and what they are divided by for scores, before it is trained."""

    module: TunedModule
    inputs: WindowInputs
    base: ResolvedCheckpoint | None
    dtype: torch.dtype
    cuts: NDArray[np.float64]
    temperatures: NDArray[np.float64]


def tuned_model(
    start: ResolvedCheckpoint | TimesformerSection,
    *,
    execution: Execution,
    adapter: LoraSection,
    head: HeadSection,
    label_set: LabelSet,
    sampling: Sampling,
    log_odds: torch.Tensor,
    config: TrainingConfig,
) -> Tuning:
    """The checkpoint to start from, with a fresh adapter or, a TimeSformer, to be trained whole; or a fresh TimeSformer.

    The head is the checkpoint's own where it has one for these activities that reads the same, else a fresh one whose bias
    is the (A,) log_odds. Raises ConfigError, ModelError.
    """
    torch.manual_seed(config.seed)
    if execution.dtype is Dtype.NF4 and torch_device(execution.device).type == "cpu":
        raise ConfigError(
            "model.dtype: found nf4 and no GPU. In 4 bits a model is trained on CUDA alone, as bitsandbytes has no gradients on "
            "a CPU. Set it to auto."
        )
    resolved = start if isinstance(start, ResolvedCheckpoint) else None
    if isinstance(start, TimesformerSection):
        checkpoint = fresh_timesformer(start, sampling, execution, seed=config.seed)
    else:
        # What is trained whole keeps 32-bit weights: steps smaller than a 16-bit weight's last digit would be lost.
        weights = Dtype.FLOAT32 if start.family.tuning is TuningMethod.WHOLE else execution.dtype
        checkpoint = load_checkpoint(start, execution=execution.model_copy(update={"dtype": weights}))
    base = resolved.metadata if resolved is not None else None
    placed = _placed_head(checkpoint, resolved, head, label_set, log_odds)
    is_whole = resolved is None or resolved.family.tuning is TuningMethod.WHOLE
    if is_whole:
        if head.pooling not in READABLE:
            raise ConfigError(
                f"head.pooling: found {head.pooling.value}, expected one of {', '.join(p.value for p in READABLE)} for a "
                f"TimeSformer: it has no prompt."
            )
        unfreezing = 0.0 if resolved is None else config.unfreezing_fraction
        module: TunedModule = TunedClassifier(checkpoint, placed, unfreezing=unfreezing)
    else:
        adapted = add_adapter(checkpoint.model, adapter)
        if not adapter.adapt_tower:
            checkpoint.family.optimize_tower(checkpoint)
        add_query(checkpoint.model, placed)
        module = TunedVlm(checkpoint, adapted, placed)
    cuts, temperatures = _cuts(base, head, label_set)
    if config.gradient_checkpointing:
        checkpoint.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return Tuning(
        module=module,
        inputs=WindowInputs(
            processor=checkpoint.family.window_processor(checkpoint),
            question=base.prompt if base is not None else QUESTION,
            frame_stacking=base.frame_stacking if base is not None else FrameStacking.FRAMES,
            frames_per_second=sampling.frames_per_second,
        ),
        base=None if is_whole else resolved,
        dtype=torch_dtype(execution.dtype, checkpoint.device),
        cuts=cuts,
        temperatures=temperatures,
    )


def _cuts(
    base: CheckpointMetadata | None, section: HeadSection, label_set: LabelSet
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cuts and temperatures of the checkpoint's own head; of a fresh one, whose loss weighs yes and no alike, 0 and 1."""
    if base is None or not _reads_the_same(base, section, label_set):
        return np.zeros(len(label_set.names)), np.ones(len(label_set.names))
    thresholds = np.array([base.thresholds[name] for name in label_set.names])
    temperatures = np.array([base.temperatures.get(name, 1.0) for name in label_set.names])
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
    base = start.metadata if start is not None else None
    if start is not None and base is not None and _reads_the_same(base, section, label_set):
        head = load_head(start.head_folder, metadata=base, hidden_size=hidden_size).requires_grad_(True)
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


def check_gradients(module: TunedModule) -> None:
    """Raise ModelError where something that is to be trained had no part in the loss."""
    without = [name for name, parameter in module.trained().items() if parameter.grad is None]
    if without:
        raise ModelError(
            f"{len(without)} tensors that are to be trained got no gradient, such as {without[0]}: they have no part in the "
            f"scores. Adapt other layers (adapter.targets, adapter.adapt_tower, adapter.train_projector)."
        )


def _reads_the_same(base: CheckpointMetadata, head: HeadSection, label_set: LabelSet) -> bool:
    is_same = base.pooling is head.pooling and base.hidden_units == head.hidden_units
    return is_same and base.labels == trained_labels(label_set)
