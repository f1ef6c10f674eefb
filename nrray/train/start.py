"""Where a training starts: a checkpoint, or the size of a fresh TimeSformer; and the families of both. No torch."""

from nrray.errors import ConfigError
from nrray.labels import LabelSet
from nrray.models.config import (
    TOWER_BLOCKS,
    LanguageModelLearning,
    PartsSection,
    ProjectorLearning,
    ResolvedParts,
    TowerLearning,
)
from nrray.models.families import FamilyEntry, TuningMethod, family_entry
from nrray.models.metadata import trained_labels
from nrray.models.resolved import ResolvedCheckpoint
from nrray.train.training_config import HeadSection, TimesformerSection


def family_of(start: ResolvedCheckpoint | TimesformerSection) -> FamilyEntry:
    """The family of the trained model."""
    return start.family if isinstance(start, ResolvedCheckpoint) else family_entry("timesformer")


def check_pooling(head: HeadSection, start: ResolvedCheckpoint | TimesformerSection) -> None:
    """Raise ConfigError where a head cannot read the model so."""
    family = family_of(start)
    if head.pooling not in family.poolings:
        raise ConfigError(
            f"head.pooling: found {head.pooling.value}, expected one of {', '.join(p.value for p in family.poolings)} for a "
            f"{family.title}: it has no prompt."
        )


def has_own_head(start: ResolvedCheckpoint | TimesformerSection, head: HeadSection, label_set: LabelSet) -> bool:
    """Whether the checkpoint brings a head for these activities that reads it as the section says; else a fresh one is made."""
    own = start.metadata if isinstance(start, ResolvedCheckpoint) else None
    if own is None:
        return False
    is_same = own.pooling is head.pooling and own.hidden_units == head.hidden_units
    return is_same and own.labels == trained_labels(label_set)


def default_parts(entry: FamilyEntry) -> ResolvedParts:
    """What learns of a family's checkpoints where the config leaves it open."""
    return {
        TuningMethod.LORA: ResolvedParts(
            tower=TowerLearning.LAST_BLOCKS,
            tower_blocks=TOWER_BLOCKS,
            projector=ProjectorLearning.WHOLE,
            language_model=LanguageModelLearning.ADAPTER,
        ),
        TuningMethod.WHOLE: ResolvedParts(tower=TowerLearning.WHOLE),
        TuningMethod.HEAD: ResolvedParts(tower=TowerLearning.FROZEN),
    }[entry.tuning]


def resolved_parts(
    section: PartsSection, start: ResolvedCheckpoint | TimesformerSection, *, defaults: ResolvedParts | None = None
) -> ResolvedParts:
    """What learns; what the section leaves open is taken from `defaults`, the family's where none are given. Raises ConfigError
    where a setting has no effect on such a model."""
    entry = family_of(start)
    parts = section.resolved(defaults or default_parts(entry))
    if not entry.knows_words:
        for name in ("projector", "language_model"):
            if getattr(section, name) not in ("auto", getattr(parts, name).__class__.FROZEN):
                raise ConfigError(
                    f"parts.{name}: found {getattr(section, name).value}, but a {entry.title} has none: it is a tower alone. "
                    f"Leave it out."
                )
    if isinstance(start, TimesformerSection) and parts.tower is not TowerLearning.WHOLE:
        raise ConfigError(
            f"parts.tower: found {parts.tower.value}, expected whole: the weights of a TimeSformer from scratch are random. "
            f"Leave it out, or give a checkpoint (model.path)."
        )
    return parts
