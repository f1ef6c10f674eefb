"""The strategy of one yes/no question per activity, answered in words, or scored from the first token and not spoken."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, model_validator

from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.metrics.calibration import PlattScaling
from nrray.models.engines.engine import Question
from nrray.models.resolved import ResolvedModel
from nrray.models.strategies.answers import PARSER, SCORED_PARSER, parse_answer, parse_scored
from nrray.models.strategies.described import default_wording
from nrray.models.strategies.prompted import MIN_LABEL_MASS, PromptedStrategy, Reading
from nrray.models.strategies.wording import Wording, joined, preface
from nrray.types import LabelState

INSTRUCTION = "Answer with one word, yes or no."
YES = ("yes", "Yes", "YES", " yes", " Yes")
NO = ("no", "No", "NO", " no", " No")
CHOICE_NAMES = ("yes", "no")
THRESHOLD = 0.5


class YesNoStrategy(PromptedStrategy):
    """A vision-language model is asked about each activity; plain answers are states. Scores are P(yes) / (P(yes) + P(no)) of an
    answer's first token, NaN without such tokens. With answer_tokens=0 nothing is spoken: states are those of the calibrated
    scores, UNPARSED where P(yes) + P(no) is less than `min_label_mass`, and both stand in the answers."""

    parser: ClassVar[str] = PARSER

    kind: Literal["yes_no"] = Field("yes_no", description="a question per activity, answered in words")
    wording: Wording | None = Field(
        default=None,
        description="what of an activity is said: `defined` is its definition, start and end, then its question (default); "
        "`question` is its question alone (default of the models in the package, which were taught no other)",
    )
    instruction: str = Field(default=INSTRUCTION, min_length=1, description="behind every question")
    answer_tokens: int = Field(
        default=8, ge=0, le=256, description="of an answer at most; 0: it is not spoken, and the first token is scored"
    )
    min_label_mass: float = Field(
        MIN_LABEL_MASS,
        ge=0,
        le=1,
        description="with answer_tokens=0: an answer of which yes and no together are less likely is unparsed",
    )
    calibration: dict[str, PlattScaling] = Field(
        {}, description="with answer_tokens=0: slope and intercept of an activity's scores"
    )

    @model_validator(mode="after")
    def _scores_are_scored(self) -> "YesNoStrategy":
        given = "calibration" if self.calibration else ""
        given = "min_label_mass" if self.min_label_mass != MIN_LABEL_MASS else given
        if self.answer_tokens > 0 and given:
            raise ValueError(f"{given} has no effect on answers that are spoken. Leave it out, or set answer_tokens=0")
        if self.answer_tokens == 0 and self.temperature > 0:
            raise ValueError(
                f"temperature={self.temperature:g} has no effect with answer_tokens=0, where nothing is drawn. Leave it out"
            )
        return self

    @property
    def is_scored(self) -> bool:
        """Whether answers are scored and not spoken."""
        return self.answer_tokens == 0

    def check(self, checkpoint: ResolvedModel, label_set: LabelSet) -> None:
        """As `PromptedStrategy` says, and where a calibration is of no activity."""
        super().check(checkpoint, label_set)
        if unknown := sorted(set(self.calibration) - set(label_set.names)):
            raise ModelError(
                f"strategy.calibration: found the unknown activities {unknown}, expected some of {list(label_set.names)}. Name "
                f"them as the label set does."
            )

    def asked(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[Question, ...]:
        """A question per activity, in the label set's order."""
        is_defined = self.worded(checkpoint) is Wording.DEFINED
        before = preface(label_set, self.rules)
        return tuple(
            Question(
                name=activity.name,
                text=joined(before, activity.description if is_defined else "", activity.question, self.instruction),
                choices=(YES, NO),
                choice_names=CHOICE_NAMES,
                max_tokens=self.answer_tokens,
            )
            for activity in label_set.activities
        )

    def worded(self, checkpoint: ResolvedModel) -> Wording:
        """As `PromptedStrategy` says."""
        return self.wording or default_wording(checkpoint)

    def identity(self, checkpoint: ResolvedModel, label_set: LabelSet) -> dict[str, JsonValue]:
        """As `PromptedStrategy` has it, with the spellings that make the scores."""
        spellings: dict[str, JsonValue] = {"yes": list(YES), "no": list(NO)}
        spoken = {**super().identity(checkpoint, label_set), "scored_spellings": spellings}
        if not self.is_scored:
            return spoken
        calibration: dict[str, JsonValue] = {
            name: calibration.model_dump(mode="json") for name, calibration in sorted(self.calibration.items())
        }
        return {
            **spoken,
            "parser": SCORED_PARSER,
            "thresholds": THRESHOLD,
            "min_label_mass": self.min_label_mass,
            **({"calibration": calibration} if calibration else {}),
        }

    def read(self, texts: Sequence[str], label_set: LabelSet) -> Reading:
        """As `PromptedStrategy` says."""
        if not self.is_scored:
            states = tuple(map(parse_answer, texts))
            return Reading(states=states, answer_states=states)
        read = [self._read_scored(text, name) for text, name in zip(texts, label_set.names, strict=True)]
        states = tuple(state for state, _ in read)
        return Reading(states=states, answer_states=states, scores=tuple(score for _, score in read))

    def _read_scored(self, text: str, name: str) -> tuple[LabelState, float]:
        found = parse_scored(text, CHOICE_NAMES)
        mass = float("nan") if found is None else found["yes"] + found["no"]
        if found is None or not mass > 0:  # also where yes or no is no token
            return LabelState.UNPARSED, float("nan")
        score = found["yes"] / mass
        if name in self.calibration:
            score = float(self.calibration[name].probabilities(np.array([score]))[0])
        if mass < self.min_label_mass:
            return LabelState.UNPARSED, score
        return (LabelState.PRESENT if score >= THRESHOLD else LabelState.ABSENT), score

    def scores(self, probabilities: Sequence[NDArray[np.float32]], label_set: LabelSet) -> NDArray[np.float32]:
        """As `PromptedStrategy` says."""
        return np.stack([yes_share(of_question) for of_question in probabilities], axis=1)


def yes_share(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """(W,) P(yes) / (P(yes) + P(no)) of (W, 2) probabilities; NaN where one is NaN or both are 0."""
    yes, no = probabilities.T
    with np.errstate(invalid="ignore"):
        share: NDArray[np.float32] = yes / (yes + no)
    return share
