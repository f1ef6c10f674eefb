"""The rows and arrays that one step hands to the next. Frozen; time is int64 microseconds of presentation time, spans are
half-open [start_us, end_us). `nrray.tables` derives the Arrow schema of every row type from its fields.

A video becomes labels by these hops:

    Video -> Unit -> UnitRequest -> DecodedUnit -> Frames -> WindowLabels -> UnitResult -> Label, Answer, Coverage, Segment
       (plan)   (driver)      (decode)     (label ................)      (ledger)   (publish)

With a judge in a pool of its own, DecodedUnit -> CaptionedUnit -> UnitResult stand for the middle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from nrray.errors import ErrorKind

US_PER_SECOND = 1_000_000
US_PER_HOUR = 3600 * US_PER_SECOND

# Marks of fields whose Arrow type the Python type does not tell.
Int32 = Annotated[int, "int32"]
Float32 = Annotated[float, "float32"]
Coded = Annotated[str, "dictionary"]  # few different values in many rows
Blob = Annotated[NDArray[np.uint8], "blob"]  # (N,) bytes that are never looked into as a list


def hours_of(us: float) -> float:
    """Microseconds as hours."""
    return us / US_PER_HOUR


class ProbeStatus(str, Enum):
    """Whether a video can be planned."""

    OK = "ok"
    BAD = "bad"


class ClockKind(str, Enum):
    """The time stamps of a file. Of others than steady ones all are read, and the file is decoded from its start."""

    STEADY = "steady"
    OUTLIERS = "outliers"  # single stamps that their neighbours contradict: their pictures are left out
    RESTARTS = "restarts"  # the clock starts again in mid-file: later times are put behind the earlier ones
    LOST = "lost"  # pictures are counted, not dated, and some are lost: from there on all count as damaged
    NONE = "none"  # a raw stream at an assumed rate
    UNCHECKED = "unchecked"  # too large to be read through by the scan


class UnitStatus(str, Enum):
    """Outcome of a unit."""

    OK = "ok"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class CoverageStatus(str, Enum):
    """Outcome of a window. A window that is neither `ok` nor `degraded` was not examined; it is never `absent`."""

    OK = "ok"
    DEGRADED = "degraded"  # labelled, from pictures some of which are damaged
    FAILED = "failed"
    QUARANTINED = "quarantined"
    NOT_ASSESSABLE = "not_assessable"  # of a video that looks unlike those that its model was trained on
    NOT_RUN = "not_run"


EXAMINED_STATUSES = (CoverageStatus.OK.value, CoverageStatus.DEGRADED.value)


class LabelState(str, Enum):
    """Claim about one activity in one window."""

    PRESENT = "present"
    ABSENT = "absent"
    UNSURE = "unsure"
    UNPARSED = "unparsed"
    NOT_ASSESSABLE = "not_assessable"


class Origin(str, Enum):
    """Kind of author of a segment."""

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
    takes the path, so that copies of one content stay apart. Rows of version 1 lack the fields from `claimed_duration_us` on.
    """

    schema_version: ClassVar[int] = 2

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
    width_px: Int32 | None = None
    height_px: Int32 | None = None
    rotation_degrees: Int32 | None = None
    seekable: bool | None = None
    claimed_duration_us: int | None = None  # by the header; `duration_us` is what its packets hold
    clock: ClockKind | None = None
    is_mirrored: bool | None = None
    field_order: str | None = None
    transfer: str | None = None
    stream_index: Int32 | None = None
    num_video_streams: Int32 | None = None
    num_key_frames: Int32 | None = None
    remarks: str | None = None  # what a person should know of the file, in sentences


