"""Local vision-language models: a unit's frames and windows in, labels per window and activity out.

Cheap to import: torch and transformers come in with the first `load_labeler` or `measure_labeler`.
"""

import os

# Before any Hugging Face library is imported: no look-up, no telemetry, in every process that uses a model.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from nrray.errors import LabelMemoryError
from nrray.models.config import Device, Dtype, ModelConfig
from nrray.models.labeler import (
    Labeler,
    ModelInfo,
    ModelKind,
    check_sampling,
)
from nrray.models.loading import is_device_lost, load_labeler, measure_labeler
from nrray.models.metadata import (
    Artefact,
    Pooling,
    described_folder,
    labeler_digest,
    model_digest,
    read_artefact,
    read_sampling,
    resolve_model_path,
)

__all__ = [
    "Artefact",
    "Device",
    "Dtype",
    "LabelMemoryError",
    "Labeler",
    "ModelConfig",
    "ModelInfo",
    "ModelKind",
    "Pooling",
    "check_sampling",
    "described_folder",
    "is_device_lost",
    "labeler_digest",
    "load_labeler",
    "measure_labeler",
    "model_digest",
    "read_artefact",
    "read_sampling",
    "resolve_model_path",
]
