"""The settings of `nrray evaluate`, `nrray compare` and `nrray split`."""

from pydantic import Field, field_validator, model_validator

from nrray.archive.splits import SPLIT_PARTS
from nrray.config import Section

DEFAULT_PART = "test"


class EvaluateConfig(Section):
    """A labelling and the reference that it is measured against."""

    candidate: str = Field(description="label version, relabel output or annotation folder that is measured")
    reference: str = Field(description="annotation folder or label version that it is measured against")
    output: str = Field("runs/evaluation", description="folder for evaluation.json and report.html")
    cases: str | None = Field(None, description="case sidecar (CSV or Parquet); without one a video is its own case")
    label_set: str | None = Field(None, description="label set file; the one in the package where none is given")
    manifest: str | None = Field(
        None, description="manifest.parquet: with it, one content in two parts of the split is an error"
    )
    split: str | None = Field(None, description="split file; with it only the cases of `part` are measured")
    part: str = Field(DEFAULT_PART, description="part of the split")
    merge_gap_seconds: float = Field(
        2.0, ge=0, description="gaps up to this are closed before indicators; there is no agreed value"
    )
    balanced_windows: int = Field(
        0,
        ge=0,
        description="also measure a class-balanced subset of at most so many windows, as the study did; 0: none",
    )
    seed: int = Field(0, ge=0, description="of the balanced subset")
    sufficient_f1: float = Field(
        0.8, ge=0, le=1, description="F1 over time from which the report calls an activity good enough"
    )
    worst_cases: int = Field(10, ge=0, le=200, description="timelines in the report, worst first")

    @model_validator(mode="after")
    def _part_is_of_a_split(self) -> "EvaluateConfig":
        check_part(self.part, self.split)
        return self


class CompareConfig(Section):
    """Labellings that are compared on the same cases."""

    candidates: tuple[str, ...] = Field(description="folders of two or more labellings")
    names: tuple[str, ...] = Field(
        (),
        description="names of the candidates; without them labels go by their folder, annotations by their annotators",
    )
    reference: str = Field(description="labelling that all candidates are measured against")
    output: str = Field("runs/comparison", description="folder for comparison.json")
    cases: str | None = Field(None, description="case sidecar; without one a video is its own case")
    label_set: str | None = Field(None, description="label set file; the one in the package where none is given")
    split: str | None = Field(None, description="split file; with it only the cases of `part` are compared")
    part: str = Field(DEFAULT_PART, description="part of the split")
    metric: str = Field(
        "time f1", description="metric that is compared; windows differ between labellings, time does not"
    )

    @model_validator(mode="after")
    def _part_is_of_a_split(self) -> "CompareConfig":
        check_part(self.part, self.split)
        return self

    @field_validator("candidates")
    @classmethod
    def _several(cls, candidates: tuple[str, ...]) -> tuple[str, ...]:
        if len(candidates) < 2:
            raise ValueError("expected two or more labellings")
        return candidates


class SplitConfig(Section):
    """Assignment of cases to split parts."""

    manifest: str = Field(description="manifest.parquet of `nrray scan`")
    cases: str | None = Field(None, description="case sidecar; without one a video is its own case")
    annotations: str | None = Field(None, description="annotation folder: activities are then spread evenly")
    output: str = Field("runs/split.json", description="the split file")
    fractions: dict[str, float] = Field(
        default_factory=lambda: {"train": 0.7, "validation": 0.15, "test": 0.15},
        description="of the cases in each part",
    )
    seed: int = Field(0, ge=0, description="of the assignment")
    label_set: str | None = Field(None, description="label set file; the one in the package where none is given")

    @field_validator("fractions")
    @classmethod
    def _whole(cls, fractions: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(set(fractions) - set(SPLIT_PARTS)):
            raise ValueError(f"found parts {unknown}, expected some of {', '.join(SPLIT_PARTS)}")
        if abs(sum(fractions.values()) - 1) > 1e-6 or min(fractions.values(), default=-1) < 0:
            raise ValueError(f"expected shares that sum to 1, found {fractions}")
        return fractions


def check_part(part: str, split: str | None, *, default: str = DEFAULT_PART) -> None:
    """Raises ValueError for a part that would have no effect."""
    if split is None and part != default:
        raise ValueError(
            f"found part {part!r} without a split, expected the split file too: set split=FILE, or leave part out"
        )
