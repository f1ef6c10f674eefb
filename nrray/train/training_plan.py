"""The plan of a training: what learns, how fast and for how long, made from facts and printed with its reasons. No torch.

In the manner of nnU-Net (Isensee et al. 2021): facts about data and model, then rules, then a plain file. What a config sets
outright is never planned over.
"""

from dataclasses import dataclass

from pydantic import JsonValue

from nrray.config import Section
from nrray.documents import Document, document_from
from nrray.errors import ResourcesError
from nrray.models.config import (
    TOWER_BLOCKS,
    LanguageModelLearning,
    PartsSection,
    ProjectorLearning,
    ResolvedParts,
    TowerLearning,
)
from nrray.models.families import TuningMethod
from nrray.models.resolved import ResolvedCheckpoint
from nrray.storage import Folder
from nrray.train.start import default_parts, family_of, resolved_parts
from nrray.train.training_config import ResolvedTraining, TimesformerSection, TrainingConfig, resolved_training

PLAN_FILE = "plan.json"
FAR = (
    1.12  # median over an archive: of drawings that took part in a checkpoint's making 0.94 to 1.05, of others 1.18 on
)
LARGE_MODEL = 100_000_000  # parameters of a language model
MOST_BLOCK_PARAMETERS = 20_000_000  # that learn in full in a tower: as much again would lie in every adapter's file
FEW_CASES = 6  # to validate on
GIB = 2**30


class PartSizes(Section):
    """Parameters of a model's parts. last_blocks: of the tower's last `TOWER_BLOCKS` blocks and what stands behind them, None
    where its blocks cannot be told apart."""

    tower: int
    last_blocks: int | None
    projector: int
    language_model: int


class TrainingFacts(Section):
    """What a plan is made from. sizes: None of a model from scratch. activation_bytes: what one window keeps for the backward
    pass where all layers of its transformers learn. has_looks: the checkpoint says which looks it was trained on; looks_distance:
    how far the windows to train on are from those, 1 is as far as its own held-out ones, None also before there are frames.
    memory_bytes: of one worker. None: not known."""

    num_windows: int
    num_cases: int
    num_validation_cases: int
    has_own_head: bool
    bytes_per_weight: int
    sizes: PartSizes | None = None
    activation_bytes: int | None = None
    has_looks: bool = False
    looks_distance: float | None = None
    memory_bytes: int | None = None


