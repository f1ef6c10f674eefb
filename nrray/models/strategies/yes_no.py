"""The strategy of one yes/no question per activity, answered in words."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from nrray.config import Section
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.config import PACKAGED_FOLDERS, Execution
from nrray.models.engines import EngineKind, load_engine
from nrray.models.engines.engine import Engine
from nrray.models.labeler import ModelInfo
from nrray.models.resolved import ResolvedCheckpoint
from nrray.models.rules import rethresholded_answers
from nrray.models.strategies.answers import PARSER, parse_answer
from nrray.types import STATE_INDEX, Frames, WindowLabels

INSTRUCTION = "Answer with one word, yes or no."
YES = ("yes", "Yes", "YES", " yes", " Yes")
NO = ("no", "No", "NO", " no", " No")


class Wording(str, Enum):
    """What of an activity a question says."""

    DEFINED = "defined"  # its definition, start and end, then its question
    QUESTION = "question"  # its question alone


class YesNoStrategy(Section):
    """A vision-language model is asked about each activity; plain answers are states, and the rules are not applied."""

    kind: Literal["yes_no"] = Field("yes_no", description="a question per activity, answered in words")
    wording: Wording | None = Field(
        default=None,
        description="what of an activity is said: `defined` is its definition, start and end, then its question (default); "
        "`question` is its question alone (default of the models in the package, which were taught no other)",
    )
    instruction: str = Field(default=INSTRUCTION, min_length=1, description="behind every question")
    answer_tokens: int = Field(default=8, ge=1, le=256, description="of an answer at most")
    engine: EngineKind = Field(default=EngineKind.TRANSFORMERS, description="library that runs the model")

    def check(self, checkpoint: ResolvedCheckpoint, label_set: LabelSet) -> None:
        """Raise ModelError where the checkpoint knows no words."""
        if not checkpoint.family.knows_words:
            raise ModelError(
                f"strategy.kind: found yes_no, but model {checkpoint.folder} is a '{checkpoint.model_type}' checkpoint, which "
                f"knows no words. Set strategy.kind=head, or give a vision-language model."
            )

    def prompts(self, checkpoint: ResolvedCheckpoint, label_set: LabelSet) -> dict[str, str]:
        """Activity to the text of the user's turn, after the frames."""
        default = Wording.QUESTION if checkpoint.path in PACKAGED_FOLDERS else Wording.DEFINED
        is_defined = (self.wording or default) is Wording.DEFINED
        return {
            activity.name: " ".join(
                text
                for text in (activity.description if is_defined else "", activity.question, self.instruction)
                if text
            )
            for activity in label_set.activities
        }

    def questions(self, checkpoint: ResolvedCheckpoint, label_set: LabelSet) -> tuple[str, ...]:
        """Texts of the user's turn that the model is given."""
        return tuple(self.prompts(checkpoint, label_set).values())

    def identity(self, checkpoint: ResolvedCheckpoint, label_set: LabelSet) -> dict[str, JsonValue]:
        """Everything that decides a label beside the digests of checkpoint and label set."""
        return {
            "kind": self.kind,
            "engine": self.engine.value,
            "prompts": {**self.prompts(checkpoint, label_set)},
            "answer_tokens": self.answer_tokens,
            "parser": PARSER,
            "scored_spellings": {"yes": list(YES), "no": list(NO)},
            "thresholds": "words",
            "applies_rules": False,
        }

    def thresholds(self, checkpoint: ResolvedCheckpoint) -> dict[str, float]:
        """None: states are the answers themselves."""
        return {}

    def rethresholded(
        self,
        scores: NDArray[np.float32],
        states: NDArray[np.uint8],
        *,
        thresholds: Mapping[str, float],
        label_set: LabelSet,
    ) -> NDArray[np.uint8]:
        """(W, A) states with the plain answers about activities that have a threshold decided anew by their (W, A) scores."""
        in_order = np.array([thresholds.get(name, np.nan) for name in label_set.names], np.float32)
        return rethresholded_answers(scores, states, thresholds=in_order)

    def labeler(self, checkpoint: ResolvedCheckpoint, *, label_set: LabelSet, execution: Execution) -> "YesNoLabeler":
        """The checkpoint, loaded. Raises ModelError."""
        self.check(checkpoint, label_set)
        engine = load_engine(self.engine, checkpoint, execution=execution)
        prompts = self.prompts(checkpoint, label_set)
        return YesNoLabeler(engine, [prompts[name] for name in label_set.names], answer_tokens=self.answer_tokens)


class YesNoLabeler:
    """Answers are kept word for word; states are PRESENT, ABSENT or UNPARSED. Scores are P(yes) / (P(yes) + P(no)) of an
    answer's first token, NaN without such tokens."""

    def __init__(self, engine: Engine, prompts: Sequence[str], *, answer_tokens: int) -> None:
        """prompts: one for each activity, in the label set's order."""
        self._engine = engine
        self._prompts = prompts
        self._answer_tokens = answer_tokens

    @property
    def info(self) -> ModelInfo:
        return self._engine.info

    def label(self, frames: Frames) -> WindowLabels:
        """As `Labeler` says."""
        asked = [
            self._engine.answers(frames, question=prompt, choices=(YES, NO), max_tokens=self._answer_tokens)
            for prompt in self._prompts
        ]
        states = [[STATE_INDEX[parse_answer(text)] for text in answers.texts] for answers in asked]
        return WindowLabels(
            scores=np.stack([yes_share(answers.probabilities) for answers in asked], axis=1),
            states=np.array(states, dtype=np.uint8).T,
            answers=[list(texts) for texts in zip(*(answers.texts for answers in asked), strict=True)],
            looks_distances=asked[0].distances,
        )


def yes_share(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """(W,) P(yes) / (P(yes) + P(no)) of (W, 2) probabilities; NaN where one is NaN or both are 0."""
    yes, no = probabilities.T
    with np.errstate(invalid="ignore"):
        share: NDArray[np.float32] = yes / (yes + no)
    return share
