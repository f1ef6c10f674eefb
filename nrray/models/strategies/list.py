"""The strategy of one question about all activities, answered by the names of those that go on."""

from typing import ClassVar, Literal

from pydantic import Field

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.resolved import ResolvedModel
from nrray.models.strategies.answers import NAMES_PARSER, NONE, parse_names
from nrray.models.strategies.described import OneAnswerStrategy
from nrray.types import LabelState


class ListStrategy(OneAnswerStrategy):
    """A vision-language model names the activities, or says none. An answer that names one says that the others are absent."""

    parser: ClassVar[str] = NAMES_PARSER

    kind: Literal["list"] = Field("list", description="one question, answered by the names of the activities, or none")

    def check(self, checkpoint: ResolvedModel, label_set: LabelSet) -> None:
        """As `OneAnswerStrategy` says, and where an activity is called none."""
        super().check(checkpoint, label_set)
        if NONE in label_set.names:
            raise ModelError(
                f"strategy.kind=list: found an activity called {NONE}, which is the answer where nothing goes on. Rename it, or "
                f"take another kind."
            )

    def instructed(self, label_set: LabelSet) -> str:
        """As `OneAnswerStrategy` says."""
        return (
            "Which of these activities are going on? Answer with their names alone, separated by commas, or with the word "
            f"{NONE}."
        )

    def parsed(self, answer: str, label_set: LabelSet) -> tuple[LabelState, ...] | None:
        """As `OneAnswerStrategy` says."""
        return parse_names(answer, label_set.names)