class PlanDocument(Document):
    """The content of plan.json: facts, what was decided, and a sentence for each decision."""

    newest_version = 1

    facts: TrainingFacts
    reasons: tuple[str, ...]
    parts: dict[str, JsonValue]
    training: dict[str, JsonValue]


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What learns and how, with a sentence for each decision."""

    facts: TrainingFacts
    parts: ResolvedParts
    training: ResolvedTraining
    reasons: tuple[str, ...]

    def document(self) -> PlanDocument:
        """As it stands in plan.json."""
        return PlanDocument(
            schema_version=PlanDocument.newest_version,
            facts=self.facts,
            reasons=self.reasons,
            parts=self.parts.document(),
            training=self.training.model_dump(mode="json"),
        )


def planned_training(
    parts: PartsSection,
    training: TrainingConfig,
    facts: TrainingFacts,
    *,
    start: ResolvedCheckpoint | TimesformerSection,
) -> TrainingPlan:
    """The sections with a value for each `auto`. Raises ConfigError where a setting has no effect on such a model, ResourcesError
    where the memory of a worker cannot hold the training."""
    chosen, why_parts = _chosen_parts(facts, start)
    what = resolved_parts(parts, start, defaults=chosen)
    is_large = facts.sizes is not None and facts.sizes.language_model >= LARGE_MODEL
    how = resolved_training(
        training,
        num_windows=facts.num_windows,
        has_own_head=facts.has_own_head,
        is_from_scratch=isinstance(start, TimesformerSection),
        is_large=is_large,
        tower=what.tower,
    )
    if what.is_frozen:
        how = how.model_copy(update={"head_first_steps": 0})  # it learns alone all the time
    how, why_memory = _fitted(what, how, facts)
    limit = "" if training.num_steps == "auto" else ", as the config has it"
    reasons = [
        f"{facts.num_windows:,} windows of {facts.num_cases} cases to train, {facts.num_validation_cases} cases to choose on.",
        why_parts if what == chosen else "What learns is as the config has it.",
        _learning_text(what, how),
        "Rates are those of a large model: a fifth of a small one's." if is_large else "",
        f"At most {how.num_steps} steps of {how.batch_windows} windows{limit}; fewer after {how.patience} validations without "
        f"a better one.",
        f"The head is new: it learns alone for {how.head_first_steps} steps." if how.head_first_steps else "",
        why_memory,
        ""
        if facts.num_validation_cases >= FEW_CASES
        else f"{facts.num_validation_cases} validation cases say little: mind the interval of the cross-fitted figure.",
    ]
    return TrainingPlan(facts=facts, parts=what, training=how, reasons=tuple(filter(None, reasons)))


def write_plan(plan: TrainingPlan, output: Folder) -> None:
    """Write plan.json. Raises StorageError."""
    output.write_json(PLAN_FILE, plan.document().model_dump(mode="json"))


def read_plan(output: Folder) -> PlanDocument | None:
    """The plan of a training, None before it was planned: one that goes on is planned from the same facts. Raises DataError,
    StorageError."""
    if not output.exists(PLAN_FILE):
        return None
    return document_from(PlanDocument, output.read_json(PLAN_FILE), name=PLAN_FILE, folder=str(output))


def _chosen_parts(facts: TrainingFacts, start: ResolvedCheckpoint | TimesformerSection) -> tuple[ResolvedParts, str]:
    """The parts that learn where the config leaves it open, and why."""
    family, distance, sizes = family_of(start), facts.looks_distance, facts.sizes
    if family.tuning is TuningMethod.WHOLE:
        return default_parts(family), f"A {family.title} is trained whole."
    if family.tuning is TuningMethod.HEAD:
        reason = f"A {family.title} stays as it is, and a head learns to read it (parts.tower lets it learn too)."
        return default_parts(family), reason
    if distance is None and facts.has_looks:
        looks = (
            "Looks are compared with those that the tower was trained on when frames are there, and are taken for new ones till "
            "then."
        )
    elif distance is None:
        looks = "The checkpoint does not say which looks its tower knows: these are taken for new ones."
    else:
        known = "it knows these looks" if distance < FAR else "these looks are new to it"
        looks = (
            f"These windows are {distance:.2f} times as far from those that the tower was trained on as other cases of that "
            f"making: {known}."
        )
    if distance is not None and distance < FAR:
        parts = ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER)
        return parts, f"{looks} It stays as it is."
    assert sizes is not None  # only a model from scratch has none
    if sizes.last_blocks is not None and sizes.last_blocks <= MOST_BLOCK_PARAMETERS:
        share = f"{sizes.last_blocks / 1e6:.1f} of its {sizes.tower / 1e6:.1f} M weights"
        return default_parts(family), f"{looks} Its last {TOWER_BLOCKS} blocks learn, {share}."
    parts = ResolvedParts(
        tower=TowerLearning.ADAPTER,
        projector=ProjectorLearning.ADAPTER,
        language_model=LanguageModelLearning.ADAPTER,
    )
    why = (
        "its blocks cannot be told apart"
        if sizes.last_blocks is None
        else f"its last {TOWER_BLOCKS} blocks have {sizes.last_blocks / 1e6:.0f} M weights"
    )
    return parts, f"{looks} It learns by an adapter, as {why}."


def _learning_text(parts: ResolvedParts, training: ResolvedTraining) -> str:
    """What learns, at which rates."""
    if parts.tower is TowerLearning.WHOLE and parts.language_model is LanguageModelLearning.FROZEN:
        rates = {"all weights": training.full_learning_rate}
    else:
        blocks = f" ({parts.tower_blocks} blocks)" if parts.tower_blocks is not None else ""
        rates = {
            f"the tower{blocks}": training.tower_learning_rate if parts.tower is not TowerLearning.FROZEN else 0.0,
            "the projector": training.projector_learning_rate
            if parts.projector is not ProjectorLearning.FROZEN
            else 0.0,
            "the language model": training.learning_rate
            if parts.language_model is not LanguageModelLearning.FROZEN
            else 0.0,
        }
    rates["the head"] = training.head_learning_rate
    return f"Rates: {', '.join(f'{name} {rate:g}' for name, rate in rates.items() if rate)}."


def needed_bytes(parts: ResolvedParts, training: ResolvedTraining, facts: TrainingFacts) -> int:
    """An estimate of what a worker holds: all weights; of those that learn 16 bytes more each (a 32-bit copy, gradient and the
    two moments of AdamW); activations of a micro-batch, or a tenth of them with gradient checkpointing (of 34 bytes a token and
    unit of width 2, and one layer's all: Korthikanti et al. 2022). An adapter has about a fiftieth of its part's weights."""
    sizes = facts.sizes
    if sizes is None:
        return 0
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
    return (sizes.tower + sizes.projector + sizes.language_model) * facts.bytes_per_weight + 16 * learning + kept


def _fitted(parts: ResolvedParts, training: ResolvedTraining, facts: TrainingFacts) -> tuple[ResolvedTraining, str]:
    """The training in micro-batches that fit a worker, with gradient checkpointing where one window does not fit without: neither
    changes what is learned. Raises ResourcesError where nothing fits."""
    memory = facts.memory_bytes
    if memory is None or needed_bytes(parts, training, facts) <= memory:
        return training, ""
    sizes = [size for size in (4, 2, 1) if size < training.micro_batch_windows] or [1]
    smaller = training
    for is_checkpointed in (training.gradient_checkpointing, True):
        for size in sizes:
            changes = {"micro_batch_windows": size, "gradient_checkpointing": is_checkpointed}
            smaller = training.model_copy(update=changes)
            if needed_bytes(parts, smaller, facts) <= memory:
                how = " with gradient checkpointing" if is_checkpointed else ""
                return smaller, f"A worker has {memory / GIB:.1f} GiB: windows at once {size}{how}."
    raise ResourcesError(
        f"this training needs about {needed_bytes(parts, smaller, facts) / GIB:.1f} GiB a worker, one window at a time and with "
        f"gradient checkpointing; a worker has {memory / GIB:.1f} GiB. Set parts.tower=frozen, model.dtype=bfloat16 or nf4, or "
        f"take a smaller model. Nothing was started."
    )
