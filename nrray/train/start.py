"""Where a training starts: a checkpoint, or the size of a fresh TimeSformer; and the families of both. No torch."""

from nrray.errors import ConfigError
from nrray.labels import LabelSet
from nrray.models.families import FamilyEntry, family_entry
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
