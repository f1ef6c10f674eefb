from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from nrray.console.progress import Progress, duration_text

HOUR_US = 3_600_000_000


@pytest.fixture
def pass_seconds(monkeypatch) -> Callable[[float], None]:
    """Time stands still but for what a test lets pass."""
    now = [1000.0]
    monkeypatch.setattr("nrray.console.progress.time.monotonic", lambda: now[0])

    def passed(seconds: float) -> None:
        now[0] += seconds

    return passed


def progress(*, text: StringIO | None = None, quiet=False, terminal=False, **settings) -> Progress:
    console = Console(file=text or StringIO(), force_terminal=terminal, width=120, highlight=False)
    return Progress(console=console, verb="relabel", total_units=4, total_us=4 * HOUR_US, quiet=quiet, **settings)


def test_the_rate_is_video_hours_per_hour_and_the_rest_takes_as_long_at_that_rate(pass_seconds):
    running = progress()
    running.add(video_us=HOUR_US, error_kind=None)
    pass_seconds(60)
    figures = running.figures()
    assert (figures.video_hours_per_hour, figures.eta_seconds, figures.elapsed_seconds) == (60, 180, 60)
    assert (figures.units_done, figures.units_total, figures.failures) == (1, 4, {})
    assert running.line() == "relabel: 1/4 units, 60.0 video hours per hour, 3 min left"


def test_failures_are_counted_by_kind(pass_seconds):
    running = progress()
    for kind in ("no_frames", None, "decode_failed", "no_frames"):
        running.add(video_us=HOUR_US, error_kind=kind)
    pass_seconds(60)
    assert running.figures().failures == {"no_frames": 2, "decode_failed": 1}
    assert running.line().endswith(", 0 s left, failed: 1 decode_failed, 2 no_frames")


def test_nothing_is_estimated_before_the_first_unit(pass_seconds):
    running = progress()
    pass_seconds(7)
    assert running.figures().eta_seconds is None
    assert running.line() == "relabel: 0/4 units, starting (7 s)"


def test_more_video_than_was_announced_leaves_nothing(pass_seconds):
    running = progress()
    running.add(video_us=5 * HOUR_US, error_kind=None)
    pass_seconds(60)
    assert running.figures().eta_seconds == 0


def test_a_line_a_while_where_there_is_no_terminal_and_none_after_the_run(wait_for_text):
    text = StringIO()
    with progress(text=text, line_seconds=0.02):
        wait_for_text(text, "relabel: 0/4 units, starting", 2)
    lines = text.getvalue().count("\n")
    with pytest.raises(AssertionError):
        wait_for_text(text, "relabel", lines + 1, seconds=0.2)


@pytest.fixture
def wait_for_text():
    import time

    def wait(text: StringIO, wanted: str, count: int, seconds: float = 10.0) -> None:
        until = time.monotonic() + seconds
        while text.getvalue().count(wanted) < count:
            assert time.monotonic() < until, text.getvalue()
            time.sleep(0.01)

    return wait


def test_a_live_line_on_a_terminal(wait_for_text):
    text = StringIO()
    with progress(text=text, terminal=True):
        wait_for_text(text, "relabel: 0/4 units, starting", 1)


def test_without_the_length_of_videos_rate_and_rest_are_by_units(pass_seconds):
    running = Progress(
        console=Console(file=StringIO()), verb="scan", total_units=40, total_us=0, quiet=True, unit="files"
    )
    for _ in range(10):
        running.add(video_us=HOUR_US, error_kind=None)
    pass_seconds(5)
    assert running.line() == "scan: 10/40 files, 2.0 files/s, 15 s left"
    assert running.figures().eta_seconds == 15
    pass_seconds(595)
    assert running.line() == "scan: 10/40 files, 1.0 files/min, 30 min left"
    pass_seconds(9 * 600)
    assert running.line() == "scan: 10/40 files, 6.0 files/h, 5.0 h left"


def test_work_of_an_earlier_run_counts_for_no_rate(pass_seconds):
    running = Progress(
        console=Console(file=StringIO()), verb="train", total_units=200, total_us=0, quiet=True, unit="steps"
    )
    pass_seconds(30)
    running.reach(100, note="")
    assert running.line() == "train: 100/200 steps, unknown time left"
    pass_seconds(10)
    running.reach(150, note="loss 0.5")
    assert running.line() == "train: 150/200 steps, 5.0 steps/s, 10 s left, loss 0.5"
    pass_seconds(4)  # it is told now and then: until it is told again the rate stands and the rest goes down
    running.reach(150, note="loss 0.5")
    assert running.line() == "train: 150/200 steps, 5.0 steps/s, 6 s left, loss 0.5"
    pass_seconds(60)
    assert ", 0 s left," in running.line()


def test_work_that_begins_counts_from_its_start(pass_seconds):
    running = Progress(
        console=Console(file=StringIO()), verb="tune", total_units=4, total_us=0, quiet=True, unit="trials"
    )
    pass_seconds(30)
    running.reach(0, note="")
    assert running.line() == "tune: 0/4 trials, starting (30 s)"
    pass_seconds(60)
    running.reach(0.5, note="")
    assert running.line() == "tune: 0/4 trials, 30.0 trials/h, 7 min left"


def test_the_bar_has_the_line_beside_it_and_never_wraps():
    text = StringIO()
    console = Console(file=text, force_terminal=True, width=60, highlight=False)
    running = Progress(console=console, verb="relabel", total_units=4, total_us=4 * HOUR_US, quiet=True)
    running.add(video_us=HOUR_US, error_kind="[bold]odd[/bold]")
    console.print(running._bar())
    (line,) = text.getvalue().splitlines()
    assert "relabel: 1/4 units" in line
    assert "\u2501" in line  # of the bar


@pytest.mark.parametrize("terminal", [False, True])
def test_a_quiet_run_shows_nothing(terminal, wait_for_text):
    text = StringIO()
    with progress(text=text, quiet=True, terminal=terminal, line_seconds=0.01), pytest.raises(AssertionError):
        wait_for_text(text, "relabel", 1, seconds=0.2)
    assert text.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown time"),
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (95, "2 min"),
        (60 * 60, "60 min"),
        (89 * 60, "89 min"),
        (90 * 60, "1.5 h"),
        (36 * 3600, "36.0 h"),
    ],
)
def test_durations_are_in_seconds_minutes_or_hours(seconds, text):
    assert duration_text(seconds) == text
