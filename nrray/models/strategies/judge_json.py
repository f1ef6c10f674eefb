"""The strategy whose judge answers about all activities of a caption at once, with a JSON object."""

import json
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

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
    object_tokens: Literal["auto"] | Annotated[int, Field(ge=1, le=4096)] = Field(
        default="auto", description="of the judge's object at most; auto: 16 for each activity, and 16"
    )

    @model_validator(mode="after")
    def _objects_are_spoken(self) -> "JudgeJsonStrategy":
        if "answer_tokens" in self.judge.model_fields_set:
            raise ValueError(
                "judge.answer_tokens has no effect on an object about all activities. Leave it out, or set object_tokens"
            )
        return self

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
                *filter(None, [self.rules_for_judge(label_set)]),
                f"Answer with one JSON object of this form and nothing else: {form}",
                DESCRIPTION,
                "JSON:",
            )
        )
        tokens = 16 * (len(label_set.names) + 1) if self.object_tokens == "auto" else self.object_tokens
        return (JudgeQuestion(name=JUDGE_NAME, template=template, max_tokens=tokens),)

    def verdicts(
        self, answers: Sequence[str], label_set: LabelSet
    ) -> tuple[list[Verdict], tuple[LabelState | None, ...]]:
        """As `JudgedStrategy` says."""
        found = parse_verdicts(answers[0], label_set.names)
        is_read = any(verdict is not Verdict.UNREADABLE for verdict in found.values())
        return list(found.values()), (None if is_read else LabelState.UNPARSED,)
