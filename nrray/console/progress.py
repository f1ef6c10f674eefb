"""Progress of a run: a live bar on a terminal, one line a minute elsewhere, and a small file for `nrray status`."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nrray.results.figures import RunProgress
from nrray.types import US_PER_SECOND

SECONDS_PER_HOUR = 3600
_BAR_COLUMNS = 24


@dataclass
class Progress:
    """Counts of one run. `total_units` and `total_us` count the work of this run, not of the plan; where the length of videos is
    not known (`total_us` 0), rate and rest are by units. `unit` names them."""

    console: Console
    verb: str
    total_units: int
    total_us: int
    quiet: bool
    unit: str = "units"
    line_seconds: float = 60.0
    done_units: float = 0  # of a unit that is under way, the part that is done
    done_us: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    note: str = ""  # of the run's latest figures

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        self._counted_from: tuple[float, float] | None = None  # time and units of the first call of `reach`
        self._reached: float | None = None  # time of the last call that brought more
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._live: Live | None = None

    def __enter__(self) -> "Progress":
        if not self.quiet:
            if self.console.is_terminal:
                self._live = Live(get_renderable=self._bar, console=self.console, refresh_per_second=2, transient=True)
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
            self.done_units += 1
            self.done_us += video_us
            if error_kind is not None:
                self.failures[error_kind] += 1

    def reach(self, done_units: float, *, note: str) -> None:
        """So many units are done, of work that counts itself. What is done at the first call counts for no rate: it is of an
        earlier run."""
        with self._lock:
            now = time.monotonic()
            self._counted_from = self._counted_from or (now, done_units)
            if done_units != self.done_units:
                self._reached = now
            self.done_units = done_units
            self.note = note

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def units_per_second(self) -> float | None:
        """None before it can be told."""
        since, before = self._counted_from or (self._started, 0.0)
        seconds, units = (self._reached or time.monotonic()) - since, self.done_units - before
        return units / seconds if seconds > 0 and units > 0 else None

    def line(self) -> str:
        """The counts as one line for a person."""
        counts = f"{self.verb}: {int(self.done_units)}/{self.total_units} {self.unit}"
        if not self.done_units:
            return f"{counts}, starting ({self.elapsed_seconds:.0f} s)"
        failures = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failures.items()))
        parts = [
            counts,
            self._rate_text(),
            f"{duration_text(self.figures().eta_seconds)} left",
            self.note,
            f"failed: {failures}" if failures else "",
        ]
        return ", ".join(part for part in parts if part)

    def figures(self) -> RunProgress:
        """The counts for programs."""
        elapsed = self.elapsed_seconds
        rate = self.done_us / US_PER_SECOND / elapsed if elapsed > 0 else 0.0  # video seconds per second
        return RunProgress(
            units_done=int(self.done_units),
            units_total=self.total_units,
            elapsed_seconds=round(elapsed, 1),
            video_hours_per_hour=round(rate, 2),
            eta_seconds=self._eta_seconds(rate),
            failures=dict(self.failures),
        )

    def _eta_seconds(self, video_rate: float) -> float | None:
        if self.total_us:
            left = max(self.total_us - self.done_us, 0) / US_PER_SECOND
            return round(left / video_rate, 1) if video_rate > 0 else None
        rate = self.units_per_second
        if rate is None:
            return None
        since_then = time.monotonic() - self._reached if self._reached is not None else 0.0
        return round(max((self.total_units - self.done_units) / rate - since_then, 0), 1)

    def _rate_text(self) -> str:
        if self.total_us:
            return f"{self.figures().video_hours_per_hour:.1f} video hours per hour"
        rate = self.units_per_second
        if rate is None:
            return ""
        per, seconds = next((pair for pair in (("s", 1), ("min", 60)) if rate * pair[1] >= 1), ("h", SECONDS_PER_HOUR))
        return f"{rate * seconds:.1f} {self.unit}/{per}"

    def _bar(self) -> Table:
        table = Table.grid(padding=(0, 1))
        bar = ProgressBar(
            total=max(self.total_units, 1), completed=self.done_units, width=_BAR_COLUMNS, pulse=not self.done_units
        )
        table.add_row(bar, Text(self.line(), overflow="ellipsis", no_wrap=True))
        return table

    def _print_lines(self) -> None:
        while not self._stop.wait(self.line_seconds):
            self.console.print(self.line(), highlight=False, markup=False)


def duration_text(seconds: float | None) -> str:
    """Seconds, minutes or hours, for a person."""
    if seconds is None:
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / SECONDS_PER_HOUR:.1f} h"
