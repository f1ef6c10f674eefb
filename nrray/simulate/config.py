"""The settings of a simulation."""

from typing import Literal

from pydantic import Field, field_validator

from nrray.config import Section
from nrray.simulate.appearance import FAMILIES
from nrray.simulate.renderers import Renderer

Family = Literal["alder", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
assert Family.__args__ == FAMILIES  # type: ignore[attr-defined]


class SimulateConfig(Section):
    """Number and length of the cases, and their cameras. The same values give the same truth and the same pixels."""

    output: str = Field("runs/simulated", description="folder for videos, truth and case sidecar")
    num_cases: int = Field(4, ge=1, le=100_000, description="resuscitations")
    seed: int = Field(0, ge=0, description="case k of a seed is the same whatever num_cases is")
    appearance: tuple[Family, ...] = Field(
        ("oak", "pine"), description="families of appearance, case by case in turn; they share nothing"
    )
    renderer: Renderer = Field(
        Renderer.FLAT, description="how scenes are drawn; the truth of a seed is the same for all"
    )
    case_seconds: float = Field(90.0, ge=10, le=7200, description="length of the first camera's video")
    videos_per_case: int = Field(2, ge=1, le=8, description="cameras; all but the first start a little later")
    width_px: int = Field(320, ge=64, le=3840, multiple_of=2, description="of the videos")
    height_px: int = Field(240, ge=64, le=2160, multiple_of=2, description="of the videos")
    frames_per_second: int = Field(15, ge=1, le=120, description="of the videos; some cameras drop frames")
    crf: int = Field(23, ge=0, le=51, description="H.264 quality: lower is better and larger")

    @field_validator("appearance")
    @classmethod
    def _not_empty(cls, families: tuple[Family, ...]) -> tuple[Family, ...]:
        if not families:
            raise ValueError(f"expected at least one family of {', '.join(FAMILIES)}")
        return families
