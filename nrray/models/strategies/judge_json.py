"""The strategy whose judge answers about all activities of a caption at once, with a JSON object."""

import json
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from nrray.labels import LabelSet
from nrray.models.engines.engine import Question
from nrray.models.judges.judge import JudgeQuestion
from nrray.models.resolved import ResolvedModel
from nrray.models.strategies.judged import (
    CAPTION_NAME,
    DATA_FOLLOWS,
    DESCRIPTION,
    JUDGE_NAME,
    JudgedStrategy,
    caption_prompt,
)
from nrray.models.strategies.verdicts import NOT_STATED, Verdict, parse_verdicts
from nrray.types import LabelState


class JudgeJsonStrategy(JudgedStrategy):
    """One caption of each window, then a judge who answers about all activities at once. There are no scores."""

    parser: ClassVar[str] = "verdicts_json/1"

    kind: Literal["judge_json"] = Field("judge_json", description="a caption per window, judged with one JSON object")

    def asked(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[Question, ...]:
        """One caption."""
        return (Question(name=CAPTION_NAME, text=caption_prompt(label_set), max_tokens=self.caption_tokens),)

    def caption_of(self, label_set: LabelSet, activity: str) -> int:
        """As `JudgedStrategy` says."""
        return 0

    def judge_questions(self, label_set: LabelSet) -> tuple[JudgeQuestion, ...]:
        """One question about all activities."""
        form = json.dumps(dict.fromkeys(label_set.names, f"yes, no or {NOT_STATED}"))
        template = "\n".join(
            (
                DATA_FOLLOWS,
                "Answer these questions from the description alone:",
                *(f"- {activity.name}: {activity.question}" for activity in label_set.activities),
                f"Answer with one JSON object of this form and nothing else: {form}",
                DESCRIPTION,
                "JSON:",
            )
        )
        max_tokens = 3 * self.judge.answer_tokens * len(label_set.activities)
        return (JudgeQuestion(name=JUDGE_NAME, template=template, max_tokens=max_tokens),)

    def verdicts(
        self, answers: Sequence[str], label_set: LabelSet
    ) -> tuple[list[Verdict], tuple[LabelState | None, ...]]:
        """As `JudgedStrategy` says."""
        found = parse_verdicts(answers[0], label_set.names)
        is_read = any(verdict is not Verdict.UNREADABLE for verdict in found.values())
        return list(found.values()), (None if is_read else LabelState.UNPARSED,)
