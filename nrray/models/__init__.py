"""Local vision-language models: a unit's frames and windows in, labels per window and activity out.

Cheap to import: torch and transformers come in with the first `load_labeler` or `measure_labeler`.
"""

import os

# Before any Hugging Face library is imported: no look-up, no telemetry, in every process that uses a model.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from nrray.errors import LabelMemoryError
from nrray.models.config import CheckpointChoice, Device, Dtype, Execution, ModelConfig
from nrray.models.labeler import (
    Labeler,
    ModelInfo,
    ModelKind,
    check_sampling,
)
from nrray.models.loading import is_device_lost, load_labeler, measure_labeler
from nrray.models.metadata import CheckpointMetadata, Pooling, read_metadata
from nrray.models.resolved import CheckpointKind, ResolvedCheckpoint, resolve_checkpoint

__all__ = [
    "CheckpointChoice",
    "CheckpointKind",
    "CheckpointMetadata",
    "Device",
    "Dtype",
    "Execution",
    "LabelMemoryError",
    "Labeler",
    "ModelConfig",
    "ModelInfo",
    "ModelKind",
    "Pooling",
    "ResolvedCheckpoint",
    "check_sampling",
    "is_device_lost",
    "load_labeler",
    "measure_labeler",
    "read_metadata",
    "resolve_checkpoint",
]
