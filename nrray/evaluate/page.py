"""An evaluation as one self-contained page: opens offline, loads nothing, runs nothing.

In: the document that evaluation.json holds. Every name is escaped; the content security policy allows this page's own
style sheet alone.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from nrray.evaluate.case_rows import VideoTimeline
from nrray.evaluate.document import EvaluationDocument
from nrray.evaluate.figure_text import in_unit, interval, interval_in_unit, number, of_case, range_in_unit
from nrray.evaluate.indicators import IndicatorUnit
from nrray.evaluate.score_curves import ReliabilityBin
from nrray.report.svg import difference_plot, timeline_plot, unit_plot
from nrray.types import hours_of

PAGE_FILE = "report.html"
MIN_PAIRS_DRAWN, MAX_PAIRS_DRAWN = 3, 300
CASES_LISTED = 200


def evaluation_page(document: EvaluationDocument) -> str:
    """The whole HTML."""
    templates = resources.files("nrray.evaluate") / "templates"
    style = (templates / "evaluation.css").read_text(encoding="utf-8")
    # The style is one known text, so its hash can stand in the policy in place of 'unsafe-inline'.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters = (number, interval, in_unit, interval_in_unit, of_case, hours, starting)
    environment.globals["range_in_unit"] = range_in_unit
    environment.filters |= {function.__name__: function for function in filters}
    template = environment.from_string((templates / "evaluation.html").read_text(encoding="utf-8"))
    return template.render(
        d=document,
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        curves={
            name: unit_plot([("curve", curve)], x_label="recall", y_label="precision", diagonal=False, dots=False)
            for name, curve in document.precision_recall.items()
        },
        bins={name: _reliability_plot(bins) for name, bins in document.reliability.items()},
        plot=_video_plot,
        differences=_difference_plots(document),
        num_listed=CASES_LISTED,
        metrics=list(document.rows[0].values),
    )


def starting(names: Sequence[str], *beginnings: str) -> list[str]:
    """Names that start with one of `beginnings`."""
    return [name for name in names if name.startswith(beginnings)]


def hours(us: float) -> str:
    """Microseconds as hours with two digits."""
    return f"{hours_of(us):.2f} h"


def _reliability_plot(bins: Sequence[ReliabilityBin]) -> Markup:
    points = [
        (each.mean_score, each.observed) for each in bins if each.mean_score is not None and each.observed is not None
    ]
    return unit_plot([("curve", points)], x_label="mean score", y_label="share that is so", diagonal=True, dots=True)


def _video_plot(video: VideoTimeline) -> Markup:
    return timeline_plot(
        list(video.lanes),
        [lane.candidate for lane in video.lanes.values()],
        [lane.reference for lane in video.lanes.values()],
        evaluated=video.evaluated,
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
