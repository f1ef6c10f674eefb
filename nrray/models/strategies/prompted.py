"""What strategies that ask in words have in common: questions to an engine, answers kept word for word, and read strictly."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, model_validator

from nrray.config import Section
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.config import Execution
from nrray.models.engines import EngineChoice, TransformersSection
from nrray.models.engines.engine import Decoding, Engine, Question, Replies
from nrray.models.labeler import Labeler, ModelInfo
from nrray.models.resolved import ResolvedModel
from nrray.models.rules import rethresholded_answers, without_contradictions
from nrray.models.strategies.answers import scored_answer
from nrray.models.strategies.wording import RuleUse, Wording
from nrray.types import NO_STATE, STATE_INDEX, Answers, Frames, LabelState, WindowLabels

MIN_LABEL_MASS = 0.5
"""Of the probability of all choices together: below it the model would more likely say something else than any of them."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the answers about one window say. states: of A activities; answer_states: of Q answers, as `Answer` has them; scores:
    of A activities, NaN where there is none, None where the answers have none."""

    states: tuple[LabelState, ...]
    answer_states: tuple[LabelState | None, ...]
    scores: tuple[float, ...] | None = None


StrategyT = TypeVar("StrategyT", bound="PromptedStrategy")


class PromptedStrategy(Section):
    """A vision-language model is asked. A subclass says what is asked, and how the answers about a window are read: a pure
    function of their texts, so that another one can read them again without the model."""

    parser: ClassVar[str]  # name and version, of which the identity of outputs is made

    kind: str
    engine: EngineChoice = TransformersSection()
    temperature: float = Field(
        0.0, ge=0, le=2, description="0: the likeliest token always, else tokens are drawn, and the seed says which"
    )
    votes: int = Field(1, ge=1, le=15, description="times that everything is asked; the state that most answers give")
    seed: int = Field(0, ge=0, description="of the drawing of tokens")
    rules: RuleUse = Field(
        RuleUse.IGNORED,
        description="of the label set: told to the model, or applied, so that answers which contradict each other are unsure",
    )

    @model_validator(mode="after")
    def _votes_differ(self) -> "PromptedStrategy":
        if self.votes > 1 and self.temperature == 0:
            raise ValueError(
                f"votes={self.votes} has no effect with temperature=0: every vote is the same. Leave it out, or set temperature"
            )
        return self

    @abstractmethod
    def asked(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[Question, ...]:
        """Everything that is asked about a window, once."""

    @abstractmethod
    def read(self, texts: Sequence[str], label_set: LabelSet) -> Reading:
        """What Q answers about a window say, in the order of `asked`. Never raises: what cannot be read is UNPARSED."""

    def scores(self, probabilities: Sequence[NDArray[np.float32]], label_set: LabelSet) -> NDArray[np.float32] | None:
        """(W, A) scores in [0, 1] of the questions' choices, NaN where there is none; None for a strategy that has no scores, or
        reads them in its answers."""
        return None

    def worded(self, checkpoint: ResolvedModel) -> Wording | None:
        """What of an activity is said; None for a strategy that says the same always."""
        return None

    def reworded(self: StrategyT, checkpoint: ResolvedModel, label_set: LabelSet) -> StrategyT | None:
        """The same strategy in other words that mean the same, with or without definitions; None where there are none."""
        worded = self.worded(checkpoint)
        if worded is None:
            return None
        other = Wording.QUESTION if worded is Wording.DEFINED else Wording.DEFINED
        changed = self.model_copy(update={"wording": other})
        return None if changed.prompts(checkpoint, label_set) == self.prompts(checkpoint, label_set) else changed

    def check(self, checkpoint: ResolvedModel, label_set: LabelSet) -> None:
        """Raise ModelError where the checkpoint knows no words."""
        if not checkpoint.knows_words:
            raise ModelError(
                f"strategy.kind: found {self.kind}, but model {checkpoint.path} is a {checkpoint.title}, which knows no words. "
                f"Set strategy.kind=head, or give a vision-language model."
            )

    def prompts(self, checkpoint: ResolvedModel, label_set: LabelSet) -> dict[str, str]:
        """Question's name to the text of the user's turn, after the frames."""
        return {question.name: question.text for question in self.asked(checkpoint, label_set)}

    def questions(self, checkpoint: ResolvedModel, label_set: LabelSet) -> tuple[str, ...]:
        """Texts of the user's turn that the model is given."""
        return tuple(self.prompts(checkpoint, label_set).values())

    def identity(self, checkpoint: ResolvedModel, label_set: LabelSet) -> dict[str, JsonValue]:
        """Everything that decides a label beside the digests of checkpoint and label set."""
        asked = self.asked(checkpoint, label_set)
        drawn: dict[str, JsonValue] = {"temperature": self.temperature, "votes": self.votes, "seed": self.seed}
        return {
            "kind": self.kind,
            "engine": self.engine.identity(),
            "prompts": {**self.prompts(checkpoint, label_set)},
            "answer_tokens": max(question.max_tokens for question in asked),
            "parser": self.parser,
            "thresholds": "words",
            "applies_rules": self.rules is RuleUse.APPLIED,
            **({"decoding": drawn} if self.temperature > 0 or self.votes > 1 else {}),
        }

    def thresholds(self, checkpoint: ResolvedModel) -> dict[str, float]:
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
        """(W, A) states with the plain answers about activities that have a threshold decided anew by their (W, A) scores, then
        with the rules where they are applied."""
        in_order = np.array([thresholds.get(name, np.nan) for name in label_set.names], np.float32)
        decided = rethresholded_answers(scores, states, thresholds=in_order)
        return without_contradictions(decided, label_set) if self.rules is RuleUse.APPLIED else decided

    def labeler(self, checkpoint: ResolvedModel, *, label_set: LabelSet, execution: Execution) -> Labeler:
        """The checkpoint, loaded. Raises ModelError."""
        self.check(checkpoint, label_set)
        engine = self.engine.loaded(checkpoint, execution=execution)
        return PromptedLabeler(engine, self, self.asked(checkpoint, label_set), label_set=label_set)


