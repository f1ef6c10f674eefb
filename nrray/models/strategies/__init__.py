"""How a model is made to label: the strategies that a config chooses among by `kind`, and their registry. No torch.

A new one is a file beside this one, whose class has the methods of the others, and a line in `Strategy`.
"""

from typing import Annotated, Any

from pydantic import Discriminator, JsonValue, Tag

from nrray.config import Section
from nrray.errors import ModelError
from nrray.labels import LabelSet
from nrray.models.config import CheckpointChoice
from nrray.models.resolved import ResolvedModel, resolve_checkpoint
from nrray.models.strategies.head import HeadStrategy
from nrray.models.strategies.json import JsonStrategy
from nrray.models.strategies.judge import FocusedJudgeStrategy, JudgeStrategy
from nrray.models.strategies.judge_json import JudgeJsonStrategy
from nrray.models.strategies.list import ListStrategy
from nrray.models.strategies.multiple_choice import MultipleChoiceStrategy
from nrray.models.strategies.prompted import PromptedStrategy
from nrray.models.strategies.vector import VectorStrategy
from nrray.models.strategies.wording import Wording
from nrray.models.strategies.yes_no import YesNoStrategy


def _kind(value: Any) -> str | None:
    if isinstance(value, Section):
        return str(getattr(value, "kind", None))
    return value.get("kind") if isinstance(value, dict) else None


Strategy = Annotated[
    Annotated[HeadStrategy, Tag("head")]
    | Annotated[YesNoStrategy, Tag("yes_no")]
    | Annotated[ListStrategy, Tag("list")]
    | Annotated[MultipleChoiceStrategy, Tag("multiple_choice")]
    | Annotated[JsonStrategy, Tag("json")]
    | Annotated[VectorStrategy, Tag("vector")]
    | Annotated[JudgeStrategy, Tag("judge")]
    | Annotated[FocusedJudgeStrategy, Tag("focused_judge")]
    | Annotated[JudgeJsonStrategy, Tag("judge_json")],
    Discriminator(
        _kind,
        custom_error_type="strategy_kind",
        custom_error_message="expected a kind of head, yes_no, list, multiple_choice, json, vector, judge, focused_judge or "
        "judge_json",
    ),
]


def resolve_model(section: Strategy | None, choice: CheckpointChoice, *, allow_remote: bool = False) -> ResolvedModel:
    """The model that a config labels with: the checkpoint that it names, or the one that the strategy's engine answers with.
    allow_remote: whether frames may leave the house. Raises ConfigError, ModelError."""
    if isinstance(section, PromptedStrategy):
        return section.engine.resolved(choice, allow_remote=allow_remote)
    return resolve_checkpoint(choice)


def resolve_strategy(section: Strategy | None, checkpoint: ResolvedModel, label_set: LabelSet) -> Strategy:
    """The strategy that labels with the checkpoint: the config's or, where it names none, the checkpoint's head where it has
    one, else yes/no questions. Raises ModelError where checkpoint or label set do not fit it."""
    strategy = section if section is not None else _default_strategy(checkpoint)
    strategy.check(checkpoint, label_set)
    return strategy


def strategy_of_release_before(checkpoint: ResolvedModel, label_set: LabelSet) -> dict[str, JsonValue]:
    """The identity of the strategy that an output has which records none: a release had no other."""
    if checkpoint.metadata is not None:
        return HeadStrategy().identity(checkpoint, label_set)
    asked = YesNoStrategy(wording=Wording.QUESTION, instruction="Answer with one word, yes or no.", answer_tokens=8)
    return {**asked.identity(checkpoint, label_set), "engine": "transformers", "parser": "plain_yes_or_no/1"}


def _default_strategy(checkpoint: ResolvedModel) -> Strategy:
    if checkpoint.metadata is not None:
        return HeadStrategy()
    if not checkpoint.knows_words:
        raise ModelError(
            f"model {checkpoint.path}: found a checkpoint that knows no words and has no head of nrray, expected one "
            f"of the two. Train it with `nrray finetune`."
        )
    return YesNoStrategy()
