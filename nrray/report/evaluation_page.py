"""An evaluation as one self-contained page: opens offline, loads nothing, runs nothing.

In: the document that evaluation.json holds. Every name is escaped; the content security policy allows this page's own
style sheet alone.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from nrray.report.svg import difference_plot, lanes, unit_plot

MIN_PAIRS_DRAWN, MAX_PAIRS_DRAWN = 3, 300
CASES_LISTED = 200
UNIT_FORMATS = {"s": "{:.1f} s", "share": "{:.0%}", "count": "{:.0f}", "yes": "{:.0%} yes"}


def evaluation_page(document: Mapping[str, Any]) -> str:
    """The whole HTML."""
    templates = resources.files("nrray.report") / "templates"
    style = (templates / "evaluation.css").read_text(encoding="utf-8")
    # The style is one known text, so its hash can stand in the policy in place of 'unsafe-inline'.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters = (number, interval, in_unit, between, said, hours, starting)
    environment.globals["span"] = span
    environment.filters |= {function.__name__: function for function in filters}
    template = environment.from_string((templates / "evaluation.html").read_text(encoding="utf-8"))
    return template.render(
        d=document,
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        curves=_curves(document),
        bins=_bins(document),
        timelines=_timelines(document),
        differences=_differences(document),
        num_listed=CASES_LISTED,
        metrics=list(document["rows"][0]["values"]) if document["rows"] else [],
    )


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where it is not defined."""
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"  # + 0: no minus before a zero


def interval(value: Mapping[str, float | None] | None, digits: int = 3, to: str = " to ") -> str:
    """Estimate with its interval."""
    if value is None or value["estimate"] is None:
        return "-"
    if value["low"] is None or value["high"] is None:
        return f"{number(value['estimate'], digits)} (-)"
    return f"{number(value['estimate'], digits)} ({number(value['low'], digits)}{to}{number(value['high'], digits)})"


def in_unit(value: float | None, unit: str) -> str:
    """An indicator's value as a clinician writes it."""
    return "-" if value is None else UNIT_FORMATS[unit].format(value)


def between(value: Mapping[str, float | None], unit: str) -> str:
    """An indicator's value with its interval."""
    if value["low"] is None or value["high"] is None:
        return in_unit(value["estimate"], unit)
    return f"{in_unit(value['estimate'], unit)} ({span(value['low'], value['high'], unit)})"


def span(low: float | None, high: float | None, unit: str) -> str:
    """Two values of an indicator, the unit once."""
    if low is None or high is None:
        return "-"
    plain = UNIT_FORMATS["share" if unit == "yes" else unit]
    first, last = plain.format(low), plain.format(high)
    return f"{first.rstrip(' s%')} to {last}"


def said(value: float | None, unit: str) -> str:
    """One case's indicator: yes or no in words, ? where it cannot be said."""
    if value is None:
        return "?"
    return ("yes" if value else "no") if unit == "yes" else in_unit(value, unit)


def starting(names: Sequence[str], *beginnings: str) -> list[str]:
    """Those that start with one of `beginnings`."""
    return [name for name in names if name.startswith(beginnings)]


def hours(microseconds: float) -> str:
    """Hours with two digits, of microseconds."""
    return f"{microseconds / 3.6e9:.2f} h"


def _curves(document: Mapping[str, Any]) -> dict[str, Markup]:
    return {
        name: unit_plot([("curve", points)], x_label="recall", y_label="precision", diagonal=False, dots=False)
        for name, points in document["precision_recall"].items()
    }


def _bins(document: Mapping[str, Any]) -> dict[str, Markup]:
    drawn = {}
    for name, bins in document["reliability"].items():
        points = [(row["mean_score"], row["observed"]) for row in bins if row["count"]]
        drawn[name] = unit_plot(
            [("curve", points)], x_label="mean score", y_label="share that is so", diagonal=True, dots=True
        )
    return drawn


def _timelines(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "case_id": case["case_id"],
            "macro_f1": case["macro_f1"],
            "f1": case["f1"],
            "videos": [{"path": video["path"], "svg": _video_lanes(video)} for video in case["videos"]],
        }
        for case in document["cases"]
        if case["videos"]
    ]


def _video_lanes(video: Mapping[str, Any]) -> Markup:
    names: Sequence[str] = list(video["lanes"])
    return lanes(
        names,
        [video["lanes"][name]["candidate"] for name in names],
        [video["lanes"][name]["reference"] for name in names],
        evaluated=video["evaluated"],
    )


def _differences(document: Mapping[str, Any]) -> dict[str, Markup]:
    if document["clinical"] is None:
        return {}
    return {
        row["name"]: difference_plot(
            [(left, right) for _, left, right in _some(row["pairs"])],
            bias=row["bias"]["estimate"],
            lower=row["lower_limit"],
            upper=row["upper_limit"],
            unit=row["unit"],
        )
        for row in document["clinical"]["agreement"]
        if row["unit"] == "s" and row["num_pairs"] >= MIN_PAIRS_DRAWN
    }


def _some(pairs: Sequence[tuple[str, float, float]]) -> Sequence[tuple[str, float, float]]:
    """At most MAX_PAIRS_DRAWN of them, evenly taken: more dots than that say nothing more."""
    step = -(-len(pairs) // MAX_PAIRS_DRAWN)
    return pairs[:: max(step, 1)]
