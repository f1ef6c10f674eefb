"""The config of `nrray tune`: a fine-tuning, and the space of its settings that is searched. Starts no Ray."""

from collections.abc import Mapping

from pydantic import Field, JsonValue, ValidationError

from nrray.errors import ConfigError
from nrray.models.families import FamilyEntry, TuningMethod
from nrray.pipelines.finetune.job import FinetuneConfig
from nrray.pipelines.search_sections import Range, Scale, SearchSection, Space

_SEARCHED_SECTIONS = ("adapter", "head", "training", "timesformer")

_UNFREEZING = "training.unfreezing_fraction"
RATES = Range(low=5.0e-5, high=1.0e-3, scale=Scale.LOG)
ADAPTER_SPACE: Space = {"adapter.rank": (8, 16, 32, 64), "training.learning_rate": RATES}
"""Around ten times the rates of whole models, which is where adapters learn best at any rank (Schulman et al. 2025)."""
SPACES: dict[TuningMethod, Space] = {
    TuningMethod.LORA: ADAPTER_SPACE,
    TuningMethod.WHOLE: {
        "training.full_learning_rate": Range(low=3.0e-5, high=1.0e-3, scale=Scale.LOG),
        _UNFREEZING: (0.0, 0.25, 0.5, 0.75),
    },
    TuningMethod.HEAD: {
        "training.head_learning_rate": Range(low=1.0e-4, high=1.0e-2, scale=Scale.LOG),
        "head.pooling": ("mean_frames", "attention"),
    },
}
_RATES_OF = {
    TuningMethod.LORA: "training.learning_rate",
    TuningMethod.WHOLE: "training.full_learning_rate",
    TuningMethod.HEAD: "training.head_learning_rate",
}


class TuneConfig(FinetuneConfig):
    """Everything of a fine-tuning, and the searched space. `rank`, `learning_rate` and `unfreezing` are short for adapter.rank,
    training.learning_rate (of a TimeSformer full_learning_rate, of a frozen encoder head_learning_rate) and
    training.unfreezing_fraction."""

    space: Space = Field(
        default_factory=dict, description="rank and learning rate, or as the model is trained, where none is given"
    )
    search: SearchSection = SearchSection()

    def finetune_config(self, values: Mapping[str, JsonValue] | None = None) -> FinetuneConfig:
        """The fine-tuning, with values for settings of the space. Raises ConfigError."""
        document = self.model_dump(mode="json", exclude={"space", "search"})
        for path, value in (values or {}).items():
            section, name = path.split(".", 1)
            *parents, last = name.split(".")
            target = document.get(section)
            for parent in parents:
                target = target.get(parent) if isinstance(target, dict) else None
            if not isinstance(target, dict) or last not in target:
                raise ConfigError(
                    f"space: found {path}, expected the path of a setting such as training.learning_rate."
                )
            target[last] = value
        try:
            return FinetuneConfig.model_validate(document)
        except ValidationError as error:
            reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConfigError(f"space: {dict(values or {})} cannot be used ({reasons}).") from None


def resolved_space(config: TuneConfig, family: FamilyEntry) -> Space:
    """The space by full paths, every end of which is a valid setting. Raises ConfigError."""
    is_fresh = config.timesformer is not None
    if not config.space:
        return {
            path: values for path, values in SPACES[family.tuning].items() if not (is_fresh and path == _UNFREEZING)
        }
    short = {
        "rank": "adapter.rank",
        "learning_rate": _RATES_OF[family.tuning],
        "unfreezing": _UNFREEZING,
    }
    space = {short.get(path, path): values for path, values in config.space.items()}
    if is_fresh and _UNFREEZING in space:
        raise ConfigError(
            f"space: found {_UNFREEZING}, which a TimeSformer from scratch does not have: all of it learns at once. Leave it "
            f"out, or give a checkpoint (model.path)."
        )
    _check_settings_have_an_effect(space, family)
    for path, values in space.items():
        if path.split(".")[0] not in _SEARCHED_SECTIONS or "." not in path:
            raise ConfigError(
                f"space: found {path}, expected {', '.join(short)} or a setting of {', '.join(_SEARCHED_SECTIONS)}, such as "
                f"training.batch_windows."
            )
        if isinstance(values, tuple) and not values:
            raise ConfigError(f"space: {path} has no values, expected some, or low and high.")
        for value in (values.low, values.high) if isinstance(values, Range) else values:
            config.finetune_config({path: value})
    return space


def _check_settings_have_an_effect(space: Space, family: FamilyEntry) -> None:
    adapted = next((path for path in space if path.startswith("adapter.")), None)
    if family.tuning is TuningMethod.WHOLE and adapted is not None:
        raise ConfigError(
            f"space: found {adapted}, but a {family.title} is trained whole, without an adapter. Leave it out."
        )
    idle = adapted or (_UNFREEZING if _UNFREEZING in space else None)
    if family.tuning is TuningMethod.HEAD and idle is not None:
        raise ConfigError(
            f"space: found {idle}, but a {family.title} is frozen: its head alone is trained. Leave it out."
        )


def space_text(space: Space) -> str:
    """The space in words, without the sections of its settings."""

    def text(values: tuple[JsonValue, ...] | Range) -> str:
        if isinstance(values, Range):
            return f"{values.low:g} to {values.high:g}{' (log)' if values.scale is Scale.LOG else ''}"
        return ", ".join(map(str, values))

    return "; ".join(f"{path.split('.')[-1]} {text(values)}" for path, values in space.items())
