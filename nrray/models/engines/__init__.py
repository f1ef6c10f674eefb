"""The registry of engines. A new one is a file beside this one and a line in `_IMPLEMENTATIONS`. No torch."""

from enum import Enum
from importlib import import_module

from nrray.models.config import Execution
from nrray.models.engines.engine import Engine
from nrray.models.resolved import ResolvedCheckpoint


class EngineKind(str, Enum):
    """Which library runs a model that answers in words."""

    TRANSFORMERS = "transformers"


_IMPLEMENTATIONS = {EngineKind.TRANSFORMERS: "transformers:TransformersEngine"}


def load_engine(kind: EngineKind, checkpoint: ResolvedCheckpoint, *, execution: Execution) -> Engine:
    """The checkpoint, ready to answer. Raises ModelError."""
    module, _, name = _IMPLEMENTATIONS[kind].partition(":")
    engine: Engine = getattr(import_module(f"{__name__}.{module}"), name)(checkpoint, execution=execution)
    return engine
