"""The strategies whose judge answers about one activity at a time: from a caption of the whole window, or from one of its own."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrray.labels import LabelSet
from nrray.models.engines.engine import Question
from nrray.models.judges.judge import JudgeQuestion
from nrray.models.judges.quoting import quoted
from nrray.models.resolved import ResolvedModel
from nrray.models.strategies.judged import (
    CAPTION_NAME,
    DATA_FOLLOWS,
    DESCRIPTION,
    JUDGE_NAME,
    JudgedStrategy,
    caption_prompt,
)
from nrray.models.strategies.verdicts import NOT_STATED, PARSER, Verdict, parse_verdict, state_of
from nrray.models.strategies.yes_no import NO, YES
from nrray.types import LabelState

_NOT = ("not", "Not", "NOT", " not", " Not")
CHOICES = (("yes", YES), ("no", NO), (NOT_STATED, _NOT))
INSTRUCTION = (
    f"Decide from the description alone, and answer yes, no, or {NOT_STATED}: yes where it says so, no where it says otherwise, "
    f"{NOT_STATED} where it says nothing about it."
)


class _ByActivity(JudgedStrategy):
    """A judge answers about one activity at a time. Scores are P(yes) of yes, no and not stated, of an answer's first token."""

    parser: ClassVar[str] = PARSER

    def caption_of(self, label_set: LabelSet, activity: str) -> int:
        """As `JudgedStrategy` says."""
        return 0

    def shown(self, label_set: LabelSet, activity: str) -> tuple[str, ...]:
        """Descriptions with their answers, which a judge is shown before it answers."""
        return ()

    def judge_questions(self, label_set: LabelSet) -> tuple[JudgeQuestion, ...]:
        """A question per activity, in the label set's order."""
        return tuple(
            JudgeQuestion(
                name=f"{JUDGE_NAME}: {activity.name}",
                template="\n".join(
                    part
                    for part in (
                        DATA_FOLLOWS,
                        f"Question: {activity.question}",
                        activity.description,
                        INSTRUCTION,
                        self.rules_for_judge(label_set),
                        *self.shown(label_set, activity.name),
                        DESCRIPTION,
                        f"Question: {activity.question}",
                        "Answer:",
                    )
                    if part
                ),
                caption=self.caption_of(label_set, activity.name),
                choices=CHOICES,
                max_tokens=self.judge.answer_tokens,
            )
            for activity in label_set.activities
        )

    def verdicts(
        self, answers: Sequence[str], label_set: LabelSet
    ) -> tuple[list[Verdict], tuple[LabelState | None, ...]]:
        """As `JudgedStrategy` says."""
        found = [parse_verdict(answer) for answer in answers]
        return found, tuple(state_of(verdict, self.not_stated) for verdict in found)

    def scores(self, probabilities: Sequence[NDArray[np.float32]], label_set: LabelSet) -> NDArray[np.float32] | None:
        """As `PromptedStrategy` says; None where words judge."""
        if self.judge.is_words:
            return None
        judged = np.stack(probabilities[-len(label_set.activities) :], axis=1)  # (W, A, 3)
        with np.errstate(invalid="ignore"):
            share: NDArray[np.float32] = judged[:, :, 0] / np.nansum(judged, axis=2)
        return share


class JudgeStrategy(_ByActivity):
    """One caption of each window, then a judge who answers about each activity from that caption."""

    kind: Literal["judge"] = Field("judge", description="a caption per window, judged for each activity")

    def asked(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[Question, ...]:
        """One caption."""
        return (Question(name=CAPTION_NAME, text=caption_prompt(label_set), max_tokens=self.caption_tokens),)


class FocusedJudgeStrategy(_ByActivity):
    """A caption for each activity, whose subject it is told, then a judge who is shown an example of each answer."""

    kind: Literal["focused_judge"] = Field(
        "focused_judge", description="a caption per activity, judged with two examples"
    )

    def asked(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[Question, ...]:
        """A caption per activity, in the label set's order."""
        return tuple(
            Question(
                name=f"{CAPTION_NAME}: {name}",
                text=caption_prompt(label_set, focus=label_set.caption_focus(name)),
                max_tokens=self.caption_tokens,
            )
            for name in label_set.names
        )

    def caption_of(self, label_set: LabelSet, activity: str) -> int:
        """The activity's own."""
        return label_set.names.index(activity)

    def shown(self, label_set: LabelSet, activity: str) -> tuple[str, ...]:
        """A description of which the activity is true, and one of which it is not."""
        question = f"Question: {label_set.activities[label_set.names.index(activity)].question}"
        examples = ((label_set.present_example(activity), "yes"), (label_set.absent_example(activity), "no"))
        return tuple(
            line
            for description, answer in examples
            for line in (f"Description: {quoted(description)}", question, f"Answer: {answer}")
        )
