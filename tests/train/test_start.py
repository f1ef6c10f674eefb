"""What learns where a config leaves it open, and settings of parts that have no effect."""

import pytest
from pydantic import ValidationError

from nrray.errors import ConfigError
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.config import LanguageModelLearning, PartsSection, ProjectorLearning, ResolvedParts, TowerLearning
from nrray.train.start import resolved_parts
from nrray.train.training_config import TimesformerSection


def parts_of_family(checkpoint_of, name, **settings):
    start = resolve_checkpoint(CheckpointChoice(path=str(checkpoint_of(name))))
    return resolved_parts(PartsSection.model_validate(settings), start)


def test_every_family_has_a_default(checkpoint_of):
    vlm = parts_of_family(checkpoint_of, "smolvlm")
    assert vlm == ResolvedParts(
        tower=TowerLearning.LAST_BLOCKS,
        tower_blocks=2,
        projector=ProjectorLearning.WHOLE,
        language_model=LanguageModelLearning.ADAPTER,
    )
    assert vlm.text() == "tower: last blocks (2), projector: whole, language model: adapter"
    assert parts_of_family(checkpoint_of, "timesformer") == ResolvedParts(tower=TowerLearning.WHOLE)
    assert parts_of_family(checkpoint_of, "vjepa2").is_frozen


def test_what_is_set_stays_and_the_rest_is_the_default_s(checkpoint_of):
    found = parts_of_family(checkpoint_of, "smolvlm", tower="norms", language_model="frozen")
    assert found == ResolvedParts(tower=TowerLearning.NORMS, projector=ProjectorLearning.WHOLE)
    assert parts_of_family(checkpoint_of, "vjepa2", tower="last_blocks").tower_blocks == 2
    assert parts_of_family(checkpoint_of, "smolvlm", tower_blocks=1).tower_blocks == 1
    assert PartsSection.model_validate(found.document() | {"tower_blocks": "auto"}).resolved(found) == found


def test_a_setting_without_effect_is_refused(checkpoint_of):
    with pytest.raises(ValidationError, match=r"tower_blocks=3 has no effect with tower=norms"):
        PartsSection(tower="norms", tower_blocks=3)
    with pytest.raises(ConfigError, match=r"found tower=frozen and tower_blocks=3\..*set tower=last_blocks"):
        parts_of_family(checkpoint_of, "videomae", tower_blocks=3)
    for name in ("language_model", "projector"):
        with pytest.raises(ConfigError, match=rf"parts\.{name}: found adapter, but a VideoMAE encoder has none"):
            parts_of_family(checkpoint_of, "videomae", **{name: "adapter"})
    with pytest.raises(ConfigError, match=r"parts\.tower: found norms, expected whole.*from scratch"):
        resolved_parts(PartsSection(tower="norms"), TimesformerSection())
