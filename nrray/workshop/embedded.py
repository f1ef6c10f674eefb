"""Builds the embedded model: a small vision-language model and a head that reads the frames.

In: the tower's weights, a label set and a seed. Out: model, processor and head, untrained. Knows no data and no recipe.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nrray.labels import LabelSet
from nrray.models.frame_stacking import FrameStacking
from nrray.models.head import Head, save_head
from nrray.models.metadata import CheckpointMetadata, Pooling, write_metadata
from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.workshop.vlm import CAPTION_PROMPT, FRAME_STACKING, TEXT_WIDTH, TrainableVlm, fresh_vlm, save_vlm

PROMPT = "Which activities are going on?"
POOLING = Pooling.MEAN_FRAMES


@dataclass(frozen=True, kw_only=True)
class HeadedVlm(TrainableVlm):
    """A model with a head."""

    head: Head


def embedded_vlm(
    *,
    tower_file: Path,
    label_set: LabelSet,
    captions: Sequence[str],
    sampling: Sampling,
    seed: int,
    frame_stacking: FrameStacking = FRAME_STACKING,
) -> HeadedVlm:
    """The embedded model before its training; the tower holds the weights in `tower_file`, the tokenizer knows the
    words of label set and captions. Raises ModelError."""
    vlm = fresh_vlm(
        tower_file=tower_file,
        sentences=[*embedded_sentences(label_set), *captions],
        sampling=sampling,
        seed=seed,
        frame_stacking=frame_stacking,
    )
    head = Head(hidden_size=TEXT_WIDTH, num_activities=len(label_set.names), pooling=POOLING)
    return HeadedVlm(**{**vars(vlm), "head": head})


def save_embedded(vlm: HeadedVlm, folder: Path, *, metadata: CheckpointMetadata, dtype: torch.dtype) -> None:
    """Write model (in `dtype`), processor, head (float32) and `nrray.json` into `folder`."""
    save_vlm(vlm, folder, inputs=metadata.inputs, dtype=dtype)
    save_head(vlm.head, folder).chmod(0o644)
    write_metadata(metadata, folder).chmod(0o644)


def embedded_sentences(label_set: LabelSet) -> Iterator[str]:
    """All that is said about activities, for the tokenizer's vocabulary."""
    for activity in label_set.activities:
        yield activity.name.replace("_", " ")
        yield from (text for text in (activity.definition, activity.starts, activity.ends) if text is not None)
        for answer in ("yes", "no", "Yes", "No", "Yes.", "No."):
            yield f"{activity.question} {INSTRUCTION} {answer}"
            yield answer  # as a turn of its own it has no blank before it
    yield PROMPT
    yield CAPTION_PROMPT
