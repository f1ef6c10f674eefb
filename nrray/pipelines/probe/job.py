"""The config of `nrray probe`."""

from pydantic import Field, model_validator

from nrray.evaluate.config import DEFAULT_PART
from nrray.models.shown import Shown
from nrray.pipelines.relabel.job import RelabelConfig

PLACES_OF_NOTHING = (Shown.BLANK, Shown.FROZEN, Shown.SHUFFLED, Shown.FOREIGN)


class ProbeConfig(RelabelConfig):
    """A model and a strategy as `nrray relabel` takes them, and annotated videos to probe them on."""

    output: str = Field(description="folder or URI of the labels of every probe, and probe.json")
    reference: str = Field(description="annotation folder or label version that says what goes on")
    cases: str | None = Field(None, description="case sidecar; without one a video is its own case")
    split: str | None = Field(None, description="split file; with it only the cases of `part` are probed")
    part: str = Field(DEFAULT_PART, description="part of the split")
    max_cases: int | None = Field(None, ge=1, description="probe so many cases at most, drawn by `seed`; None: all")
    conditions: tuple[Shown, ...] = Field(
        PLACES_OF_NOTHING, description="what is shown in place of the videos: blank, frozen, shuffled, foreign"
    )
    rewords: bool = Field(True, description="also ask in other words, where the strategy has some")
    seed: int = Field(0, ge=0, description="of the cases that are drawn")

    @model_validator(mode="after")
    def _conditions_are_other_frames(self) -> "ProbeConfig":
        if self.shown is not Shown.FILMED:
            raise ValueError(f"found shown={self.shown.value}, expected `conditions`: a probe shows the videos first")
        if Shown.FILMED in self.conditions:
            raise ValueError("found filmed among the conditions, expected others: a probe shows the videos first")
        if len(set(self.conditions)) < len(self.conditions):
            raise ValueError("expected each condition once")
        return self
