"""The learning curves of a training as a picture: loss of steps and validations, F1 of validations."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

MARKERS = ("o", "s", "^", "D", "v", "p")

Points = Sequence[tuple[int, float | None]]
"""(optimizer step, value), steps rising; None where there is no value."""


@dataclass(frozen=True, kw_only=True)
class LearningCurves:
    """f1: of validation windows, activity to points; kept_step: of the weights that are kept, None where there are none."""

    training_loss: Points
    validation_loss: Points
    macro_f1: Points
    f1: Mapping[str, Points]
    kept_step: int | None


def training_curves(curves: LearningCurves, *, title: str) -> bytes:
    """A PNG, steps from left to right."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores = figure.subplots(2, 1, sharex=True)
    figure.suptitle(title, fontsize=11)
    # Points too: of a short training there is a single one, which no line shows.
    losses.plot(*_axes(curves.training_loss), ".-", color="0.6", label="training: objective,\naugmented windows")
    losses.plot(*_axes(curves.validation_loss), "o-", color="C0", label="validation:\ncross-entropy (nats)")
    losses.set_ylabel("loss (nats)")
    losses.set_ylim(bottom=0)
    for number, (activity, points) in enumerate(curves.f1.items()):
        # Hollow marks of falling size: lines that coincide are all seen; their shapes tell them apart without colour.
        ring: dict[str, Any] = {
            "marker": MARKERS[number % len(MARKERS)],
            "markersize": 4 + 1.5 * (len(curves.f1) - number),
            "fillstyle": "none",
        }
        label = activity if any(value is not None for _, value in points) else f"{activity}: in no window"
        scores.plot(*_axes(points), color=f"C{number + 1}", label=label, clip_on=False, **ring)
    scores.plot(*_axes(curves.macro_f1), "o-", color="0.1", markersize=4, label="macro", clip_on=False)
    scores.set_ylabel("F1 of validation windows,\nas fitted on them (0 to 1)")
    scores.set_xlabel("optimizer step (number)")
    scores.xaxis.set_major_locator(MaxNLocator(integer=True))
    scores.set_ylim(0, 1)
    for axes in (losses, scores):
        axes.spines[["top", "right"]].set_visible(False)
        if curves.kept_step is not None:
            axes.axvline(curves.kept_step, color="0.6", linestyle=":", zorder=0, label=f"kept: step {curves.kept_step}")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _axes(points: Points) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [float("nan") if value is None else value for _, value in points]
