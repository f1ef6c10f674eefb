"""Config sections of engines: what each needs, its identity and its loader. No torch; an engine comes in with its first load."""

from abc import abstractmethod
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, JsonValue, Tag, field_validator

from nrray.config import Section
from nrray.errors import ConfigError
from nrray.models.config import EMBEDDED, CheckpointChoice, Execution
from nrray.models.engines import vllm_support
from nrray.models.engines.addresses import server_url
from nrray.models.engines.completions import RESERVED_FIELDS, SCORES_RULE, FramesForm, ImageFormat
from nrray.models.engines.engine import Engine
from nrray.models.resolved import ResolvedCheckpoint, ResolvedModel, local_checkpoint, resolve_checkpoint

MEMORY_SHARE = 0.9
"""Of a labeler's share of a GPU that vLLM takes; the rest is for what stands beside it, such as a judge's context."""


class EngineSection(Section):
    """Who runs the model that answers in words."""

    kind: str

    @abstractmethod
    def resolved(self, choice: CheckpointChoice, *, allow_remote: bool = False) -> ResolvedModel:
        """The model that will answer. allow_remote: whether frames may leave the house. Raises ConfigError, ModelError."""

    @abstractmethod
    def identity(self) -> JsonValue:
        """Everything of the engine that decides an answer, beside the model's digest."""

    @abstractmethod
    def loaded(self, model: ResolvedModel, *, execution: Execution) -> Engine:
        """The model, ready to answer. Raises ModelError."""

    @property
    def uses_device(self) -> bool:
        """Whether a labeler holds the weights, and so wants a GPU where there is one."""
        return True

    @property
    def needs_gpu(self) -> bool:
        """Whether it runs on GPUs alone."""
        return False

    def check_runs(self, execution: Execution) -> None:
        """Raise ModelError where it does not run a model as `execution` says."""

    def in_pool(self, gpus: float) -> "EngineSection":
        """The section for a labeler that has so much of a GPU, or so many. Raises ConfigError where it wants more."""
        return self


class TransformersSection(EngineSection):
    """A checkpoint that transformers runs in the labeler."""

    kind: Literal["transformers"] = Field("transformers", description="library or server that runs the model")

    def resolved(self, choice: CheckpointChoice, *, allow_remote: bool = False) -> ResolvedCheckpoint:
        """The checkpoint that `model` names."""
        return resolve_checkpoint(choice)

    def identity(self) -> JsonValue:
        """As `EngineSection` says."""
        return self.kind

    def loaded(self, model: ResolvedModel, *, execution: Execution) -> Engine:
        """As `EngineSection` says."""
        from nrray.models.engines.transformers import TransformersEngine  # torch takes seconds to import

        return TransformersEngine(local_checkpoint(model), execution=execution)


class VllmSection(EngineSection):
    """A checkpoint that vLLM runs in the labeler, on a GPU."""

    kind: Literal["vllm"] = Field("vllm", description="vLLM in the labeler, on a GPU; extra nrray[vllm]")
    memory_fraction: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = Field(
        "auto", description="of a GPU's memory, for weights and caches; auto: 0.9 of the labeler's share of a GPU"
    )
    context_tokens: int = Field(16384, ge=256, le=2**20, description="of a prompt, frames included, with its answer")
    concurrency: int = Field(64, ge=1, le=1024, description="questions that are answered at once")
    max_frames: int = Field(64, ge=1, le=1024, description="of a window, for which memory is set aside at the start")
    frame_cache_gib: float = Field(
        1.0, ge=0, le=64, description="of a node's memory, for frames that the next question about a window uses again"
    )

    @property
    def needs_gpu(self) -> bool:
        """vLLM from the package index is built for CUDA."""
        return True

    @property
    def gpu_memory_fraction(self) -> float:
        """Of one GPU's memory, for a labeler that has all of it where nothing else is said."""
        return MEMORY_SHARE if self.memory_fraction == "auto" else self.memory_fraction

    def check_runs(self, execution: Execution) -> None:
        """As `EngineSection` says."""
        vllm_support.check_runs(execution)

    def in_pool(self, gpus: float) -> "VllmSection":
        """As `EngineSection` says: memory_fraction as a number."""
        share = min(gpus, 1.0)
        if self.memory_fraction == "auto":
            return self.model_copy(update={"memory_fraction": round(MEMORY_SHARE * share, 4)})
        if self.memory_fraction > share:
            raise ConfigError(
                f"strategy.engine.memory_fraction: found {self.memory_fraction:g}, but a labeler has {share:g} of a GPU, which "
                f"other workers share. Set it to {MEMORY_SHARE * share:g} or less, leave it out, or add GPUs."
            )
        return self

    def resolved(self, choice: CheckpointChoice, *, allow_remote: bool = False) -> ResolvedCheckpoint:
        """The checkpoint that `model` names. Raises ModelError, also where vLLM is not here or does not run such a checkpoint."""
        vllm_support.check_installed()
        checkpoint = resolve_checkpoint(choice)
        vllm_support.check_checkpoint(checkpoint)
        return checkpoint

    def identity(self) -> JsonValue:
        """As `EngineSection` says."""
        return self.kind

    def loaded(self, model: ResolvedModel, *, execution: Execution) -> Engine:
        """As `EngineSection` says."""
        from nrray.models.engines.vllm import VllmEngine  # torch and vLLM take seconds to import

        return VllmEngine(self, local_checkpoint(model), execution=execution)


