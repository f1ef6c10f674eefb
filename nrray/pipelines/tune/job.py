"""The config of `nrray tune`: a fine-tuning, and the space of its settings that is searched. Starts no Ray."""

from collections.abc import Mapping
from itertools import product

from pydantic import Field, JsonValue, ValidationError

from nrray.config import Section
from nrray.errors import ConfigError
from nrray.models.config import ResolvedParts
from nrray.models.families import TuningMethod
from nrray.models.resolved import ResolvedCheckpoint
from nrray.pipelines.finetune.job import FinetuneConfig
from nrray.pipelines.search_sections import Range, Scale, SearchSection, Space
from nrray.pipelines.tune.effects import PARTS, effective_values
from nrray.setting_problems import setting_problems
from nrray.train.start import family_of
from nrray.train.training_config import TimesformerSection

_SEARCHED_SECTIONS = ("parts", "adapter", "head", "training", "timesformer")

_TOWER, _UNFREEZING = "parts.tower", "training.unfreezing_fraction"
_TOWER_RATES = Range(low=1.0e-4, high=1.0e-3, scale=Scale.LOG)
_FULL_RATES: Space = {"training.full_learning_rate": Range(low=3.0e-5, high=1.0e-3, scale=Scale.LOG)}
SPACES: dict[TuningMethod, Space] = {
    TuningMethod.LORA: {
        _TOWER: ("frozen", "adapter", "last_blocks"),
        "training.tower_learning_rate": _TOWER_RATES,
        # Around ten times the rates of whole models, where adapters learn best at any rank: Schulman et al. 2025.
        "training.learning_rate": Range(low=2.0e-4, high=2.0e-3, scale=Scale.LOG),
        "adapter.rank": (8, 16, 32),
    },
    TuningMethod.WHOLE: {
        _TOWER: ("adapter", "last_blocks", "whole"),
        "training.tower_learning_rate": _TOWER_RATES,
        **_FULL_RATES,
        "adapter.rank": (8, 16, 32),
    },
    TuningMethod.HEAD: {
        _TOWER: ("frozen", "adapter", "last_blocks"),
        "training.tower_learning_rate": _TOWER_RATES,
        "training.head_learning_rate": Range(low=1.0e-4, high=1.0e-2, scale=Scale.LOG),
        "head.pooling": ("mean_frames", "attention"),
    },
}
"""What is searched where the config names nothing: which parts learn, and their rates."""
_RATES_OF = {
    TuningMethod.LORA: "training.learning_rate",
    TuningMethod.WHOLE: "training.full_learning_rate",
    TuningMethod.HEAD: "training.head_learning_rate",
}


class TuneConfig(FinetuneConfig):
    """Everything of a fine-tuning, and the searched space. `tower`, `rank`, `learning_rate` and `unfreezing` are short for
    parts.tower, adapter.rank, training.learning_rate (of a TimeSformer full_learning_rate, of a frozen encoder
    head_learning_rate) and training.unfreezing_fraction."""

    space: Space = Field(
        default_factory=dict,
        description="which parts learn and their rates, as the model has them, where none is given",
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
            raise _unusable(values or {}, FinetuneConfig, error) from None


def resolved_space(
    config: TuneConfig, start: ResolvedCheckpoint | TimesformerSection, *, defaults: ResolvedParts
) -> Space:
    """The space by full paths, every end of which is a valid setting that has an effect beside some values of the others.
    defaults: of the parts that the config leaves to auto. Raises ConfigError."""
    tuning = family_of(start).tuning
    if not config.space:
        return _FULL_RATES if isinstance(start, TimesformerSection) else SPACES[tuning]
    short = {
        "tower": _TOWER,
        "rank": "adapter.rank",
        "learning_rate": _RATES_OF[tuning],
        "unfreezing": _UNFREEZING,
    }
    space = {short.get(path, path): values for path, values in config.space.items()}
    for path, values in space.items():
        if path.split(".")[0] not in _SEARCHED_SECTIONS or "." not in path:
            raise ConfigError(
                f"space: found {path}, expected {', '.join(short)} or a setting of {', '.join(_SEARCHED_SECTIONS)}, such as "
                f"training.batch_windows."
            )
        if isinstance(values, tuple) and not values:
            raise ConfigError(f"space: {path} has no values, expected some, or low and high.")
        if isinstance(values, Range) and path.startswith(PARTS):
            raise ConfigError(f"space: {path} has low and high, expected some values.")
    _check_values(config, space, start, defaults)
    return space


def _check_values(
    config: TuneConfig, space: Space, start: ResolvedCheckpoint | TimesformerSection, defaults: ResolvedParts
) -> None:
    """Raise ConfigError where a value cannot be used, or a setting has no effect whichever parts learn."""
    idle = set(space)
    choices = {path: values for path, values in space.items() if path.startswith(PARTS) and isinstance(values, tuple)}
    for chosen in product(*choices.values()):
        parts: dict[str, JsonValue] = dict(zip(choices, chosen, strict=True))
        for path, values in space.items():
            for value in (values.low, values.high) if isinstance(values, Range) else values:
                try:
                    effective = effective_values(
                        {**parts, path: value}, section=config.parts, start=start, defaults=defaults
                    )
                except ValidationError as error:
                    raise _unusable({**parts, path: value}, type(config.parts), error) from None
                config.finetune_config(effective)
                idle -= effective.keys()
    if idle:
        raise ConfigError(
            f"space: found {', '.join(sorted(idle))}, which have no effect on this {family_of(start).title}, whichever of the "
            f"searched parts learn ({defaults.text()} where none is searched). Leave them out, or search parts.* too."
        )


def _unusable(values: Mapping[str, JsonValue], section: type[Section], error: ValidationError) -> ConfigError:
    return ConfigError(f"space: {dict(values)} cannot be used: {'; '.join(setting_problems(section, error))}.")


def space_text(space: Space) -> str:
    """The space in words, without the sections of its settings."""

    def text(values: tuple[JsonValue, ...] | Range) -> str:
        if isinstance(values, Range):
            return f"{values.low:g} to {values.high:g}{' (log)' if values.scale is Scale.LOG else ''}"
        return ", ".join(map(str, values))

    return "; ".join(f"{path.split('.')[-1]} {text(values)}" for path, values in space.items())
