"""The error tree. Every message names the finding, the expectation and the remedy.

NrrayError
├── ConfigError          a config file or --set value that cannot be used
├── DataError            a manifest, sidecar, ledger or table of annotations that cannot be used
├── IdentityError        an output that was made with another model, sampling or label set
├── OutputBusyError      an output that another run is writing
├── StorageError         a full disk, a read-only folder, an object store that refuses
├── ResourcesError       more asked than the machine or cluster has
├── RayLostError         Ray itself ended under a run
├── ModelError           a checkpoint that cannot be loaded or does not fit the label set
├── TrainingError        a training that cannot go on
└── UnitError(kind)      one video or one unit that has no result; becomes a row, ends no run
    ├── DecodeError          it could not be decoded
    ├── LabelMemoryError     the device has no memory even for one of its windows
    └── ServerError          the server that has the model gave no answer that can be used
"""

from enum import Enum


class ErrorKind(str, Enum):
    """Why a video or a unit has no labels. The value stands in every table."""

    MISSING = "missing"  # the file is not there (any more)
    CHANGED = "changed_since_scan"  # size or modification time differ from the manifest
    STILL_GROWING = "still_growing"  # was modified so recently that somebody may be writing it
    EMPTY = "empty"  # zero bytes
    UNREADABLE = "unreadable"  # no demuxer or decoder makes sense of it
    NO_VIDEO = "no_video_stream"  # audio or data only
    ENCRYPTED = "encrypted"  # decodes to rubbish by design
    UNSUPPORTED = "unsupported"  # this backend cannot give the right pixels for this file
    TOO_LARGE = "too_large"  # frame dimensions beyond the limit
    NO_FRAMES = "no_frames"  # opened, but not one frame came out
    DECODE_FAILED = "decode_failed"  # damaged: decoding stopped with an error
    DECODER_CRASHED = "decoder_crashed"  # the decoder's process died
    DECODER_TIMEOUT = "decoder_timeout"  # the decoder's process exceeded its wall-clock limit
    DECODER_MEMORY = "decoder_memory"  # the decoder's process exceeded its resident-memory limit
    LABEL_FAILED = "label_failed"  # the model raised on this unit
    NO_NUMBER = "no_number"  # the model's scores came out as NaN or infinite
    LABEL_MEMORY = "label_memory"  # the device ran out of memory even for a single window
    SERVER_UNREACHABLE = "server_unreachable"  # no connection to the model's server, or one that it ended
    SERVER_TIMEOUT = "server_timeout"  # the model's server did not answer in time
    SERVER_REFUSED = "server_refused"  # the model's server answered with a status of error
    SERVER_REPLY = "server_reply"  # the model's server answered with something that is no answer
    SERVER_CHANGED = "server_changed"  # the server serves another model than when the run was planned
    OUTSIDE_DOMAIN = "outside_domain"  # its video looks unlike those that the model was trained on
    KILLED_LABELER = "killed_labeler"  # entered a bounded number of times, and each time its process died


class NrrayError(Exception):
    """Base of all errors that end a command with a message and no traceback."""


class ConfigError(NrrayError):
    """A config file or a --set value that cannot be used."""


class DataError(NrrayError):
    """A manifest, sidecar, ledger or table of annotations that cannot be used."""


class IdentityError(NrrayError):
    """An output folder that holds results of another model, sampling or label set."""


class OutputBusyError(NrrayError):
    """An output folder that another run is writing."""


class StorageError(NrrayError):
    """Storage that is full, read-only or refuses."""


class ResourcesError(NrrayError):
    """More asked than the machine or the cluster has."""


class RayLostError(NrrayError):
    """Ray itself ended under a run; the same command goes on."""


class ModelError(NrrayError):
    """A checkpoint that cannot be loaded, or that does not fit the label set or sampling."""


class TrainingError(NrrayError):
    """A training that cannot go on: a loss that is no number, a window that alone does not fit the device."""


class UnitError(NrrayError):
    """One video, or one unit of it, that has no result; `kind` names the reason in the tables."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type["UnitError"], tuple[ErrorKind, str]]:
        return (type(self), (self.kind, str(self)))


class DecodeError(UnitError):
    """One video, or one unit of it, that could not be decoded."""


class ServerError(UnitError):
    """The server that has the model gave no answer about a unit that can be used."""


class LabelMemoryError(UnitError):
    """The device ran out of memory even for a single window."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorKind.LABEL_MEMORY, message)

    def __reduce__(self) -> tuple[type["LabelMemoryError"], tuple[str]]:  # type: ignore[override]
        return (LabelMemoryError, (str(self),))
