"""The strategy of one question about all activities, answered by a JSON object of truth values."""

import json
from importlib.util import find_spec
from typing import ClassVar, Literal

from pydantic import Field

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.resolved import ResolvedModel
from nrray.models.strategies.answers import OBJECT_PARSER, parse_object
from nrray.models.strategies.described import OneAnswerStrategy
from nrray.types import LabelState


class JsonStrategy(OneAnswerStrategy):
    """A vision-language model answers with an object of booleans; null is unsure."""

    parser: ClassVar[str] = OBJECT_PARSER

    kind: Literal["json"] = Field("json", description="one question, answered by a JSON object of truth values")
    constrained: bool = Field(
        False, description="hold the answer to the object's schema, of an engine that can; else it may have any form"
    )

    def check(self, checkpoint: ResolvedModel, label_set: LabelSet) -> None:
        """As `OneAnswerStrategy` says, and where what holds an answer to a schema is not installed."""
        super().check(checkpoint, label_set)
        if self.constrained and self.engine.kind == "transformers" and find_spec("llguidance") is None:
            raise ModelError(
                "strategy.constrained: found true with strategy.engine=transformers, which holds an answer to a schema with "
                "llguidance, which is not installed. pip install 'nrray[schema]'; or leave it out, as free answers are read as "
                "strictly; or take an engine with structured outputs."
            )

    @property
    def spaced_names(self) -> bool:
        """As `OneAnswerStrategy` says: the object's keys are the names themselves."""
        return False

    def instructed(self, label_set: LabelSet) -> str:
        """As `OneAnswerStrategy` says."""
        keys = ", ".join(f'"{name}"' for name in label_set.names)
        return (
            f"Answer with one JSON object alone. Its keys are {keys}; the value of a key is true where that activity is going on "
            f"and false where it is not."
        )

    def parsed(self, answer: str, label_set: LabelSet) -> tuple[LabelState, ...] | None:
        """As `OneAnswerStrategy` says."""
        return parse_object(answer, label_set.names)

    def schema_of(self, label_set: LabelSet) -> str | None:
        """As `OneAnswerStrategy` says."""
        if not self.constrained:
            return None
        return json.dumps(
            {
                "type": "object",
                "properties": {name: {"type": "boolean"} for name in label_set.names},
                "required": list(label_set.names),
                "additionalProperties": False,
            }
        )
