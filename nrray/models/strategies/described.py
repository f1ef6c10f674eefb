"""What strategies have in common that ask about all activities in one prompt: a line for each activity, then what to answer."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.config import PACKAGED_FOLDERS
from nrray.models.engines.engine import Question
from nrray.models.resolved import ResolvedModel
from nrray.models.strategies.answers import alike_names
from nrray.models.strategies.prompted import PromptedStrategy, Reading
from nrray.models.strategies.wording import Wording, activity_lines, preface
from nrray.types import LabelState


class DescribedStrategy(PromptedStrategy):
    """A prompt has the label set's preamble, its rules where they are told, the activities, and what to answer."""

    wording: Wording | None = Field(
        default=None,
        description="what of an activity is said: `defined` is its definition, start and end (default); `question` is its "
        "question (default of the models in the package)",
    )

    def prompt(self, checkpoint: ResolvedModel, label_set: LabelSet, *rest: str, spaced_names: bool = True) -> str:
        """The user's turn, which ends with the paragraphs in `rest`."""
        wording = self.wording or default_wording(checkpoint)
        lines = activity_lines(label_set, wording, spaced_names=spaced_names)
        return "\n".join(part for part in (preface(label_set, self.rules), "Activities:", lines, *rest) if part)


class OneAnswerStrategy(DescribedStrategy):
    """One question, whose answer is about all activities."""

    instruction: str | None = Field(
        default=None, min_length=1, description="behind the activities; none given: it says the form of this kind"
    )
    answer_tokens: Literal["auto"] | Annotated[int, Field(ge=1, le=4096)] = Field(
        default="auto", description="of an answer at most; auto: 16 for each activity, and 16"
    )

    @abstractmethod
    def instructed(self, label_set: LabelSet) -> str:
        """What to answer, where the config does not say it."""

    @abstractmethod
    def parsed(self, answer: str, label_set: LabelSet) -> tuple[LabelState, ...] | None:
        """The states of A activities; None for an answer that cannot be read."""

    def check(self, checkpoint: ResolvedModel, label_set: LabelSet) -> None:
        """Raise ModelError where the checkpoint knows no words, or names of activities read the same in an answer."""
        super().check(checkpoint, label_set)
        if alike := alike_names(label_set.names):
            raise ModelError(
                f"strategy.kind={self.kind}: found the activities {' and '.join(alike)}, which read the same in an answer, "
                f"expected names that differ in their words. Rename one of them."
            )

    def asked(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[Question, ...]:
        """One question."""
        tokens = 16 * (len(label_set.names) + 1) if self.answer_tokens == "auto" else self.answer_tokens
        text = self.prompt(
            checkpoint,
            label_set,
            self.instruction or self.instructed(label_set),
            spaced_names=self.spaced_names,
        )
        return (Question(name="activities", text=text, max_tokens=tokens, schema=self.schema_of(label_set)),)

    def read(self, texts: Sequence[str], label_set: LabelSet) -> Reading:
        """As `PromptedStrategy` says; one answer that cannot be read is unparsed of every activity."""
        (answer,) = texts
        found = self.parsed(answer, label_set)
        if found is None:
            unparsed = LabelState.UNPARSED
            return Reading(states=(unparsed,) * len(label_set.names), answer_states=(unparsed,))
        return Reading(states=found, answer_states=(None,))

    @property
    def spaced_names(self) -> bool:
        """Whether the prompt writes names of activities as words."""
        return True

    def schema_of(self, label_set: LabelSet) -> str | None:
        """The JSON schema that the answer must keep to, as JSON; None for an answer of any form."""
        return None


def default_wording(checkpoint: ResolvedModel) -> Wording:
    """Models in the package were taught the questions alone."""
    return Wording.QUESTION if checkpoint.path in PACKAGED_FOLDERS else Wording.DEFINED
