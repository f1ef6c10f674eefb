"""The course of a training as a picture: loss and learning rate of steps, F1 of validations."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def training_curves(history: Sequence[Mapping[str, Any]], *, title: str) -> bytes:
    """A PNG of what a training noted, steps from left to right."""
    steps = [event for event in history if "loss" in event]
    validations = [event for event in history if "validation_loss" in event]
    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores = figure.subplots(2, 1, sharex=True)
    figure.suptitle(title, fontsize=11)
    losses.plot([e["step"] for e in steps], [e["loss"] for e in steps], color="0.6", label="training, weighted")
    where = [e["step"] for e in validations]
    losses.plot(where, [e["validation_loss"] for e in validations], "o-", color="C0", label="validation")
    losses.set_ylabel("loss")
    losses.set_ylim(bottom=0)
    activities = validations[0]["validation_f1"] if validations else {}
    for number, activity in enumerate(activities):
        values = [e["validation_f1"][activity] for e in validations]
        # Rings of falling size: lines that coincide are all seen.
        ring: dict[str, Any] = {"marker": "o", "markersize": 4 + 1.5 * (len(activities) - number), "fillstyle": "none"}
        scores.plot(where, _drawn(values), color=f"C{number + 1}", label=activity, clip_on=False, **ring)
    macro = [e["validation_macro_f1"] for e in validations]
    scores.plot(where, _drawn(macro), "o-", color="0.1", markersize=4, label="macro", clip_on=False)
    scores.set_ylabel("F1 of validation windows")
    scores.set_xlabel("optimizer step")
    scores.set_ylim(0, 1)
    best = best_step(validations)
    for axes in (losses, scores):
        axes.spines[["top", "right"]].set_visible(False)
        if best is not None:
            axes.axvline(best, color="0.6", linestyle=":", zorder=0, label=f"kept: step {best}")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _drawn(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def best_step(validations: Sequence[Mapping[str, Any]]) -> int | None:
    """The step whose weights are kept: of the highest macro F1, of equal ones the lowest loss, the first of those."""
    scored = [event for event in validations if event["validation_macro_f1"] is not None]
    best = max(scored, key=lambda e: (e["validation_macro_f1"], -e["validation_loss"]), default=None)
    return None if best is None else int(best["step"])
