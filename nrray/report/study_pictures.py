"""A study as pictures: F1 of every row with its interval, and how far scores can be taken as probabilities."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nrray.report.legible import families, legible

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # lines are told apart without colour
LINES = ("-", "--", "-.", ":")
MAX_LINES = len(MARKERS)
NAME_CHARS = 40


class RowF1(NamedTuple):
    """F1 with its interval; low and high are None where there is none."""

    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class F1Panel:
    """One panel. rows: F1 by row, None where it is not defined; chance: F1 of always yes."""

    name: str
    rows: Mapping[str, RowF1 | None]
    chance: float | None


@dataclass(frozen=True, kw_only=True)
class ReliabilityPanel:
    """One activity. rows: by row the mean score of each bin and the share of its windows that have the activity."""

    name: str
    rows: Mapping[str, Sequence[tuple[float, float]]]


def f1_picture(panels: Sequence[F1Panel], *, title: str) -> bytes:
    """A PNG, a panel beside the other, in each a line per row, the first row on top."""
    rows = list(panels[0].rows)
    figure = Figure(figsize=(3.0 + 2.3 * len(panels), 1.5 + 0.32 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    axes: list[Axes] = list(figure.subplots(1, len(panels), squeeze=False, sharey=True).flat)
    for panel, place in zip(panels, axes, strict=True):
        _f1_panel(place, panel, rows)
    axes[0].set_yticks(range(len(rows)), [legible(row, max_chars=NAME_CHARS) for row in rows], family=list(families()))
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return _png(figure)


def _f1_panel(axes: Axes, panel: F1Panel, rows: Sequence[str]) -> None:
    found = [(number, f1) for number, row in enumerate(rows) if (f1 := panel.rows[row]) is not None]
    places = [place for place, _ in found]
    # An estimate may have no interval: bars are drawn apart from it.
    lows = [f1.estimate if f1.low is None else f1.low for _, f1 in found]
    highs = [f1.estimate if f1.high is None else f1.high for _, f1 in found]
    axes.hlines(places, lows, highs, color="0.1", linewidth=1.5)
    axes.plot([f1.estimate for _, f1 in found], places, "o", color="0.1", markersize=5, label="F1, 95 % interval")
    for place in set(range(len(rows))) - set(places):
        axes.text(0.02, place, "no F1", fontsize=8, verticalalignment="center")
    if panel.chance is not None:
        axes.axvline(panel.chance, color="C1", linestyle=":", linewidth=2, label="always yes")
    axes.set_title(legible(panel.name, max_chars=NAME_CHARS), fontsize=10)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("F1 of windows (0 to 1)")
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)


def reliability_picture(panels: Sequence[ReliabilityPanel], *, title: str) -> bytes:
    """A PNG, a panel per activity; of more than MAX_LINES rows the first ones."""
    figure = Figure(figsize=(3.4 * len(panels), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    axes: list[Axes] = list(figure.subplots(1, len(panels), squeeze=False, sharey=True).flat)
    for panel, place in zip(panels, axes, strict=True):
        place.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="a score that is the share")
        for number, (row, points) in enumerate(list(panel.rows.items())[:MAX_LINES]):
            place.plot(
                [score for score, _ in points],
                [observed for _, observed in points],
                marker=MARKERS[number],
                linestyle=LINES[number % len(LINES)],
                color=f"C{number}",
                markersize=5,
                linewidth=1.2,
                label=legible(row, max_chars=NAME_CHARS),
            )
        place.set_title(legible(panel.name, max_chars=NAME_CHARS), fontsize=10)
        place.set_xlim(-0.02, 1.02)
        place.set_ylim(-0.02, 1.02)
        place.set_xlabel("mean score (0 to 1)")
        place.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of windows with the activity (0 to 1)")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=2, frameon=False, prop={"family": list(families()), "size": 9}
    )
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