@dataclass(frozen=True, kw_only=True)
class Case:
    """One video of one case, as a sidecar table describes it: where the video stands on the case's clock, and the instants
    of the case that are known, by name, in microseconds on that clock. Those that indicators count from, a label set names."""

    schema_version: ClassVar[int] = 1

    case_id: str
    video_path: str
    camera: str
    video_start_us: int  # on the case's clock
    site: str | None
    instants: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Time of a video that a source has examined. Outside it, silence means nothing. `path` is relative to the archive."""

    schema_version: ClassVar[int] = 1

    path: Coded
    start_us: int
    end_us: int
    source: Coded


@dataclass(frozen=True, kw_only=True)
class Segment:
    """An activity going on in a video, as one annotator, simulation or model has it; `source` names which.

    `path`, relative to the archive, is the key of its video: annotations know no `video_id`, and no score either.
    """

    schema_version: ClassVar[int] = 1

    video_id: Coded | None = None
    path: Coded
    activity: Coded
    start_us: int
    end_us: int
    score: Float32 | None = None
    source: Coded
    origin: Annotated[Origin, "dictionary"]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A bounded run of consecutive windows of one video: the grain of planning, decoding and retry."""

    unit_id: str
    video_id: str
    first_window: Int32
    num_windows: Int32


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """The facts of a video that a decoder needs: where it is, how to see that it has changed, and its time."""

    uri: str
    size_bytes: int
    modified_us: int
    start_us: int
    duration_us: int
    seekable: bool
    clock: ClockKind = ClockKind.STEADY
    frame_interval_us: int | None = None  # usual distance of its frames
    key_interval_us: int | None = None  # mean distance of the frames that decoding can start at
    stream_index: Int32 | None = None  # the stream that was scanned


@dataclass(frozen=True, kw_only=True)
class UnitRequest(VideoFacts, Unit):
    """A unit that is to be labelled, with the facts of its video. `earlier_attempts` counts the tries that the ledger knows."""

    earlier_attempts: Int32


@dataclass(frozen=True, kw_only=True)
class DecodedUnit(Unit):
    """A unit with its sampled frames, each once; one that could not be decoded has none, and an `error_kind`.

    window_start_us, window_end_us, window_decoded: (W,); window_frames: rows of F frames for every decoded window, one after
    the other; pts_us: (N,); pixels: N frames of frame_height_px x frame_width_px x 3 bytes.
    """

    earlier_attempts: Int32
    attempts: Int32
    status: UnitStatus
    error_kind: ErrorKind | None
    error: str | None
    shortfall: str | None  # why some windows of an `ok` unit were not decoded
    window_start_us: NDArray[np.int64]
    window_end_us: NDArray[np.int64]
    window_decoded: NDArray[np.bool_]
    window_damage: NDArray[np.int32] | None  # (W x 3,) pictures concealed, dropped, repeated; None where there are none
    window_frames: NDArray[np.int32]
    pts_us: NDArray[np.int64]
    frame_height_px: Int32
    frame_width_px: Int32
    pixels: Blob
    decode_seconds: float

    def frames(self, *, frames_per_second: float) -> "Frames":
        """The arrays that a labeler takes, of the decoded windows; no pixel is copied."""
        decoded = self.window_decoded
        return Frames(
            pixels=self.pixels.reshape(-1, self.frame_height_px, self.frame_width_px, 3),
            pts_us=self.pts_us,
            window_frames=self.window_frames.reshape(int(decoded.sum()), -1),
            window_start_us=self.window_start_us[decoded],
            window_end_us=self.window_end_us[decoded],
            frames_per_second=frames_per_second,
        )


@dataclass(frozen=True, kw_only=True)
class CaptionedUnit(Unit):
    """A decoded unit with its captions and without its pixels; one that failed has no captions, and an `error_kind`.

    The lists run over W windows, those of captions over the C captioned ones x Q captions each, vote by vote.
    """

    earlier_attempts: Int32
    attempts: Int32
    status: UnitStatus
    error_kind: ErrorKind | None
    error: str | None
    shortfall: str | None  # why some windows of an `ok` unit have no captions
    window_start_us: NDArray[np.int64]
    window_end_us: NDArray[np.int64]
    window_captioned: NDArray[np.bool_]
    window_damage: NDArray[np.int32] | None  # as `DecodedUnit` has it
    captions: list[str]
    caption_tokens: NDArray[np.int32]
    caption_seconds: NDArray[np.float32]
    looks_distances: NDArray[np.float32] | None  # (C,) as `WindowLabels` has them
    num_frames: Int32
    decode_seconds: float
    label_seconds: float  # of captioning
    device: str


