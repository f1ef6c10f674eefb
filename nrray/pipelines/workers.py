"""Config sections of the workers that a verb asks for. Apart from `on_ray`, so that reading a config imports no Ray."""

from typing import Annotated, Literal

from pydantic import Field

from nrray.config import Section

Count = Annotated[int, Field(ge=1)] | Literal["auto"]


class Pools(Section):
    """How many workers of each kind. `auto`: a decoder per CPU, a labeler per GPU, or per CPU where there is no GPU. Judges are
    there where a language model judges captions."""

    decoders: Count = Field("auto", description="auto: one per CPU")
    labelers: Count = Field("auto", description="auto: one per GPU, or per CPU where there is no GPU")
    judges: Count = Field("auto", description="auto: as labelers; they share the GPUs with them")
    judge_units: int = Field(4, ge=1, le=64, description="units whose captions a judge reads together")
    decoder_memory_mib: int = Field(768, ge=64, description="of a node's memory, reserved by each decoder")
    labeler_memory_mib: int = Field(1536, ge=64, description="of a node's memory, reserved by each labeler")
    judge_memory_mib: int = Field(1536, ge=64, description="of a node's memory, reserved by each judge")
    stall_timeout_seconds: int = Field(
        1800, ge=30, description="without any progress for so long, the run ends with an error instead of hanging"
    )


class WorkersConfig(Section):
    """Processes that train together. `auto`: one per GPU; where there is none one per CPU, as far as a step has micro-batches for
    them and memory holds them."""

    num_workers: Count = Field("auto", description="processes, each with a GPU where there are some")
    min_workers: int | None = Field(
        None, ge=1, description="go on with so many where nodes are lost; None: with all or none"
    )
    cpus_per_worker: float = Field(1.0, gt=0, description="reserved by each worker")
    start_timeout_seconds: int = Field(
        600, ge=10, description="workers that the cluster has no room for are waited for so long, in all"
    )
    max_failures: int = Field(3, ge=0, description="lost workers are replaced so often, from the last checkpoint")
    decoders: Count = Field("auto", description="processes that extract frames; auto: one per CPU")
    stall_timeout_seconds: int = Field(
        1800, ge=30, description="without any frame for so long, extracting ends with an error"
    )
