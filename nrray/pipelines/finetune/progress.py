"""The progress of a training for a person: its history, event by event, as lines, and its steps as a bar."""

import time
from dataclasses import replace
from typing import Protocol

from nrray.console.progress import duration_text
from nrray.console.reporter import Reporter
from nrray.storage import Folder
from nrray.train.history import Event, StepMeasured, TrainingStarted, Validated, read_history

_LINE_SECONDS = 30.0


class StepCount(Protocol):
    """Counts the steps of a training; `Progress` does."""

    def reach(self, done_units: float, *, note: str) -> None:
        """So many steps are done, with a note of the latest figures."""


class HistoryReport:
    """Reports the events that a history gets after this is made: a progress callback of a training. `progress` counts its
    steps; name: of the training, where others are reported beside it."""

    def __init__(self, output: Folder, reporter: Reporter, progress: StepCount, *, name: str = "") -> None:
        self._output = output
        self._reporter = reporter
        self._begin = f"{name}: " if name else ""
        self._progress = progress
        self._step_note = self._validation_note = ""
        self._reported = {_key(event) for event in read_history(output)}
        self._last_step_line = 0.0

    def report(self) -> None:
        """Report all new events; of steps, every 30 s a line for those who want details."""
        for event in read_history(self._output):
            if _key(event) not in self._reported:
                self._reported.add(_key(event))
                self._report(event)

    def _report(self, event: Event) -> None:
        if isinstance(event, TrainingStarted):
            for name in event.unreadable_checkpoints:
                self._reporter.say(f"{self._begin}checkpoint {name} cannot be read; the one before it is taken")
            verb = "goes on" if event.step else "starts"
            self._reporter.say(f"{self._begin}training {verb} at step {event.step} of {event.num_steps}")
        elif isinstance(event, Validated):
            self._reporter.say(f"{self._begin}{_validation_line(event)}")
            if event.validation_macro_f1 is not None:
                self._validation_note = f"macro F1 {event.validation_macro_f1:.3f}"
        else:
            self._step_note = f"loss {event.loss:.3f}"
            if time.monotonic() - self._last_step_line > _LINE_SECONDS:
                self._reporter.detail(f"{self._begin}{_step_line(event)}")
                self._last_step_line = time.monotonic()
        notes = [note for note in (self._validation_note, self._step_note) if note]
        self._progress.reach(event.step, note=", ".join(notes))


def _key(event: Event) -> str:
    """An event without its times, but for a start: steps and validations that are made again after a worker was lost are no new
    ones."""
    if isinstance(event, StepMeasured):
        return repr(replace(event, unix_seconds=0.0, windows_per_second=0.0, seconds_left=0.0))
    return repr(event if isinstance(event, TrainingStarted) else replace(event, unix_seconds=0.0))


def _step_line(event: StepMeasured) -> str:
    return (
        f"step {event.step} of {event.num_steps}: loss {event.loss:.4f}, learning rate {event.learning_rate:.2g}, "
        f"{event.windows_per_second:.1f} windows/s, {duration_text(event.seconds_left)} left"
    )


def _validation_line(event: Validated) -> str:
    """F1 is at thresholds fitted on these windows: for comparing steps."""
    each = ", ".join(f"{name} {'-' if f1 is None else f'{f1:.3f}'}" for name, f1 in event.validation_f1.items())
    macro = event.validation_macro_f1
    return (
        f"step {event.step} of {event.num_steps}: validation macro F1 {'-' if macro is None else f'{macro:.3f}'} "
        f"as fitted on it ({each}), loss {event.validation_loss:.4f}"
    )