@dataclass(frozen=True, kw_only=True)
class UnitResult(Unit):
    """Outcome of a unit: one row of the ledger.

    The lists run over the unit's W windows in time order, `scores` and `states` over W x A (window-major), those of answers
    over W x Q, as `Answers` has them. A window that is not `window_labelled` has NaN scores and was not examined. In rows of
    version 1, which name no `questions`, the questions are the activities; rows before version 3 know no damage.
    """

    schema_version: ClassVar[int] = 3

    status: UnitStatus
    error_kind: ErrorKind | None
    error: str | None
    shortfall: str | None  # why some windows of an `ok` unit have no labels
    attempts: Int32
    window_start_us: NDArray[np.int64]
    window_end_us: NDArray[np.int64]
    window_labelled: NDArray[np.bool_]
    window_damage: NDArray[np.int32] | None  # as `DecodedUnit` has it
    scores: NDArray[np.float32]
    states: NDArray[np.uint8]
    questions: list[str] | None  # Q names; None: the model was not asked in words
    answers: list[str | None] | None
    answer_states: NDArray[np.uint8] | None
    answer_tokens: NDArray[np.int32] | None
    answer_seconds: NDArray[np.float32] | None
    looks_distances: NDArray[np.float32] | None  # (W,) as `WindowLabels` has them, NaN of a window that is not labelled
    num_frames: Int32
    decode_seconds: float
    label_seconds: float
    finished_us: int  # Unix time
    run_id: str
    device: str


@dataclass(frozen=True, kw_only=True)
class Label:
    """One claim of a label version: a window, an activity, its score and state."""

    schema_version: ClassVar[int] = 1

    video_id: Coded
    path: Coded
    start_us: int
    end_us: int
    activity: Coded
    score: Float32 | None
    state: Coded  # a `LabelState`
    answer: str | None  # of a model that answers in words
    source: Coded


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model said to one question about a window, word for word. state: what the answer says of the activity that the
    question is about; of a question about several, `unparsed` where it could not be read, else None."""

    schema_version: ClassVar[int] = 1

    video_id: Coded
    path: Coded
    start_us: int
    end_us: int
    question: Coded
    answer: str
    state: Coded | None  # a `LabelState`
    num_tokens: Int32 | None
    seconds: Float32 | None  # its share of the batch that it was made in
    source: Coded


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Outcome of one window of a label version. A file that could not be read is one row without a span. Of its pictures some
    may be concealed (damaged, or referring to damaged ones), dropped (they did not come out), or repeated in place of others."""

    schema_version: ClassVar[int] = 2

    video_id: Coded
    path: Coded
    start_us: int | None
    end_us: int | None
    status: Coded  # a `CoverageStatus`
    error_kind: Coded | None
    reason: str | None
    source: Coded
    looks_distance: Float32 | None = None  # from what the model was trained on; None: not known
    num_concealed: Int32 | None = None
    num_dropped: Int32 | None = None
    num_repeated: Int32 | None = None


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
class Answers:
    """What a model said of W windows to Q questions, word for word. questions: their names; texts: W x Q; states: (W, Q) uint8
    as `Answer` has them, an index into `LabelState` or NO_STATE; num_tokens: (W, Q) int32; seconds: (W, Q) float32."""

    questions: tuple[str, ...]
    texts: list[list[str]]
    states: NDArray[np.uint8]
    num_tokens: NDArray[np.int32]
    seconds: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class WindowLabels:
    """Labels of W windows and A activities by one model.

    scores: (W, A) float32 in [0, 1], NaN where there is none; states: (W, A) uint8 index into `LabelState`
    in order of definition; answers: of a model that answers in words, else None; looks_distances: (W,)
    float32, how far what the model saw is from what it was trained on (`nrray.models.looks`), None where it does not know;
    unscored: (W,) windows whose scores came out as NaN or infinite, so that nothing can be claimed of them; None: none.
    """

    scores: NDArray[np.float32]
    states: NDArray[np.uint8]
    answers: Answers | None
    looks_distances: NDArray[np.float32] | None = None
    unscored: NDArray[np.bool_] | None = None


STATE_INDEX: dict[LabelState, int] = {state: i for i, state in enumerate(LabelState)}
NO_STATE = 255
ORDER_QUESTION = "order "
"""Begins the names of questions that ask the same in different orders: `order 1`, `order 2`, ..."""
