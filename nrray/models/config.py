"""The `model` section of configs: which checkpoint, on which device, how much at once."""

from enum import Enum

from pydantic import Field

from nrray.config import Section

EMBEDDED = "embedded"


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


def resolved_dtype(dtype: Dtype, *, on_gpu: bool) -> Dtype:
    """What `auto` means on the devices at hand."""
    if dtype is not Dtype.AUTO:
        return dtype
    return Dtype.BFLOAT16 if on_gpu else Dtype.FLOAT32


class ModelConfig(Section):
    """Which model labels, and how it is run. Nothing here but `path`, `adapter` and `dtype` changes a score."""

    path: str = Field(default=EMBEDDED, min_length=1, description="'embedded', or a checkpoint folder")
    adapter: str | None = Field(
        default=None, min_length=1, description="folder of an adapter that was trained on the checkpoint in `path`"
    )
    device: Device = Device.AUTO
    dtype: Dtype = Dtype.AUTO
    micro_batch_windows: int = Field(
        default=8, ge=1, le=4096, description="windows per forward; halved when CUDA runs out of memory"
    )
    num_threads: int = Field(default=1, ge=1, le=1024, description="torch threads of a labeler that runs on CPU")
