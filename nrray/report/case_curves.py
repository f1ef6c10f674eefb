"""Scores by number of training cases as a picture: the macro average and each activity, with intervals."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

_NUM_COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class ScoreOfCases:
    """F1 after training on some cases, with its interval; low and high are None where there is none."""

    num_cases: int
    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class CaseCurve:
    """One panel. scores: by rising number of cases; untuned: F1 before training; chance: F1 of always yes; None where there is
    none."""

    name: str
    scores: Sequence[ScoreOfCases]
    untuned: float | None
    chance: float | None


def case_curves_picture(curves: Sequence[CaseCurve], *, title: str) -> bytes:
    """A PNG, a panel per curve, in which nothing is told by colour alone."""
    num_columns = min(_NUM_COLUMNS, len(curves))
    num_rows = -(-len(curves) // num_columns)
    figure = Figure(figsize=(3.6 * num_columns, 3.3 * num_rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    panels: list[Axes] = list(figure.subplots(num_rows, num_columns, squeeze=False, sharey=True).flat)
    sizes = sorted({score.num_cases for curve in curves for score in curve.scores})
    for axes, curve in zip(panels, curves, strict=False):
        _panel(axes, curve, sizes)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    for row in range(num_rows):
        panels[row * num_columns].set_ylabel("F1 over windows of the test part (0 to 1)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _panel(axes: Axes, curve: CaseCurve, sizes: Sequence[int]) -> None:
    at = [score.num_cases for score in curve.scores]
    estimates = [score.estimate for score in curve.scores]
    # An estimate may have no interval: bars are drawn apart from it.
    lows = [score.estimate if score.low is None else score.low for score in curve.scores]
    highs = [score.estimate if score.high is None else score.high for score in curve.scores]
    axes.vlines(at, lows, highs, color="0.1", linewidth=1.5)
    axes.plot(at, estimates, "o-", color="0.1", markersize=5, label="trained, with 95 % interval over test cases")
    if curve.untuned is not None:
        axes.axhline(curve.untuned, color="C0", linestyle="--", label="untuned")
    if curve.chance is not None:
        axes.axhline(curve.chance, color="C1", linestyle=":", linewidth=2, label="always yes")
    axes.set_title(curve.name, fontsize=10)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("training cases (number)")
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