class PromptedLabeler:
    """A model is asked, as often as there are votes; the replies are read as the strategy has it."""

    def __init__(
        self, engine: Engine, strategy: PromptedStrategy, questions: Sequence[Question], *, label_set: LabelSet
    ) -> None:
        self._engine = engine
        self._strategy = strategy
        self._questions = questions
        self._label_set = label_set

    @property
    def info(self) -> ModelInfo:
        return self._engine.info

    def label(self, frames: Frames) -> WindowLabels:
        """As `Labeler` says."""
        names = [question.name for question in self._questions]
        rounds = asked_rounds(self._engine, frames, self._questions, self._strategy)
        return labels_of(rounds, names, strategy=self._strategy, label_set=self._label_set)


def asked_rounds(
    engine: Engine, frames: Frames, questions: Sequence[Question], strategy: PromptedStrategy
) -> list[Replies]:
    """The replies to all questions, once for each vote. The text of one that is scored and not spoken says its choices."""
    rounds = [
        engine.ask(
            frames,
            questions,
            decoding=Decoding(temperature=strategy.temperature, seed=strategy.seed, vote=number),
        )
        for number in range(strategy.votes)
    ]
    return [replace(replies, texts=worded(replies, questions)) for replies in rounds]


def worded(replies: Replies, questions: Sequence[Question]) -> list[list[str]]:
    """The W x Q texts of replies, those of questions that are scored and not spoken made of their choices' probabilities."""
    return [
        [
            text
            if question.max_tokens
            else scored_answer(question.choice_names, [float(value) for value in replies.probabilities[place][window]])
            for place, (question, text) in enumerate(zip(questions, texts, strict=True))
        ]
        for window, texts in enumerate(replies.texts)
    ]


def labels_of(
    rounds: Sequence[Replies], names: Sequence[str], *, strategy: PromptedStrategy, label_set: LabelSet
) -> WindowLabels:
    """What all votes say. Answers are kept word for word, under the `names` of a vote's Q questions; states are what they say,
    scores the mean over votes."""
    readings = [
        [strategy.read(texts, label_set) for texts in by_round]
        for by_round in zip(*(replies.texts for replies in rounds), strict=True)
    ]
    num_activities = len(label_set.activities)
    states = np.array([[STATE_INDEX[state] for state in elected(window)] for window in readings], np.uint8)
    states = states.reshape(-1, num_activities)
    return WindowLabels(
        scores=_scores(rounds, readings, strategy, label_set),
        states=states,
        answers=_answers(rounds, readings, names),
        looks_distances=rounds[0].distances,
    )


def _scores(
    rounds: Sequence[Replies],
    readings: Sequence[Sequence[Reading]],
    strategy: PromptedStrategy,
    label_set: LabelSet,
) -> NDArray[np.float32]:
    read = scores_read(readings, num_activities=len(label_set.activities))
    if read is not None:
        return read
    found = [strategy.scores(replies.probabilities, label_set) for replies in rounds]
    known = [scores for scores in found if scores is not None]
    if not known:
        return np.full((len(readings), len(label_set.activities)), np.nan, np.float32)
    mean: NDArray[np.float32] = np.mean(known, axis=0, dtype=np.float32)
    return mean


def scores_read(readings: Sequence[Sequence[Reading]], *, num_activities: int) -> NDArray[np.float32] | None:
    """(W, A) means over votes of the scores that W x V readings have; None where they have none."""
    if not readings or any(reading.scores is None for window in readings for reading in window):
        return None
    found = np.array([[reading.scores for reading in window] for window in readings], np.float32)
    mean: NDArray[np.float32] = found.reshape(len(readings), -1, num_activities).mean(axis=1, dtype=np.float32)
    return mean


def _answers(rounds: Sequence[Replies], readings: Sequence[Sequence[Reading]], names: Sequence[str]) -> Answers:
    states = [
        [NO_STATE if state is None else STATE_INDEX[state] for reading in window for state in reading.answer_states]
        for window in readings
    ]
    return Answers(
        questions=vote_names(names, len(rounds)),
        texts=[
            [text for texts in by_round for text in texts]
            for by_round in zip(*(replies.texts for replies in rounds), strict=True)
        ],
        states=np.array(states, np.uint8).reshape(-1, len(rounds) * len(names)),
        num_tokens=np.concatenate([replies.num_tokens for replies in rounds], axis=1),
        seconds=np.concatenate([replies.seconds for replies in rounds], axis=1),
    )


def vote_names(names: Sequence[str], num_votes: int) -> tuple[str, ...]:
    """The names of questions that are asked several times: `ventilation`, `ventilation#2`, ..., vote by vote."""
    return tuple(name if number == 0 else f"{name}#{number + 1}" for number in range(num_votes) for name in names)


def elected(readings: Sequence[Reading]) -> tuple[LabelState, ...]:
    """The state of each activity that more readings of a window give than any other; UNSURE where several are given as often.
    An answer that could not be read votes for nothing, unless none could."""
    states = []
    for votes in zip(*(reading.states for reading in readings), strict=True):
        said = [state for state in votes if state is not LabelState.UNPARSED] or list(votes)
        (first, most), *others = Counter(said).most_common(2)
        states.append(LabelState.UNSURE if others and others[0][1] == most else first)
    return tuple(states)
