"""The settings of `nrray import` and `nrray export`, and the choices in them. Knows no format's details."""

from enum import Enum
from typing import Literal

from pydantic import Field, field_validator, model_validator

from nrray.config import Section


class Format(str, Enum):
    """A format that annotations are read from and written to."""

    MILLISECOND_TEXT = "millisecond_text"
    DELIMITED = "delimited"
    ELAN = "elan"
    ELAN_TAB = "elan_tab"
    BORIS = "boris"
    BORIS_AGGREGATED = "boris_aggregated"
    LABEL_STUDIO = "label_studio"
    WEBVTT = "webvtt"


class TimeUnit(str, Enum):
    """Unit of the numbers in a time column."""

    MICROSECONDS = "us"
    MILLISECONDS = "ms"
    SECONDS = "s"
    FRAMES = "frames"  # counted from 0; needs a frame rate
    CLOCK = "hh:mm:ss.mmm"


class Delimiter(str, Enum):
    """Separator of columns."""

    AUTO = "auto"  # a tab where the first line has one, else `;` or `,`, else blanks
    TAB = "tab"
    COMMA = "comma"
    SEMICOLON = "semicolon"
    BLANKS = "blanks"


class ActivityFrom(str, Enum):
    """Place of the activity of an annotation in an ELAN file."""

    AUTO = "auto"  # the tier's id where it is a known activity name, else the annotation's value
    TIER = "tier"
    VALUE = "value"


class UnsetTimeSlots(str, Enum):
    """Treatment of an ELAN time slot that has no time."""

    REFUSE = "refuse"
    INTERPOLATE = "interpolate"


class OpenStates(str, Enum):
    """Treatment of a BORIS state that was started and not stopped."""

    REFUSE = "refuse"
    TO_END = "to_end"


class ExtentFrom(str, Enum):
    """Source of the extents: which time an annotator examined. Outside an extent, silence means nothing."""

    STATED = "stated"  # the file says it (BORIS); a file that does not is refused
    WHOLE = "whole"  # every video from start to end, as long as the manifest measured it
    NONE = "none"  # not known: segments only, which no comparison counts


Column = int | str


class ColumnMap(Section):
    """A map of columns: all by the name in the header line, or all by number from 1 where there is no header."""

    activity: Column
    start: Column
    end: Column | None = None
    duration: Column | None = Field(None, description="in place of end, or checked against it")
    video: Column | None = None
    source: Column | None = Field(None, description="annotator")

    @property
    def given(self) -> dict[str, Column]:
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _is_complete(self) -> "ColumnMap":
        if self.end is None and self.duration is None:
            raise ValueError("give `end`, or `duration` in its place")
        if len({type(value) for value in self.given.values()}) > 1:
            raise ValueError(f"give all columns by name or all by number, found {self.given}")
        if any(isinstance(value, int) and value < 1 for value in self.given.values()):
            raise ValueError(f"columns are counted from 1, found {self.given}")
        return self


class ReadOptions(Section):
    """Options of single formats. Each is an error where no file is in a format that it concerns."""

    columns: ColumnMap | None = Field(
        None, description="of delimited text: which column is activity, start, end or duration, video, source"
    )
    time_unit: TimeUnit | None = Field(None, description="of delimited text: us, ms, s, frames, hh:mm:ss.mmm")
    delimiter: Delimiter = Field(Delimiter.AUTO, description="of delimited text")
    skip_rows: int = Field(0, ge=0, description="lines before the header or the first row")
    fps: float | None = Field(None, gt=0, description="of frame numbers; else the manifest's measured rate")
    activity_from: ActivityFrom = Field(ActivityFrom.AUTO, description="of ELAN: tier or value that names the activity")
    unset_time_slots: UnsetTimeSlots = Field(UnsetTimeSlots.REFUSE, description="of ELAN: annotations without a time")
    open_states: OpenStates = Field(OpenStates.REFUSE, description="of BORIS: states that are never stopped")


class ImportConfig(ReadOptions):
    """Files, how they are read, where the tables go."""

    files: list[str] = Field(min_length=1, description="paths or glob patterns")
    format: Format | Literal["auto"] = Field("auto", description="auto: by the file's suffix and first lines")
    manifest: str = Field(description="manifest.parquet of `nrray scan`")
    output: str = Field("runs/annotations", description="folder for segments.parquet and extents.parquet")
    label_set: str | None = Field(None, description="label set file; the shipped set where none is given")
    source: str | None = Field(
        None, description="annotator, where the files name none; {folder} and {stem} are the file's"
    )
    annotator: str | None = Field(None, description="only the annotations of this annotator, as an import names it")
    video: str | None = Field(None, description="the one video that all files are of, whatever they say")
    videos: dict[str, str] = Field(
        default_factory=dict, description="their names of videos to paths of the manifest, where they differ"
    )
    names: dict[str, str] = Field(default_factory=dict, description="their activity names to ours")
    ignore: list[str] = Field(default_factory=list, description="activity names that are left out, and counted")
    activities: list[str] = Field(
        default_factory=list,
        description="that the annotators looked for, beside those that the files name: silence about these is absence",
    )
    offset_seconds: float = Field(0.0, allow_inf_nan=False, description="added to all times")
    extent: ExtentFrom = Field(
        ExtentFrom.STATED,
        description="time that the annotators examined: as the files state it, the whole video, or not known",
    )

    @field_validator("source", mode="before")
    @classmethod
    def _braces_are_no_mapping(cls, source: object) -> object:
        """YAML reads {folder}, as `--set source={folder}` gives it, as a mapping."""
        if isinstance(source, dict) and list(source.values()) == [None]:
            return f"{{{next(iter(source))}}}"
        return source


class ExportConfig(Section):
    """Tables, format, where the files go."""

    input: str = Field(
        description="annotation folder of `nrray simulate` or `nrray import`, or label version, such as .../latest"
    )
    format: Format = Field(description="of the files written")
    output: str = Field("runs/exported", description="folder for one file per video")
    manifest: str | None = Field(None, description="manifest.parquet: lengths (BORIS) and frame rates (Label Studio)")
    fps: float | None = Field(None, gt=0, description="of Label Studio frame numbers, in place of the manifest's rate")
    time_unit: TimeUnit = Field(TimeUnit.MILLISECONDS, description="of delimited text: us, ms or s")
