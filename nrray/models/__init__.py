"""Local vision-language models: a unit's frames and windows in, labels per window and activity out.

Cheap to import: torch and transformers come in with the first labeler.
"""

import os

# Before any Hugging Face library is imported: no look-up, no telemetry, in every process that uses a model.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from nrray.errors import LabelMemoryError
from nrray.models.config import CheckpointChoice, Device, Dtype, Execution, ModelConfig
from nrray.models.device_loss import is_device_lost
from nrray.models.labeler import Labeler, ModelInfo, check_sampling
from nrray.models.measure import LabelerFigures, measure_labeler
from nrray.models.metadata import CheckpointMetadata, Pooling, read_metadata
from nrray.models.resolved import CheckpointKind, ResolvedCheckpoint, ResolvedModel, resolve_checkpoint
from nrray.models.strategies import Strategy, resolve_model, resolve_strategy, strategy_of_release_before
from nrray.models.strategies.head import HeadStrategy
from nrray.models.strategies.judge import FocusedJudgeStrategy, JudgeStrategy
from nrray.models.strategies.judge_json import JudgeJsonStrategy
from nrray.models.strategies.judged import JudgedStrategy
from nrray.models.strategies.yes_no import YesNoStrategy

__all__ = [
    "CheckpointChoice",
    "CheckpointKind",
    "CheckpointMetadata",
    "Device",
    "Dtype",
    "Execution",
    "FocusedJudgeStrategy",
    "HeadStrategy",
    "JudgeJsonStrategy",
    "JudgeStrategy",
    "JudgedStrategy",
    "LabelMemoryError",
    "Labeler",
    "LabelerFigures",
    "ModelConfig",
    "ModelInfo",
    "Pooling",
    "ResolvedCheckpoint",
    "ResolvedModel",
    "Strategy",
    "YesNoStrategy",
    "check_sampling",
    "is_device_lost",
    "measure_labeler",
    "read_metadata",
    "resolve_checkpoint",
    "resolve_model",
    "resolve_strategy",
    "strategy_of_release_before",
]
