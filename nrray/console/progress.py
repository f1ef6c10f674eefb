"""Progress of a run: a live line on a terminal, one line a minute elsewhere, and a small file for `nrray status`."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live

from nrray.results.figures import RunProgress
from nrray.types import US_PER_SECOND

SECONDS_PER_HOUR = 3600


@dataclass
class Progress:
    """Counts of one run. `total_units` and `total_us` count the work of this run, not of the plan."""

    console: Console
    verb: str
    total_units: int
    total_us: int
    quiet: bool
    line_seconds: float = 60.0
    done_units: int = 0
    done_us: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        self._first_done: float | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._live: Live | None = None

    def __enter__(self) -> "Progress":
        if not self.quiet:
            if self.console.is_terminal:
                self._live = Live(get_renderable=self.line, console=self.console, refresh_per_second=2, transient=True)
                self._live.start()
            else:
                threading.Thread(target=self._print_lines, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        if self._live is not None:
            self._live.stop()

    def add(self, *, video_us: int, error_kind: str | None) -> None:
        """One more unit has an outcome."""
        with self._lock:
            self._first_done = self._first_done or time.monotonic()
            self.done_units += 1
            self.done_us += video_us
            if error_kind is not None:
                self.failures[error_kind] += 1

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self._started

    def line(self) -> str:
        """The counts as one line for a person."""
        figures = self.figures()
        if not self.done_units:
            return f"{self.verb}: 0/{self.total_units} units, starting ({figures.elapsed_seconds:.0f} s)"
        failures = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failures.items()))
        return (
            f"{self.verb}: {self.done_units}/{self.total_units} units, {figures.video_hours_per_hour:.1f} video hours "
            f"per hour, {duration_text(figures.eta_seconds)} left" + (f", failed: {failures}" if failures else "")
        )

    def figures(self) -> RunProgress:
        """The counts for programs."""
        elapsed = self.elapsed_seconds
        rate = self.done_us / US_PER_SECOND / elapsed if elapsed > 0 else 0.0  # video seconds per second
        left_us = max(self.total_us - self.done_us, 0)
        return RunProgress(
            units_done=self.done_units,
            units_total=self.total_units,
            elapsed_seconds=round(elapsed, 1),
            video_hours_per_hour=round(rate, 2),
            eta_seconds=round(left_us / US_PER_SECOND / rate, 1) if rate > 0 else None,
            failures=dict(self.failures),
        )

    def _print_lines(self) -> None:
        while not self._stop.wait(self.line_seconds):
            self.console.print(self.line(), highlight=False)


def duration_text(seconds: float | None) -> str:
    """Seconds, minutes or hours, for a person."""
    if seconds is None:
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / SECONDS_PER_HOUR:.1f} h"
