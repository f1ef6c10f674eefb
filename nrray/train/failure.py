"""The failure of a training: an error of a worker, in a file of the training's output, so that the driver can raise it again."""

from dataclasses import dataclass

from nrray import errors
from nrray.errors import DecodeError, NrrayError
from nrray.records import read_record, write_record
from nrray.storage import Folder

FAILURE_FILE = "failure.json"


@dataclass(frozen=True, kw_only=True)
class TrainingFailure:
    """kind: the name of an error class in nrray.errors."""

    kind: str
    message: str

    def error(self) -> NrrayError:
        """The error of that kind; an NrrayError where the kind cannot be made from a message alone."""
        kind = getattr(errors, self.kind, None)
        if isinstance(kind, type) and issubclass(kind, NrrayError) and not issubclass(kind, DecodeError):
            return kind(self.message)
        return NrrayError(self.message)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def failure_of(error: NrrayError) -> TrainingFailure:
    """An error as it is written."""
    return TrainingFailure(kind=type(error).__name__, message=str(error))


def write_failure(output: Folder, failure: TrainingFailure) -> None:
    """Raises StorageError."""
    write_record(output, FAILURE_FILE, failure)


def read_failure(output: Folder) -> TrainingFailure | None:
    """The failure of the training in `output`, None where none is noted. Raises DataError, StorageError."""
    return read_record(output, FAILURE_FILE, TrainingFailure) if output.exists(FAILURE_FILE) else None
