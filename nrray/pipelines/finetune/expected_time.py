"""How long a training will take on machines like this one, from the rate at which this one learns."""

from collections.abc import Sequence
from dataclasses import dataclass

from nrray.console.progress import duration_text
from nrray.storage import Folder
from nrray.train.examples import all_examples
from nrray.train.history import read_history
from nrray.train.job import FinetuneJob


@dataclass(frozen=True, kw_only=True)
class ExpectedTime:
    """seconds: where no training ends before its last step; windows_per_second: that a worker learns from, and that it scores
    where it validates. Extracting frames is not counted."""

    seconds: float
    num_workers: int
    windows_per_second: float
    validated_windows_per_second: float

    def text(self) -> str:
        """In a clause."""
        return (
            f"about {duration_text(self.seconds)} at most, at {self.windows_per_second:.1f} windows/s a worker "
            f"({self.validated_windows_per_second:.1f} where it validates), as measured here; frames are extracted before"
        )


def expected_time(jobs: Sequence[FinetuneJob], *, num_workers: int) -> ExpectedTime:
    """The time of trainings of one model one after another, each from where it stands. The rate is measured on the last one.
    Raises ConfigError, DataError, ModelError."""
    from nrray.train.rate import training_rate  # with torch and peft, which nothing else here needs

    rate = training_rate(jobs[-1])
    seconds = 0.0
    for job in jobs:
        seconds += rate.seconds(
            job.training,
            first_step=max((event.step for event in read_history(Folder(job.output))), default=0),
            num_validation_windows=len(all_examples(job.chunks, "validation", job.sampling)),
        )
    return ExpectedTime(
        seconds=seconds / num_workers,
        num_workers=num_workers,
        windows_per_second=rate.learned,
        validated_windows_per_second=rate.validated,
    )
