"""Config sections about checkpoints: which one, on which device, how much at once, and how one is adapted. No torch."""

from collections.abc import Mapping
from enum import Enum

from pydantic import Field

from nrray.config import Section

EMBEDDED = "embedded"
EMBEDDED_BASE = "embedded-base"
PACKAGED_FOLDERS: Mapping[str, str] = {EMBEDDED: "embedded", EMBEDDED_BASE: "embedded_base"}  # beside this file


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


class LoraTargets(str, Enum):
    """Which linears of the language model are adapted."""

    ALL_LINEAR = "all_linear"  # better than attention alone at equal size: Schulman et al. 2025
    QUERY_VALUE = "query_value"  # the study's


class LoraSection(Section):
    """How a checkpoint is adapted. Its language model is; tower and projector where it is asked for."""

    rank: int = Field(default=16, ge=1, le=1024, description="of the adapter's matrices")
    alpha_per_rank: float = Field(default=2.0, gt=0, description="alpha is this times the rank")
    rank_stabilized: bool = Field(default=False, description="alpha / sqrt(rank) for alpha / rank (rsLoRA)")
    weight_decomposed: bool = Field(default=False, description="DoRA: direction and length of weights apart; slower")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="above 0, a run depends on its number of workers")
    targets: LoraTargets = LoraTargets.ALL_LINEAR
    adapt_tower: bool = Field(default=False, description="the linears of the vision tower too")
    train_projector: bool = Field(default=False, description="the projector's own weights are trained, not adapted")
