"""Settings of a trial that change nothing beside its others: the rate of a part that does not learn, the rank of no adapter."""

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from nrray.models.config import LanguageModelLearning, PartsSection, ProjectorLearning, ResolvedParts, TowerLearning
from nrray.models.resolved import ResolvedCheckpoint
from nrray.train.start import family_of, resolved_parts
from nrray.train.training_config import TimesformerSection

PARTS = "parts."
_TOWER_BLOCKS = "parts.tower_blocks"


def effective_values(
    values: Mapping[str, JsonValue],
    *,
    section: PartsSection,
    start: ResolvedCheckpoint | TimesformerSection,
    defaults: ResolvedParts,
) -> dict[str, JsonValue]:
    """Values of a trial without those of settings that have no effect beside the others. section: of the config that is searched;
    defaults: of what it leaves to auto. Raises ConfigError for parts that such a model does not have."""
    searched = {path.removeprefix(PARTS): value for path, value in values.items() if path.startswith(PARTS)}
    if searched.get("tower", section.tower) not in ("auto", TowerLearning.LAST_BLOCKS):
        searched.pop("tower_blocks", None)
    asked = PartsSection.model_validate({**section.model_dump(mode="json"), **searched})
    idle = _idle(values, resolved_parts(asked, start, defaults=defaults), start)
    return {path: value for path, value in values.items() if path not in idle}


def _idle(paths: Iterable[str], parts: ResolvedParts, start: ResolvedCheckpoint | TimesformerSection) -> frozenset[str]:
    is_whole = parts.tower is TowerLearning.WHOLE and not family_of(start).knows_words
    learns_language = parts.language_model is LanguageModelLearning.ADAPTER
    has_adapter = learns_language or "adapter" in (parts.tower.value, parts.projector.value)
    has_effect = {
        _TOWER_BLOCKS: parts.tower is TowerLearning.LAST_BLOCKS,
        "adapter.targets": learns_language,
        "training.learning_rate": parts.language_model is not LanguageModelLearning.FROZEN,
        "training.projector_learning_rate": parts.projector is not ProjectorLearning.FROZEN,
        "training.tower_learning_rate": parts.tower is not TowerLearning.FROZEN and not is_whole,
        "training.full_learning_rate": is_whole,
        "training.unfreezing_fraction": is_whole and isinstance(start, ResolvedCheckpoint),
        "training.head_first_steps": not parts.is_frozen,
    }
    return frozenset(path for path in paths if not has_effect.get(path, has_adapter or not path.startswith("adapter.")))
