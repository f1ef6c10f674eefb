"""An evaluation as one self-contained page, which begins with the answer.

In: the document that evaluation.json holds, and links into what it is about.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from markupsafe import Markup

from nrray.evaluate.case_rows import VideoTimeline
from nrray.evaluate.document import EvaluationDocument
from nrray.evaluate.figure_text import in_unit, interval, interval_in_unit, number, of_case, range_in_unit
from nrray.evaluate.indicators import IndicatorUnit
from nrray.evaluate.moments import longest_errors
from nrray.evaluate.review_links import ReviewLinks
from nrray.evaluate.score_curves import ReliabilityBin
from nrray.evaluate.verdicts import Verdict, criterion_sentence, verdict_sentence, verdicts
from nrray.report.html import rendered
from nrray.report.svg import IntervalRow, difference_plot, interval_plot, swatch, timeline_plot, unit_plot
from nrray.types import US_PER_SECOND, hours_of

PAGE_FILE = "report.html"
MIN_PAIRS_DRAWN, MAX_PAIRS_DRAWN = 3, 300
NO_BREAK = "\u00a0"
CASES_LISTED, MOMENTS_LISTED = 200, 12
SIGNS = {Verdict.GOOD: "\u2713", Verdict.POOR: "\u2717", Verdict.UNDECIDED: "?"}  # told apart without colour


def evaluation_page(document: EvaluationDocument, links: ReviewLinks) -> str:
    """The whole HTML."""
    filters = (number, interval, in_unit, interval_in_unit, of_case, hours, minutes, seconds, clock, starting)
    values = {
        "d": document,
        "answer": verdict_sentence(document),
        "criterion": criterion_sentence(document),
        "verdicts": verdicts(document),
        "signs": SIGNS,
        "answer_plot": _answer_plot(document),
        "moments": longest_errors(document.cases, most=MOMENTS_LISTED),
        "links": links,
        "curves": {
            name: unit_plot(
                [("curve", curve)],
                x_label="recall (0 to 1)",
                y_label="precision (0 to 1)",
                title=f"{name}: precision over recall",
                diagonal=False,
                dots=False,
            )
            for name, curve in document.precision_recall.items()
        },
        "bins": {name: _reliability_plot(name, bins) for name, bins in document.reliability.items()},
        "plot": _video_plot,
        "swatch": swatch,
        "range_in_unit": range_in_unit,
        "differences": _difference_plots(document),
        "num_listed": CASES_LISTED,
        "metrics": list(document.rows[0].values),
    }
    return rendered(
        "nrray.evaluate",
        "evaluation",
        values,
        styles=("evaluation.css",),
        filters={function.__name__: _in_two_pieces(function) for function in filters},
    )


def _in_two_pieces(text_of: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose text may break before a parenthesis and nowhere in one: a figure stays whole, its interval too."""

    @wraps(text_of)
    def unbroken(*arguments: Any) -> Any:
        found = text_of(*arguments)
        if not isinstance(found, str) or " (" not in found:
            return found
        before, rest = found.split(" (", 1)
        return f"{before} ({rest.replace(' ', NO_BREAK)}"

    return unbroken


def starting(names: Sequence[str], *beginnings: str) -> list[str]:
    """Names that start with one of `beginnings`."""
    return [name for name in names if name.startswith(beginnings)]


def hours(us: float) -> str:
    """Microseconds as hours with two digits."""
    return f"{hours_of(us):.2f} h"


def minutes(us: float) -> str:
    """Microseconds as minutes with one digit."""
    return f"{us / US_PER_SECOND / 60:.1f} min"


def seconds(us: float) -> str:
    """Microseconds as seconds with one digit."""
    return f"{us / US_PER_SECOND:.1f} s"


def clock(us: int) -> str:
    """A time in a video as hours, minutes and seconds, which players show."""
    tenths = round(us / (US_PER_SECOND / 10))
    minute, tenth = divmod(tenths, 600)
    return f"{minute // 60}:{minute % 60:02d}:{tenth / 10:04.1f}"


def _answer_plot(document: EvaluationDocument) -> Markup:
    return interval_plot(
        [
            IntervalRow(
                name=each.row.name,
                estimate=each.f1.estimate,
                low=each.f1.low,
                high=each.f1.high,
                chance=each.chance,
            )
            for each in verdicts(document)
        ],
        level=document.settings.sufficient_f1,
        x_label="F1 over time (0 to 1)",
        title="F1 over time of each activity with its interval, beside chance and the level of good enough",
    )


def _reliability_plot(name: str, bins: Sequence[ReliabilityBin]) -> Markup:
    points = [
        (each.mean_score, each.observed) for each in bins if each.mean_score is not None and each.observed is not None
    ]
    return unit_plot(
        [("curve", points)],
        x_label="mean score (0 to 1)",
        y_label="share with it (0 to 1)",
        title=f"{name}: share of windows with it over mean score",
        diagonal=True,
        dots=True,
    )


def _video_plot(video: VideoTimeline) -> Markup:
    return timeline_plot(
        list(video.lanes),
        [lane.candidate for lane in video.lanes.values()],
        [lane.reference for lane in video.lanes.values()],
        evaluated=video.evaluated,
        title=f"Timeline of {video.path}",
    )


def _difference_plots(document: EvaluationDocument) -> dict[str, Markup]:
    """Indicator to its plot, of times in seconds with enough pairs."""
    if document.clinical is None:
        return {}
    return {
        row.name: difference_plot(
            [(left, right) for _, left, right in _thinned(row.pairs)],
            bias=row.bias.estimate,
            lower=row.lower_limit,
            upper=row.upper_limit,
            unit=row.unit.value,
            title=f"{row.name}: difference over mean of both",
        )
        for row in document.clinical.agreement
        if row.unit is IndicatorUnit.SECONDS
        and row.num_pairs >= MIN_PAIRS_DRAWN
        and row.bias.estimate is not None
        and row.lower_limit is not None
        and row.upper_limit is not None
    }


def _thinned(pairs: Sequence[tuple[str, float, float]]) -> Sequence[tuple[str, float, float]]:
    """At most MAX_PAIRS_DRAWN of the pairs, evenly taken: more dots than that cover each other."""
    step = -(-len(pairs) // MAX_PAIRS_DRAWN)
    return pairs[:: max(step, 1)]
