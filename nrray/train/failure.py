"""The failure of a training: an error of a worker, in a file of the training's output, so that the driver can raise it again."""

from nrray import errors
from nrray.config import Section
from nrray.documents import section_from
from nrray.errors import DecodeError, NrrayError
from nrray.storage import Folder

FAILURE_FILE = "failure.json"


class TrainingFailure(Section):
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
    output.write_json(FAILURE_FILE, failure.model_dump(mode="json"))


def read_failure(output: Folder) -> TrainingFailure | None:
    """The failure of the training in `output`, None where none is noted. Raises DataError, StorageError."""
    if not output.exists(FAILURE_FILE):
        return None
    return section_from(TrainingFailure, output.read_json(FAILURE_FILE), name=FAILURE_FILE, folder=str(output))
