"""A format of annotation files: its reader, its writer, and the facts of it that import and export need."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from nrray.formats.options import ReadOptions, TimeUnit
from nrray.formats.reading import ParsedFile, Problems
from nrray.formats.videos import KnownVideos
from nrray.types import Extent, Segment


@dataclass(frozen=True, kw_only=True)
class ReadContext:
    """The settings and names that a reader may need beside the file. known_names: activity names that files may use; problems:
    of the rows that a reader leaves out, to find those of the others too."""

    options: ReadOptions
    videos: KnownVideos
    known_names: frozenset[str]
    problems: Problems = field(default_factory=Problems)


class Reader(Protocol):
    """The content of one file, parsed, less the rows whose problems it gathers. Raises DataError for a file that cannot be read
    at all; each names the file and the place in it."""

    def __call__(self, data: bytes, *, file: str, context: ReadContext) -> ParsedFile: ...


@dataclass(frozen=True, kw_only=True)
class VideoAnnotations:
    """The annotations of one video, ready to be written: the times of segments lie on the format's grid.

    length_us: 0 where the format does not state lengths; frames_per_second: None where it does not count frames.
    """

    path: str
    segments: Sequence[Segment]
    extents: Sequence[Extent]
    time_unit: TimeUnit
    length_us: int
    frames_per_second: float | None


Writer = Callable[[VideoAnnotations], str]


class SourceKept(Enum):
    """Place of the source (annotator or model) in a written file."""

    PER_SEGMENT = "per segment"
    PER_OBSERVATION = "per observation"
    NOWHERE = "nowhere"


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """One line of the catalogue.

    suffix: of written files; owns_suffix: files with it are of no other format; is_first_line, is_json: whether a text by its
    first line, or the value of a JSON file, is of this format; read_options, write_options: settings of import and export that
    concern the format; states_lengths: a written file needs the length of its video; counts_frames: its times are frame numbers;
    holds_extents: one examined interval per observation; holds_overlaps: two segments of one activity and source may overlap.
    """

    read: Reader
    write: Writer
    suffix: str
    owns_suffix: bool = False
    is_first_line: Callable[[bytes], bool] | None = None
    is_json: Callable[[Any], bool] | None = None
    read_options: frozenset[str] = frozenset()
    write_options: frozenset[str] = frozenset()
    source_kept: SourceKept = SourceKept.NOWHERE
    states_lengths: bool = False
    counts_frames: bool = False
    holds_extents: bool = False
    holds_overlaps: bool = True


def json_file(value: object) -> str:
    """The text of a JSON file."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
