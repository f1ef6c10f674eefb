"""The plan of a training: what learns, how fast and for how long, made from facts and printed with its reasons. No torch.

In the manner of nnU-Net (Isensee et al. 2021): facts about data and model, then rules, then a plain file. What a config sets
outright is never planned over.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from nrray.config import Section
from nrray.errors import ConfigError, ResourcesError
from nrray.models.config import (
    LanguageModelLearning,
    PartsSection,
    ProjectorLearning,
    ResolvedParts,
    TowerLearning,
)
from nrray.models.families import TuningMethod
from nrray.train.training_config import ResolvedTraining, TrainingConfig

PLAN_FILE = "plan.json"
FAR = 1.5  # times as far as held-out windows of the checkpoint's own making
SMALL_MODEL = 100_000_000  # parameters of a language model
MOST_BLOCK_PARAMETERS = 20_000_000  # that learn in full in a tower
LAST_BLOCKS = 2
PASSES, FEWEST_STEPS, MOST_STEPS = 30, 200, 600
FEW_CASES = 6  # to validate on
MIB, GIB = 2**20, 2**30


class PartSizes(Section):
    """Parameters of a model's parts. last_blocks: of the tower's `LAST_BLOCKS` last blocks and what stands behind them, None where
    its blocks cannot be told apart."""

    tower: int
    last_blocks: int | None
    projector: int = 0
    language_model: int = 0


class TrainingFacts(Section):
    """What a plan is made from. looks_distance: how far the windows to train on are from those that the checkpoint was trained on,
    1 is as far as its own held-out ones; None where the checkpoint does not say. activation_bytes: that one window keeps for
    the backward pass where all layers of transformers learn; memory_bytes: of one worker; None where they are not known."""

    title: str
    tuning: TuningMethod
    is_from_scratch: bool
    has_own_head: bool
    sizes: PartSizes | None
    bytes_per_weight: int
    activation_bytes: int | None
    num_windows: int
    num_cases: int
    num_validation_cases: int
    looks_distance: float | None
    memory_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What learns and how, with a sentence for each decision."""

    parts: ResolvedParts
    training: ResolvedTraining
    reasons: tuple[str, ...]

    def document(self, facts: TrainingFacts, *, asked: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The plan as it is written; asked: the sections that it was made from."""
        return {
            "asked": dict(asked),
            "facts": facts.model_dump(mode="json"),
            "reasons": list(self.reasons),
            "parts": self.parts.document(),
            "training": self.training.model_dump(mode="json"),
        }


def planned_training(parts: PartsSection, training: TrainingConfig, facts: TrainingFacts) -> TrainingPlan:
    """The sections with a value for each `auto`. Raises ConfigError where a setting has no effect on such a model, ResourcesError
    where the memory of a worker cannot hold the training."""
    chosen, why_parts = _chosen_parts(facts)
    resolved = _resolved_parts(parts, chosen, facts)
    rates, why_rates = _chosen_rates(resolved, facts)
    num_steps, why_steps = _chosen_steps(training, facts)
    head_first = 0 if facts.has_own_head or facts.is_from_scratch or resolved.is_frozen else num_steps // 10
    wanted: dict[str, Any] = {
        **rates,
        "num_steps": num_steps,
        "head_first_steps": head_first,
        "validate_every_steps": max(1, num_steps // 12),
    }
    given = training.model_dump()
    filled = {**given, **{name: value for name, value in wanted.items() if given[name] == "auto"}}
    planned = ResolvedTraining.model_validate(filled)
    planned, why_memory = _fitted(resolved, planned, facts)
    reasons = [
        f"{facts.num_windows:,} windows of {facts.num_cases} cases to train, {facts.num_validation_cases} cases to choose on.",
        why_parts if parts == PartsSection() else "What learns is as the config has it.",
        f"{_learns(resolved, planned, facts)} {why_rates}",
        why_steps,
        why_memory,
    ]
    if planned.head_first_steps:
        reasons.append(
            f"The head is new: it learns alone for {planned.head_first_steps} steps, so that its first errors do not undo what "
            f"the checkpoint knows."
        )
    if facts.num_validation_cases < FEW_CASES:
        reasons.append(
            f"{facts.num_validation_cases} validation cases say little: read the interval of the cross-fitted figure, and "
            f"annotate more where it is wide."
        )
    return TrainingPlan(parts=resolved, training=planned, reasons=tuple(reason for reason in reasons if reason))


def _chosen_parts(facts: TrainingFacts) -> tuple[ResolvedParts, str]:
    """The parts that learn where the config leaves it open, and why."""
    if facts.tuning is TuningMethod.WHOLE:
        return ResolvedParts(tower=TowerLearning.WHOLE), f"A {facts.title} is trained whole: it is small."
    sizes = facts.sizes
    assert sizes is not None  # only a model from scratch has none, and that is trained whole
    distance = facts.looks_distance
    looks = (
        "The checkpoint does not say what it was trained on: these looks are taken for new to its tower."
        if distance is None
        else f"These windows are {distance:.1f} times as far from what its tower was trained on as other cases of that making"
    )
    if facts.tuning is TuningMethod.HEAD and distance is None:
        reason = (
            f"A {facts.title} was trained on so much video that its head alone learns; parts.tower lets it learn too."
        )
        return ResolvedParts(tower=TowerLearning.FROZEN), reason
    adapter = LanguageModelLearning.ADAPTER if facts.tuning is TuningMethod.LORA else LanguageModelLearning.FROZEN
    if distance is not None and distance < FAR:
        return (
            ResolvedParts(tower=TowerLearning.FROZEN, language_model=adapter),
            f"{looks}: it knows these looks, and stays as it is.",
        )
    projector = ProjectorLearning.WHOLE if sizes.projector else ProjectorLearning.FROZEN
    opening = looks if distance is None else f"{looks}: these looks are new to it."
    if sizes.last_blocks is not None and sizes.last_blocks <= MOST_BLOCK_PARAMETERS:
        return (
            ResolvedParts(
                tower=TowerLearning.LAST_BLOCKS,
                tower_blocks=LAST_BLOCKS,
                projector=projector,
                language_model=adapter,
            ),
            f"{opening} Its last {LAST_BLOCKS} blocks ({_millions(sizes.last_blocks)} weights) learn in full.",
        )
    what = (
        "its blocks cannot be told apart"
        if sizes.last_blocks is None
        else f"its last {LAST_BLOCKS} blocks have {_millions(sizes.last_blocks)} weights"
    )
    return (
        ResolvedParts(tower=TowerLearning.ADAPTER, projector=projector, language_model=adapter),
        f"{opening} The tower learns by an adapter, as {what}.",
    )


def _resolved_parts(parts: PartsSection, chosen: ResolvedParts, facts: TrainingFacts) -> ResolvedParts:
    """Raises ConfigError where something is set that such a model does not have."""
    if facts.tuning is not TuningMethod.LORA:
        idle = [name for name in ("projector", "language_model") if getattr(parts, name) != "auto"]
        if idle:
            raise ConfigError(
                f"parts.{idle[0]}: found {getattr(parts, idle[0]).value}, but a {facts.title} has none. Leave it out."
            )
    if facts.is_from_scratch and parts.tower not in ("auto", TowerLearning.WHOLE):
        raise ConfigError(
            f"parts.tower: found {parts.tower.value}, expected auto or whole for a {facts.title} from scratch: random weights that "
            f"stay as they are see nothing. Leave it out, or give a checkpoint (model.path)."
        )
    return parts.resolved(chosen)


def _chosen_rates(parts: ResolvedParts, facts: TrainingFacts) -> tuple[dict[str, float], str]:
    """Peak learning rates. A low-rank adapter learns best at about ten times the rate of a whole model, whatever its rank, and
    small models at higher rates (Schulman et al. 2025); a tower's features are worth keeping, so that it moves more slowly."""
    is_small = facts.sizes is None or facts.sizes.language_model < SMALL_MODEL
    adapter = 1e-3 if is_small else 2e-4
    tower_full, tower_adapter = (3e-4, 1e-3) if is_small else (3e-5, 2e-4)
    return {
        "learning_rate": adapter,
        "projector_learning_rate": 1e-3 if is_small else 1e-4,
        "tower_learning_rate": tower_adapter if parts.tower is TowerLearning.ADAPTER else tower_full,
        "head_learning_rate": 1e-3 if facts.has_own_head else 3e-3,
        "full_learning_rate": 5e-4 if facts.is_from_scratch else 1e-4,
    }, ("" if is_small else "A large model needs smaller steps.")


def _chosen_steps(training: TrainingConfig, facts: TrainingFacts) -> tuple[int, str]:
    """At most so many steps, and why."""
    if training.num_steps != "auto":
        return training.num_steps, f"At most {training.num_steps} steps, as the config has it."
    wanted = math.ceil(PASSES * facts.num_windows / training.batch_windows)
    num_steps = min(MOST_STEPS, max(FEWEST_STEPS, wanted))
    return num_steps, (
        f"At most {num_steps} steps of {training.batch_windows} windows; it ends sooner after {training.patience} validations "
        f"without a better one."
    )


def _learns(parts: ResolvedParts, training: ResolvedTraining, facts: TrainingFacts) -> str:
    """What learns, at which rates, in words."""
    if facts.tuning is TuningMethod.WHOLE and parts.tower is TowerLearning.WHOLE:
        return f"All weights learn at {training.full_learning_rate:g}, the head at {training.head_learning_rate:g}."
    named = {
        f"the tower ({_tower_words(parts)})": (parts.tower, training.tower_learning_rate),
        f"the projector ({parts.projector.value})": (parts.projector, training.projector_learning_rate),
        f"the language model ({parts.language_model.value})": (parts.language_model, training.learning_rate),
    }
    learning = [f"{name} at {rate:g}" for name, (how, rate) in named.items() if how.value != "frozen"]
    learning.append(f"the head at {training.head_learning_rate:g}")
    return f"Learning: {', '.join(learning)}."


def _tower_words(parts: ResolvedParts) -> str:
    if parts.tower is TowerLearning.LAST_BLOCKS:
        return f"last {parts.tower_blocks} blocks"
    return parts.tower.value


def needed_bytes(parts: ResolvedParts, training: ResolvedTraining, facts: TrainingFacts) -> int:
    """An estimate of what a worker holds: the weights; of those that learn also a 32-bit copy, gradient and two moments (AdamW),
    16 bytes each; the activations of a micro-batch, or with gradient checkpointing a tenth of them (2 of 34 bytes a token and
    unit of width, and one layer's all: Korthikanti et al. 2022)."""
    sizes = facts.sizes
    if sizes is None:
        return 0
    total = sizes.tower + sizes.projector + sizes.language_model
    learning = {
        TowerLearning.WHOLE: sizes.tower,
        TowerLearning.LAST_BLOCKS: sizes.last_blocks or sizes.tower,
        TowerLearning.ADAPTER: sizes.tower // 50,
    }.get(parts.tower, 0)
    learning += sizes.projector if parts.projector is ProjectorLearning.WHOLE else 0
    learning += sizes.language_model // 50 if parts.language_model is LanguageModelLearning.ADAPTER else 0
    kept = 0 if parts.is_frozen else (facts.activation_bytes or 0) * training.micro_batch_windows
    if training.gradient_checkpointing:
        kept //= 10
    return total * facts.bytes_per_weight + 16 * learning + kept


def _fitted(parts: ResolvedParts, training: ResolvedTraining, facts: TrainingFacts) -> tuple[ResolvedTraining, str]:
    """The training in micro-batches that fit a worker, with gradient checkpointing where one window does not fit without: neither
    changes what is learned. Raises ResourcesError where nothing fits."""
    memory = facts.memory_bytes
    if memory is None or needed_bytes(parts, training, facts) <= memory:
        return training, ""
    sizes = [size for size in (4, 2, 1) if size < training.micro_batch_windows] or [1]
    for is_checkpointed in (training.gradient_checkpointing, True):
        for size in sizes:
            changed = {"micro_batch_windows": size, "gradient_checkpointing": is_checkpointed}
            smaller = training.model_copy(update=changed)
            if needed_bytes(parts, smaller, facts) <= memory:
                how = " with gradient checkpointing" if is_checkpointed else ""
                return smaller, f"A worker has {memory / GIB:.1f} GiB: {size} windows at once{how}."
    least = training.model_copy(update={"micro_batch_windows": 1, "gradient_checkpointing": True})
    raise ResourcesError(
        f"this training needs about {needed_bytes(parts, least, facts) / GIB:.1f} GiB a worker, one window at a time with gradient "
        f"checkpointing; a worker has {memory / GIB:.1f} GiB. Set model.dtype=nf4 or parts.tower=frozen, take a smaller model or "
        f"a larger machine. Nothing was started."
    )


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"
