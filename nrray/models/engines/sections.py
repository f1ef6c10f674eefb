"""Config sections of engines: what each needs, its identity and its loader. No torch; an engine comes in with its first load."""

from abc import abstractmethod
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue

from nrray.config import Section
from nrray.models.config import CheckpointChoice, Execution
from nrray.models.engines.engine import Engine
from nrray.models.resolved import ResolvedCheckpoint, ResolvedModel, local_checkpoint, resolve_checkpoint


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


def _with_kind(value: Any) -> Any:
    """A plain word is the kind of an engine without settings."""
    return {"kind": value} if isinstance(value, str) else value


EngineChoice = Annotated[TransformersSection, BeforeValidator(_with_kind)]
