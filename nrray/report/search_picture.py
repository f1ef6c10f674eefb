"""A search as a picture: score against each setting, the learning curve and the minutes of every trial."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from pydantic import JsonValue

COLOURS = {"finished": "C0", "stopped_early": "C1", "failed": "C3", "unfinished": "0.6"}
MARKERS = {"finished": "o", "stopped_early": "v", "failed": "X", "unfinished": "s"}  # told apart without colour
HATCHES = {"finished": "", "stopped_early": "//", "failed": "xx", "unfinished": ".."}


@dataclass(frozen=True, kw_only=True)
class TrialPoints:
    """One trial. values: by path of the setting, of those that have an effect in it; curve: (step, macro F1) of its
    validations."""

    status: str
    values: Mapping[str, JsonValue]
    macro_f1: float | None
    curve: Sequence[tuple[int, float]]
    minutes: float


def search_picture(trials: Sequence[TrialPoints], *, log_paths: Sequence[str], title: str) -> bytes:
    """A PNG of trials, best first, of which the first finished one was chosen. log_paths: settings with a logarithmic
    axis."""
    paths = sorted({path for trial in trials for path in trial.values})
    num_columns = 2
    num_rows = -(-(len(paths) + 2) // num_columns)
    figure = Figure(figsize=(10, 3.6 * num_rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    panels: list[Axes] = list(figure.subplots(num_rows, num_columns, squeeze=False).flat)
    scored = [trial for trial in trials if trial.macro_f1 is not None]
    best = next((trial for trial in scored if trial.status == "finished"), None)
    for axes, path in zip(panels, paths, strict=False):
        _scores(axes, [t for t in scored if path in t.values], path, best=best, is_log=path in log_paths)
    _curves(panels[len(paths)], trials, best=best)
    _costs(panels[len(paths) + 1], trials)
    for axes in panels[len(paths) + 2 :]:
        axes.set_visible(False)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    for status, colour in COLOURS.items():
        if any(trial.status == status for trial in trials):
            panels[0].plot([], [], MARKERS[status], color=colour, label=status.replace("_", " "))
    if best is not None:
        panels[0].plot([], [], "o", color="0.1", markersize=12, fillstyle="none", label="best")
    panels[0].legend(frameon=False, loc="best", fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _scores(axes: Axes, trials: Sequence[TrialPoints], path: str, *, best: TrialPoints | None, is_log: bool) -> None:
    values = [trial.values.get(path) for trial in trials]
    numbers = all(isinstance(value, int | float) for value in values)
    levels = sorted({str(value) for value in values})
    for trial, value in zip(trials, values, strict=True):
        where: Any = value if numbers else levels.index(str(value))
        axes.plot([where], [float(trial.macro_f1 or 0)], MARKERS[trial.status], color=COLOURS[trial.status])
        if trial is best:
            axes.plot([where], [float(trial.macro_f1 or 0)], "o", color="0.1", markersize=12, fillstyle="none")
    if not numbers:
        axes.set_xticks(range(len(levels)), levels)
    elif is_log:
        axes.set_xscale("log")
        found = [float(value) for value in values if isinstance(value, int | float)]
        is_wide = max(found, default=1.0) > 50 * min(found, default=1.0)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if is_wide else (1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())  # else numbers of neighbours overlap
    elif len(set(values)) <= 8:
        axes.set_xticks(sorted(set(values)))
    axes.set_xlabel(path)
    axes.set_ylabel("best macro F1 of validation (0 to 1)")


def _curves(axes: Axes, trials: Sequence[TrialPoints], *, best: TrialPoints | None) -> None:
    for trial in trials:
        if trial.curve:
            steps, scores = zip(*trial.curve, strict=True)
            style: dict[str, Any] = {"color": COLOURS[trial.status], "alpha": 0.7, "linewidth": 1}
            if trial is best:
                style = {"color": "0.1", "linewidth": 2, "zorder": 3}
            axes.plot(steps, scores, "-", marker=MARKERS[trial.status], markersize=4, **style)
    axes.set_xlabel("optimizer step (number)")
    axes.set_ylabel("macro F1 of validation (0 to 1)")


def _costs(axes: Axes, trials: Sequence[TrialPoints]) -> None:
    for number, trial in enumerate(trials, start=1):
        axes.bar(number, trial.minutes, color=COLOURS[trial.status], hatch=HATCHES[trial.status], edgecolor="white")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial (number), best first")
    axes.set_ylabel("training (min)")
