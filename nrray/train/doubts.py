"""Doubts about a training, in sentences for people: too little to learn from, and learned by heart. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass

from nrray.train.history import Event, StepMeasured, validations

FEW_TRAINING_CASES = 6
FEW_TRAINING_WINDOWS = 300  # five minutes of examined video, at a window a second
OVERFITTING_RISE = 1.2  # times its lowest, to which the validation loss has risen at the end


@dataclass(frozen=True, kw_only=True)
class Overfitting:
    """Validation loss from its lowest to the end, and training loss in the same steps."""

    lowest_step: int
    last_step: int
    lowest_loss: float
    last_loss: float
    training_loss_before: float
    training_loss_after: float

    def text(self) -> str:
        """In a sentence."""
        return (
            f"Overfitting: from step {self.lowest_step} to {self.last_step} the validation loss rose from "
            f"{self.lowest_loss:.3f} to {self.last_loss:.3f}, {self.last_loss / self.lowest_loss:.1f} times as much, while the "
            f"training loss fell from {self.training_loss_before:.3f} to {self.training_loss_after:.3f}: the later steps learned "
            f"these windows by heart. More cases help; so may lower rates, fewer parts that learn, or a higher "
            f"training.augment_strength."
        )


def overfitting(history: Iterable[Event]) -> Overfitting | None:
    """Whether the validation loss has risen to OVERFITTING_RISE times its lowest at the end, while the training loss fell."""
    events = list(history)
    validated, measured = validations(events), [event for event in events if isinstance(event, StepMeasured)]
    if not validated or not measured:
        return None
    lowest, last = min(validated, key=lambda event: event.validation_loss), validated[-1]
    before = [event for event in measured if event.step <= lowest.step][-1:] or measured[:1]
    found = Overfitting(
        lowest_step=lowest.step,
        last_step=last.step,
        lowest_loss=lowest.validation_loss,
        last_loss=last.validation_loss,
        training_loss_before=before[0].loss,
        training_loss_after=measured[-1].loss,
    )
    has_risen = found.last_loss > found.lowest_loss and found.last_loss >= OVERFITTING_RISE * found.lowest_loss
    return found if has_risen and found.training_loss_after < found.training_loss_before else None


def few_examples(*, num_windows: int, num_cases: int | None) -> str | None:
    """A sentence where there is little to train on, None where there is enough. num_cases: None where it is not known."""
    is_few = num_windows < FEW_TRAINING_WINDOWS or (num_cases is not None and num_cases < FEW_TRAINING_CASES)
    if not is_few:
        return None
    cases = "" if num_cases is None else f" of {num_cases} {'case' if num_cases == 1 else 'cases'}"
    return (
        f"Too little to train on: {num_windows:,} windows{cases}, expected at least {FEW_TRAINING_WINDOWS} of "
        f"{FEW_TRAINING_CASES} cases. What is learned may be the looks of these cases, and nothing may be learned at all: "
        f"annotate more cases."
    )
