"""The strategy of one yes/no question per activity, answered in words."""

from collections.abc import Sequence
from enum import Enum
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue
from typing_extensions import Self

from nrray.labels import LabelSet
from nrray.models.config import PACKAGED_FOLDERS
from nrray.models.engines.engine import Question
from nrray.models.resolved import ResolvedModel
from nrray.models.strategies.answers import PARSER, parse_answer
from nrray.models.strategies.prompted import PromptedStrategy, Reading

INSTRUCTION = "Answer with one word, yes or no."
YES = ("yes", "Yes", "YES", " yes", " Yes")
NO = ("no", "No", "NO", " no", " No")


class Wording(str, Enum):
    """What of an activity a question says."""

    DEFINED = "defined"  # its definition, start and end, then its question
    QUESTION = "question"  # its question alone


class YesNoStrategy(PromptedStrategy):
    """A vision-language model is asked about each activity; plain answers are states, and the rules are not applied. Scores are
    P(yes) / (P(yes) + P(no)) of an answer's first token, NaN without such tokens."""

    parser: ClassVar[str] = PARSER

    kind: Literal["yes_no"] = Field("yes_no", description="a question per activity, answered in words")
    wording: Wording | None = Field(
        default=None,
        description="what of an activity is said: `defined` is its definition, start and end, then its question (default); "
        "`question` is its question alone (default of the models in the package, which were taught no other)",
    )
    instruction: str = Field(default=INSTRUCTION, min_length=1, description="behind every question")
    answer_tokens: int = Field(default=8, ge=1, le=256, description="of an answer at most")

    def asked(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[Question, ...]:
        """A question per activity, in the label set's order."""
        is_defined = self._wording(checkpoint) is Wording.DEFINED
        return tuple(
            Question(
                name=activity.name,
                text=" ".join(
                    text
                    for text in (activity.description if is_defined else "", activity.question, self.instruction)
                    if text
                ),
                choices=(YES, NO),
                max_tokens=self.answer_tokens,
            )
            for activity in label_set.activities
        )

    def _wording(self, checkpoint: ResolvedModel) -> Wording:
        return self.wording or (Wording.QUESTION if checkpoint.path in PACKAGED_FOLDERS else Wording.DEFINED)

    def reworded(self, checkpoint: ResolvedModel, label_set: LabelSet) -> Self | None:
        """With or without the definitions; None for a label set that has none."""
        is_defined = self._wording(checkpoint) is Wording.DEFINED
        other = self.model_copy(update={"wording": Wording.QUESTION if is_defined else Wording.DEFINED})
        return None if other.prompts(checkpoint, label_set) == self.prompts(checkpoint, label_set) else other

    def identity(self, checkpoint: ResolvedModel, label_set: LabelSet) -> dict[str, JsonValue]:
        """As `PromptedStrategy` has it, with the spellings that make the scores."""
        spellings: dict[str, JsonValue] = {"yes": list(YES), "no": list(NO)}
        return {**super().identity(checkpoint, label_set), "scored_spellings": spellings}

    def read(self, texts: Sequence[str], label_set: LabelSet) -> Reading:
        """As `PromptedStrategy` says."""
        states = tuple(map(parse_answer, texts))
        return Reading(states=states, answer_states=states)

    def scores(self, probabilities: Sequence[NDArray[np.float32]], label_set: LabelSet) -> NDArray[np.float32]:
        """As `PromptedStrategy` says."""
        return np.stack([yes_share(of_question) for of_question in probabilities], axis=1)


def yes_share(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """(W,) P(yes) / (P(yes) + P(no)) of (W, 2) probabilities; NaN where one is NaN or both are 0."""
    yes, no = probabilities.T
    with np.errstate(invalid="ignore"):
        share: NDArray[np.float32] = yes / (yes + no)
    return share
