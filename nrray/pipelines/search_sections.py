"""Config sections of a search over settings. Apart from `on_ray`, so that reading a config imports no Ray."""

from enum import Enum

from pydantic import Field, JsonValue, model_validator

from nrray.config import Section


class Scale(str, Enum):
    """How a range is filled."""

    LINEAR = "linear"
    LOG = "log"


class Range(Section):
    """Every value between two."""

    low: float
    high: float
    scale: Scale = Scale.LINEAR

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.scale is Scale.LOG and self.low <= 0):
            raise ValueError(
                f"expected low < high, and above 0 on a logarithmic scale; found {self.low:g} and {self.high:g}"
            )
        return self


Space = dict[str, tuple[JsonValue, ...] | Range]
"""Path of a setting to the values that it may have."""


class SearcherKind(str, Enum):
    """How values are drawn."""

    RANDOM = "random"
    OPTUNA = "optuna"  # a tree-structured Parzen estimator: later trials look where earlier ones were good


class SearchSection(Section):
    """How many trials, how their values are drawn, and when a trial is pruned (ASHA, Li et al. 2020)."""

    num_trials: int = Field(16, ge=1, le=10_000, description="settings that are tried")
    searcher: SearcherKind = SearcherKind.RANDOM
    seed: int = Field(0, ge=0, description="of drawn values; all trials train with training.seed")
    grace_percent: int = Field(25, ge=1, le=100, description="of a trial's steps before it may be pruned; 100: never")
    reduction_factor: float = Field(3.0, gt=1, description="at each rung the best 1 of so many go on")
    max_concurrent: int | None = Field(None, ge=1, description="trials at once; as many as fit where none is given")
    max_trial_failures: int = Field(1, ge=0, description="a failed trial is tried again so often")
    budget_minutes: float | None = Field(None, gt=0, description="no trial goes on after this")
