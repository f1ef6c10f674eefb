"""Config sections about checkpoints: which one, on which device, how much at once, and what of it is trained how. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from nrray.config import Section
from nrray.errors import ConfigError

EMBEDDED = "embedded"
EMBEDDED_BASE = "embedded-base"
PACKAGED_FOLDERS: Mapping[str, str] = {EMBEDDED: "embedded", EMBEDDED_BASE: "embedded_base"}  # beside this file
TOWER_BLOCKS = 2
"""Last blocks of a tower that learn where no number is given: as many as the embedded model's own training changes."""


class Device(str, Enum):
    """Where the model runs. `auto` takes CUDA when there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Dtype(str, Enum):
    """In which number format the model runs. `auto` is bfloat16 on CUDA and float32 on a CPU."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    NF4 = "nf4"  # linears of the language model in 4 bits, all else in bfloat16 (QLoRA: Dettmers et al. 2023); bitsandbytes


def resolved_dtype(dtype: Dtype, *, on_gpu: bool) -> Dtype:
    """The number format that `auto` means on the devices at hand."""
    if dtype is not Dtype.AUTO:
        return dtype
    return Dtype.BFLOAT16 if on_gpu else Dtype.FLOAT32


class CheckpointChoice(Section):
    """Which checkpoint is used."""

    path: str = Field(default=EMBEDDED, min_length=1, description="'embedded', 'embedded-base', or a checkpoint folder")
    adapter: str | None = Field(
        default=None, min_length=1, description="folder of an adapter that was trained on the checkpoint in `path`"
    )


class Execution(Section):
    """How a checkpoint is run. Nothing here but `dtype` changes a score."""

    device: Device = Device.AUTO
    dtype: Dtype = Dtype.AUTO
    micro_batch_windows: int = Field(
        default=8, ge=1, le=4096, description="windows per forward; halved when CUDA runs out of memory"
    )
    num_threads: int = Field(default=1, ge=1, le=1024, description="torch threads of a labeler that runs on CPU")


class ModelConfig(Execution, CheckpointChoice):
    """Which checkpoint is used, and how it is run."""


class TowerLearning(str, Enum):
    """What learns of the part that sees: a vision tower, or all of a video encoder."""

    FROZEN = "frozen"
    NORMS = "norms"  # weights and biases of its normalization layers; running statistics stay
    ADAPTER = "adapter"  # matrices beside its linears and convolutions
    LAST_BLOCKS = "last_blocks"  # all weights but depthwise kernels of its last blocks, and of what stands behind them
    WHOLE = "whole"


class ProjectorLearning(str, Enum):
    """What learns of the layers between tower and language model."""

    FROZEN = "frozen"
    ADAPTER = "adapter"  # matrices beside its linears
    WHOLE = "whole"


class LanguageModelLearning(str, Enum):
    """What learns of the language model."""

    FROZEN = "frozen"
    NORMS = "norms"
    ADAPTER = "adapter"  # matrices beside its linears, as `adapter.targets` says


@dataclass(frozen=True, kw_only=True)
class ResolvedParts:
    """What learns of each part of a model; nothing is left open. tower_blocks: how many of the tower's last blocks do, None
    where the tower does not learn by blocks. A video encoder is a tower alone: its other parts are frozen."""

    tower: TowerLearning
    tower_blocks: int | None = None
    projector: ProjectorLearning = ProjectorLearning.FROZEN
    language_model: LanguageModelLearning = LanguageModelLearning.FROZEN

    def __post_init__(self) -> None:
        if (self.tower is TowerLearning.LAST_BLOCKS) != (self.tower_blocks is not None):
            raise ConfigError(
                f"parts: found tower={self.tower.value} and tower_blocks={self.tower_blocks}. A number of blocks goes with "
                f"tower=last_blocks, and with nothing else. Leave tower_blocks out, or set tower=last_blocks."
            )

    @property
    def is_frozen(self) -> bool:
        """Whether no part learns, so that a head alone does."""
        return {self.tower.value, self.projector.value, self.language_model.value} == {"frozen"}

    def document(self) -> dict[str, JsonValue]:
        """As JSON, with the keys of the section."""
        return {
            "tower": self.tower.value,
            "tower_blocks": self.tower_blocks,
            "projector": self.projector.value,
            "language_model": self.language_model.value,
        }

    def text(self) -> str:
        """What learns, in words."""
        if self.is_frozen:
            return "nothing"
        blocks = "" if self.tower_blocks is None else f" ({self.tower_blocks})"
        named = {
            "tower": f"{self.tower.value}{blocks}",
            "projector": self.projector.value,
            "language model": self.language_model.value,
        }
        learning = {name: value.replace("_", " ") for name, value in named.items() if value != "frozen"}
        return ", ".join(f"{name}: {value}" for name, value in learning.items())


class PartsSection(Section):
    """Which parts of the model learn. auto: chosen for the checkpoint."""

    tower: Literal["auto"] | TowerLearning = Field(
        default="auto", description="the part that sees; in last_blocks, depthwise convolutions stay frozen"
    )
    tower_blocks: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        default="auto", description="how many of the tower's last blocks learn, with last_blocks"
    )
    projector: Literal["auto"] | ProjectorLearning = Field(
        default="auto", description="the layers between tower and language model"
    )
    language_model: Literal["auto"] | LanguageModelLearning = Field(default="auto", description="of a VLM")

    @model_validator(mode="after")
    def _check_blocks(self) -> "PartsSection":
        is_other = isinstance(self.tower, TowerLearning) and self.tower is not TowerLearning.LAST_BLOCKS
        if self.tower_blocks != "auto" and is_other:
            raise ValueError(
                f"tower_blocks={self.tower_blocks} has no effect with tower={TowerLearning(self.tower).value}. Leave it out, "
                f"or set tower=last_blocks"
            )
        return self

    def resolved(self, defaults: ResolvedParts) -> ResolvedParts:
        """The section with what it leaves to `auto` taken from `defaults`. Raises ConfigError where tower_blocks has no effect
        then."""
        tower = defaults.tower if self.tower == "auto" else self.tower
        default_blocks = (defaults.tower_blocks or TOWER_BLOCKS) if tower is TowerLearning.LAST_BLOCKS else None
        return ResolvedParts(
            tower=tower,
            tower_blocks=default_blocks if self.tower_blocks == "auto" else self.tower_blocks,
            projector=defaults.projector if self.projector == "auto" else self.projector,
            language_model=defaults.language_model if self.language_model == "auto" else self.language_model,
        )


class LoraTargets(str, Enum):
    """Which linears of the language model get an adapter; in tower and projector all do."""

    ALL_LINEAR = "all_linear"  # better than attention alone at equal size: Schulman et al. 2025
    QUERY_VALUE = "query_value"  # the study's


class LoraSection(Section):
    """The adapter of the parts that learn by one."""

    rank: int = Field(default=16, ge=1, le=1024, description="of the adapter's matrices")
    alpha_per_rank: float = Field(default=2.0, gt=0, description="alpha is this times the rank")
    rank_stabilized: bool = Field(default=False, description="alpha / sqrt(rank) for alpha / rank (rsLoRA)")
    weight_decomposed: bool = Field(default=False, description="DoRA: direction and length of weights apart; slower")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="above 0, a run depends on its number of workers")
    targets: LoraTargets = LoraTargets.ALL_LINEAR
