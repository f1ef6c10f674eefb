"""The rows and arrays that stages hand to each other. Frozen; time is int64 microseconds of presentation
time, spans are half-open [start_us, end_us)."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 1

US_PER_SECOND = 1_000_000


class ProbeStatus(str, Enum):
    """Whether a video can be planned."""

    OK = "ok"
    BAD = "bad"


class UnitStatus(str, Enum):
    """What a unit came to."""

    OK = "ok"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class CoverageStatus(str, Enum):
    """What became of a window. A window that is not `ok` was not looked at; it is never `absent`."""

    OK = "ok"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    NOT_RUN = "not_run"


class LabelState(str, Enum):
    """What is claimed of one activity in one window."""

    PRESENT = "present"
    ABSENT = "absent"
    UNSURE = "unsure"
    UNPARSED = "unparsed"
    NOT_ASSESSABLE = "not_assessable"


class Origin(str, Enum):
    """Who or what says a segment."""

    MODEL = "model"
    HUMAN = "human"
    HUMAN_EDITED_MODEL = "human_edited_model"
    IMPORTED = "imported"
    CONSENSUS = "consensus"
    SIMULATED = "simulated"


@dataclass(frozen=True, kw_only=True)
class Video:
    """One file of the archive. Fields that a bad file cannot have are None; `reason` then says why.

    `path` is relative to the archive's root; `content_id` hashes size and sampled chunks; `video_id` also
    takes the path, so that copies of one content stay apart.
    """

    video_id: str
    content_id: str
    uri: str
    path: str
    size_bytes: int
    modified_us: int
    status: ProbeStatus
    error_kind: str | None = None
    reason: str | None = None
    container: str | None = None
    codec: str | None = None
    pixel_format: str | None = None
    start_us: int | None = None
    duration_us: int | None = None
    nominal_fps: float | None = None
    measured_fps: float | None = None
    is_variable_fps: bool | None = None
    width_px: int | None = None
    height_px: int | None = None
    rotation_degrees: int | None = None
    seekable: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One video of one birth, as a sidecar table tells it: where the video stands on the case's clock."""

    case_id: str
    video_path: str
    camera: str
    video_start_us: int  # on the case's clock
    birth_us: int | None
    table_arrival_us: int | None
    site: str | None


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A span that a source has looked at. Outside it, silence means nothing."""

    video_id: str
    start_us: int
    end_us: int
    source: str


@dataclass(frozen=True, kw_only=True)
class Segment:
    """An activity going on."""

    video_id: str
    activity: str
    start_us: int
    end_us: int
    score: float | None
    source: str
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Frames:
    """A unit's sampled frames, each once, and which of them each window uses.

    pixels: (N, H, W, 3) uint8 RGB; pts_us: (N,) int64; window_frames: (W, F) int32 rows into `pixels`;
    window_start_us, window_end_us: (W,) int64. Only windows whose frames could all be decoded are here.
    """

    pixels: NDArray[np.uint8]
    pts_us: NDArray[np.int64]
    window_frames: NDArray[np.int32]
    window_start_us: NDArray[np.int64]
    window_end_us: NDArray[np.int64]
    frames_per_second: float  # of the grid that was sampled, whatever the video's own rate is


@dataclass(frozen=True, kw_only=True)
class WindowLabels:
    """What a model says of W windows and A activities.

    scores: (W, A) float32 in [0, 1], NaN where there is none; states: (W, A) uint8 index into `LabelState`
    in order of definition; answers: W x A texts of a model that answers in words, else None.
    """

    scores: NDArray[np.float32]
    states: NDArray[np.uint8]
    answers: list[list[str]] | None


STATE_INDEX: dict[LabelState, int] = {state: i for i, state in enumerate(LabelState)}


@dataclass(frozen=True, kw_only=True)
class UnitResult:
    """What a unit came to: one row of the ledger.

    The lists run over the unit's W windows in time order, `scores` and `states` over W x A (window-major). A window
    that is not `window_labelled` has NaN scores and was not looked at.
    """

    unit_id: str
    video_id: str
    first_window: int
    num_windows: int
    status: UnitStatus
    error_kind: str | None
    error: str | None
    shortfall: str | None  # why some windows of an `ok` unit have no labels
    attempts: int
    window_start_us: NDArray[np.int64]
    window_end_us: NDArray[np.int64]
    window_labelled: NDArray[np.bool_]
    scores: NDArray[np.float32]
    states: NDArray[np.uint8]
    answers: list[str] | None
    num_frames: int
    decode_seconds: float
    label_seconds: float
    finished_us: int  # Unix time
    run_id: str
    device: str
