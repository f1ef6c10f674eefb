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
    losses.legend(frameon=False)
    activities = validations[0]["validation_f1"] if validations else {}
    for number, activity in enumerate(activities):
        values = [e["validation_f1"][activity] for e in validations]
        scores.plot(
            where, [float("nan") if v is None else v for v in values], ".-", color=f"C{number + 1}", label=activity
        )
    macro = [e["validation_macro_f1"] for e in validations]
    scores.plot(where, [float("nan") if v is None else v for v in macro], "o-", color="0.1", label="macro")
    scores.set_ylabel("F1 of validation windows")
    scores.set_xlabel("optimizer step")
    scores.set_ylim(0, 1)
    scores.legend(frameon=False, loc="lower right")
    for axes in (losses, scores):
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
