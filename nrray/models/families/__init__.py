"""The registry of families: which checkpoints there are, and the facts of each that are asked before a weight is read. No torch.

A new family is a file beside this one and a line in `FAMILIES`.
"""

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING

from nrray.models.metadata import Pooling

if TYPE_CHECKING:
    from nrray.models.families.family import Family


class TuningMethod(str, Enum):
    """The weights of a checkpoint that are trained, beside a head."""

    LORA = "lora"  # small matrices beside its linears
    WHOLE = "whole"  # all of its weights
    HEAD = "head"  # none: its encoder is frozen


@dataclass(frozen=True, kw_only=True)
class FamilyEntry:
    """A line of the registry. title: in messages, behind "a"; model_types: of the checkpoints' config.json; implementation:
    module and class; poolings: those that a head on such a checkpoint may have."""

    name: str
    title: str
    model_types: frozenset[str]
    implementation: str
    knows_words: bool
    tuning: TuningMethod
    poolings: tuple[Pooling, ...]


def _language_model(name: str, *model_types: str, implementation: str) -> FamilyEntry:
    return FamilyEntry(
        name=name,
        title="vision-language model",
        model_types=frozenset(model_types),
        implementation=implementation,
        knows_words=True,
        tuning=TuningMethod.LORA,
        poolings=tuple(Pooling),
    )


def _video_encoder(
    name: str, *, title: str, implementation: str, tuning: TuningMethod = TuningMethod.HEAD
) -> FamilyEntry:
    return FamilyEntry(
        name=name,
        title=title,
        model_types=frozenset({name}),
        implementation=implementation,
        knows_words=False,
        tuning=tuning,
        poolings=(Pooling.MEAN_FRAMES, Pooling.ATTENTION),  # it has no prompt whose last token could be read
    )


FAMILIES: tuple[FamilyEntry, ...] = (
    _language_model("frame_wise_vlm", "fast_vlm", "llava", implementation="frame_wise_vlm:FrameWiseVlm"),
    _language_model(
        "vlm",
        "gemma3",
        "idefics3",
        "internvl",
        "llava_next_video",
        "llava_onevision",
        "mistral3",
        "qwen2_5_vl",
        "qwen2_vl",
        "qwen3_vl",
        "smolvlm",
        implementation="vlm:VisionLanguageModel",
    ),
    _video_encoder(
        "timesformer", title="TimeSformer", implementation="timesformer:Timesformer", tuning=TuningMethod.WHOLE
    ),
    _video_encoder("videomae", title="VideoMAE encoder", implementation="videomae:VideoMae"),
    _video_encoder("vjepa2", title="V-JEPA 2 encoder", implementation="vjepa2:VJepa2"),
)
_OTHERS = _language_model("other_vlm", implementation="vlm:OtherVisionLanguageModel")


def family_entry(model_type: str) -> FamilyEntry:
    """The family of checkpoints of a type. Every type that none names is taken for a vision-language model's; loading it says
    whether it is."""
    return next((entry for entry in FAMILIES if model_type in entry.model_types), _OTHERS)


def video_encoder_types() -> list[str]:
    """Model types of all families that know no words, in order."""
    return sorted(name for entry in FAMILIES if not entry.knows_words for name in entry.model_types)


def loaded_family(entry: FamilyEntry) -> "Family":
    """The family's implementation, which imports torch and transformers."""
    module, _, name = entry.implementation.partition(":")
    family: Family = getattr(import_module(f"{__name__}.{module}"), name)()
    return family
