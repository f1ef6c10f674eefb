"""The strategy of one question about all activities, answered by zeros and ones in the label set's order."""

from typing import ClassVar, Literal

from pydantic import Field

from nrray.labels import LabelSet
from nrray.models.strategies.answers import VECTOR_PARSER, parse_vector
from nrray.models.strategies.described import OneAnswerStrategy
from nrray.models.strategies.wording import spaced
from nrray.types import LabelState


class VectorStrategy(OneAnswerStrategy):
    """A vision-language model answers with a number per activity; an answer of another length is about none of them."""

    parser: ClassVar[str] = VECTOR_PARSER

    kind: Literal["vector"] = Field("vector", description="one question, answered by a 0 or 1 for each activity")

    def instructed(self, label_set: LabelSet) -> str:
        """As `OneAnswerStrategy` says."""
        names = ", ".join(map(spaced, label_set.names))
        return (
            f"Answer with {len(label_set.names)} numbers alone, separated by commas: 1 for an activity that is going on and 0 "
            f"for one that is not, in this order: {names}."
        )

    def parsed(self, answer: str, label_set: LabelSet) -> tuple[LabelState, ...] | None:
        """As `OneAnswerStrategy` says."""
        return parse_vector(answer, len(label_set.names))