class OpenAiSection(EngineSection):
    """A model that a server has, in one's own house, with the chat completions of the OpenAI protocol: vLLM, SGLang, LMDeploy,
    llama.cpp, Ollama, `transformers serve`."""

    kind: Literal["openai"] = Field("openai", description="a server of the OpenAI protocol")
    url: str = Field(min_length=1, description="base of its routes, such as http://127.0.0.1:8000/v1")
    model: str | None = Field(None, min_length=1, description="name as served; None: the only one that it serves")
    frames: FramesForm = Field(
        FramesForm.IMAGES,
        description="images: each frame with its time, for every server; jpeg_sequence: one video, for vLLM and LMDeploy",
    )
    frame_times: bool = Field(
        default=True, description="each frame's time as text before it; false for a model that was taught without"
    )
    image_format: ImageFormat = Field(
        ImageFormat.PNG, description="of frames as images; a jpeg_sequence is JPEG always"
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="of frames as JPEG")
    top_logprobs: int = Field(20, ge=0, le=128, description="tokens whose probability is asked for; 0: no scores")
    concurrency: int = Field(8, ge=1, le=1024, description="questions of one labeler that are on their way at once")
    timeout_seconds: float = Field(120.0, gt=0, le=86400, description="for one answer")
    retries: int = Field(
        3, ge=0, le=20, description="of a question that could not be asked, or that an overload refused"
    )
    api_key_variable: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable of every node with the server's key",
    )
    extra_body: dict[str, JsonValue] = Field({}, description="more fields of a request, such as chat_template_kwargs")

    @field_validator("url")
    @classmethod
    def _base_of_routes(cls, url: str) -> str:
        try:
            return server_url(url)
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("strategy.engine.url: ")) from None

    @field_validator("extra_body")
    @classmethod
    def _own_fields_are_kept(cls, fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if reserved := sorted(RESERVED_FIELDS & fields.keys()):
            raise ValueError(f"found {', '.join(reserved)}, which nrray fills in itself. Leave that out")
        return fields

    @property
    def uses_device(self) -> bool:
        """No labeler holds weights."""
        return False

    def resolved(self, choice: CheckpointChoice, *, allow_remote: bool = False) -> ResolvedModel:
        """The server's model, which is asked two small questions."""
        if choice.path != EMBEDDED or choice.adapter is not None:
            raise ConfigError(
                f"model.path: found {choice.path}{f' with {choice.adapter}' if choice.adapter else ''} beside strategy.engine="
                f"openai, whose server has a model of its own. Leave model.path and model.adapter out, or the engine."
            )
        from nrray.models.engines.openai import served_model

        return served_model(self, allow_remote=allow_remote)

    def identity(self) -> JsonValue:
        """As `EngineSection` says: how frames are shown and probabilities read, wherever the server is."""
        is_jpeg = self.frames is FramesForm.JPEG_SEQUENCE or self.image_format is ImageFormat.JPEG
        return {
            "kind": self.kind,
            "frames": self.frames.value,
            "frame_times": self.frame_times,
            "image_format": f"jpeg {self.jpeg_quality}" if is_jpeg else self.image_format.value,
            "top_logprobs": self.top_logprobs,
            "scores": SCORES_RULE,
            "extra_body": self.extra_body,
        }

    def loaded(self, model: ResolvedModel, *, execution: Execution) -> Engine:
        """As `EngineSection` says. Nothing is sent yet: a server that is away then makes failed units, and ends no run."""
        from nrray.models.engines.openai import OpenAiEngine

        return OpenAiEngine(self, model)


def _kind(value: Any) -> str | None:
    if isinstance(value, Section):
        return str(getattr(value, "kind", None))
    return value.get("kind") if isinstance(value, dict) else None


def _with_kind(value: Any) -> Any:
    """A plain word is the kind of an engine without settings."""
    return {"kind": value} if isinstance(value, str) else value


EngineChoice = Annotated[
    Annotated[
        Annotated[TransformersSection, Tag("transformers")]
        | Annotated[VllmSection, Tag("vllm")]
        | Annotated[OpenAiSection, Tag("openai")],
        Discriminator(
            _kind,
            custom_error_type="engine_kind",
            custom_error_message="expected a kind of transformers, vllm or openai",
        ),
    ],
    BeforeValidator(_with_kind),
]
"""The engine of a prompted strategy; a plain word is one without settings."""
