"""Small plots for a page that may load nothing: SVG with classes, no scripts and no style attributes.

Every axis has a title with its unit. Nothing is told by colour alone: whatever differs in colour differs in shape too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from nrray.types import US_PER_SECOND

PLOT_PX = 220
MARGIN_PX, TICK_APART_PX = 40, 9
LANE_PX, NAME_PX, TIME_PX = 9, 130, 740
INTERVAL_NAME_PX, INTERVAL_PX = 150, 420

INTERVAL_ROW_PX = 24

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class IntervalRow:
    """An estimate with its interval, and the value that chance reaches; None where one is not known."""

    name: str
    estimate: float | None
    low: float | None
    high: float | None
    chance: float | None


def interval_plot(rows: Sequence[IntervalRow], *, level: float, x_label: str, title: str) -> Markup:
    """A row per estimate on one axis from 0 to 1: a dot with its interval, a diamond for chance, a line at `level`."""
    height = len(rows) * INTERVAL_ROW_PX + 40
    bottom = len(rows) * INTERVAL_ROW_PX + 4

    def x_of(value: float) -> float:
        return INTERVAL_NAME_PX + INTERVAL_PX * value

    parts = [_open(INTERVAL_NAME_PX + INTERVAL_PX + 20, height, title)]
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(_line(x_of(tick), 4, x_of(tick), bottom, "grid"))
        parts.append(_text(x_of(tick), bottom + 13, f"{tick:g}", "tick middle"))
    parts.append(_line(x_of(level), 0, x_of(level), bottom, "level"))
    for number, row in enumerate(rows):
        y = 4 + (number + 0.5) * INTERVAL_ROW_PX
        parts.append(_text(INTERVAL_NAME_PX - 8, y + 4, row.name, "label end"))
        if row.chance is not None:
            x = x_of(row.chance)
            corners = f"{x - 4:.1f},{y:.1f} {x:.1f},{y - 4:.1f} {x + 4:.1f},{y:.1f} {x:.1f},{y + 4:.1f}"
            parts.append(Markup('<polygon class="chance" points="{}"/>').format(corners))
        if row.low is not None and row.high is not None:
            parts.append(_line(x_of(row.low), y, x_of(row.high), y, "interval"))
            parts += [_line(x_of(end), y - 5, x_of(end), y + 5, "interval") for end in (row.low, row.high)]
        if row.estimate is not None:
            parts.append(Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(x_of(row.estimate), y))
    parts.append(_text(INTERVAL_NAME_PX + INTERVAL_PX / 2, height - 6, x_label, "label middle"))
    return Markup("").join([*parts, Markup("</svg>")])


def unit_plot(
    curves: Sequence[tuple[str, Points]], *, x_label: str, y_label: str, title: str, diagonal: bool, dots: bool
) -> Markup:
    """Curves in the unit square; `curves` are (class name, points)."""
    size = PLOT_PX + 2 * MARGIN_PX
    parts = [_open(size, size, title)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _at(tick, tick)
        parts.append(_line(x, _at(0, 0)[1], x, _at(0, 1)[1], "grid"))
        parts.append(_line(_at(0, 0)[0], y, _at(1, 0)[0], y, "grid"))
        parts.append(_text(x, size - MARGIN_PX + 14, f"{tick:g}", "tick middle"))
        parts.append(_text(MARGIN_PX - 4, y + 3, f"{tick:g}", "tick end"))
    if diagonal:
        parts.append(_line(*_at(0, 0), *_at(1, 1), "diagonal"))
    for kind, points in curves:
        placed = [_at(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(Markup('<polyline class="{}" points="{}"/>').format(kind, path))
        if dots:
            parts += [
                Markup('<circle class="{}" cx="{}" cy="{}" r="2.5"/>').format(kind, round(x, 1), round(y, 1))
                for x, y in placed
            ]
    parts.append(_text(size / 2, size - 4, x_label, "label middle"))
    parts.append(_upright(size / 2, y_label))
    return Markup("").join([*parts, Markup("</svg>")])


def timeline_plot(
    names: Sequence[str], candidate: Sequence[Points], reference: Sequence[Points], *, evaluated: Points, title: str
) -> Markup:
    """Two bars per activity on one time axis (microseconds): candidate above, filled, reference below, an outline, on grey
    ground where the time was evaluated."""
    if not evaluated:
        return Markup("")
    low, high = min(start for start, _ in evaluated), max(end for _, end in evaluated)
    scale = TIME_PX / max(high - low, 1)
    height = len(names) * (2 * LANE_PX + 8) + 36
    parts = [_open(NAME_PX + TIME_PX + 30, height, title)]
    for row, (name, above, below) in enumerate(zip(names, candidate, reference, strict=True)):
        top = row * (2 * LANE_PX + 8) + 4
        parts.append(_text(NAME_PX - 6, top + LANE_PX + 4, name, "tick end"))
        bars = (
            *((0, "ground", evaluated), (LANE_PX, "ground", evaluated)),
            *((0, "candidate", above), (LANE_PX, "reference", below)),
        )
        for offset, kind, spans in bars:
            for start, end in spans:
                parts.append(
                    Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
                        kind,
                        NAME_PX + (start - low) * scale,
                        top + offset,
                        max((end - start) * scale, 0.5),
                        LANE_PX - 1,
                    )
                )
    low_s, length_s = low / US_PER_SECOND, (high - low) / US_PER_SECOND
    digits = 0 if length_s >= 20 else 2
    for quarter in range(5):
        at = NAME_PX + TIME_PX * quarter / 4
        parts.append(_text(at, height - 20, f"{low_s + length_s * quarter / 4:.{digits}f}", "tick middle"))
    parts.append(_text(NAME_PX + TIME_PX / 2, height - 5, "time in the video (s)", "label middle"))
    return Markup("").join([*parts, Markup("</svg>")])


def difference_plot(
    pairs: Sequence[tuple[float, float]], *, bias: float, lower: float, upper: float, unit: str, title: str
) -> Markup:
    """Bland and Altman's plot: difference over mean, with bias and limits of agreement."""
    means = [(left + right) / 2 for left, right in pairs]
    differences = [left - right for left, right in pairs]
    x_low, x_high = min(means), max(means)
    y_high = max(*(abs(value) for value in differences), abs(lower), abs(upper), 1e-9)
    size = PLOT_PX + 2 * MARGIN_PX
    parts = [_open(size, size, title)]

    def at(x: float, y: float) -> tuple[float, float]:
        return _at((x - x_low) / ((x_high - x_low) or 1), 0.5 + 0.5 * y / y_high)

    labelled: list[float] = []
    for value, kind in ((bias, "bias"), (lower, "limit"), (upper, "limit"), (0.0, "grid")):
        y = at(x_low, value)[1]
        parts.append(_line(at(x_low, value)[0], y, _at(1, 0)[0], y, kind))
        if all(abs(y - other) >= TICK_APART_PX for other in labelled):
            labelled.append(y)
            parts.append(_text(MARGIN_PX - 3, y + 3, f"{value:.1f}", "tick end"))
    for mean, difference in zip(means, differences, strict=True):
        x, y = at(mean, difference)
        parts.append(_dot(x, y, "dot"))
    for value in (x_low, x_high):
        parts.append(_text(at(value, 0)[0], size - MARGIN_PX + 14, f"{value:.0f}", "tick middle"))
    parts.append(_text(size / 2, size - 4, f"mean of both ({unit})", "label middle"))
    parts.append(_upright(size / 2, f"candidate minus reference ({unit})"))
    return Markup("").join([*parts, Markup("</svg>")])


def swatch(kind: str) -> Markup:
    """A bar of the timelines, for their key."""
    return Markup(
        '<svg width="26" height="12" aria-hidden="true"><rect class="{}" x="1" y="2" width="24" height="8"/></svg>'
    ).format(kind)


def _at(x: float, y: float) -> tuple[float, float]:
    return MARGIN_PX + PLOT_PX * x, MARGIN_PX + PLOT_PX * (1 - y)


def _open(width: float, height: float, title: str) -> Markup:
    tag = Markup('<svg xmlns="http://www.w3.org/2000/svg" role="img" {}><title>{}</title>')
    size = Markup('width="{0}" height="{1}" viewBox="0 0 {0} {1}"').format(round(width), round(height))
    return tag.format(size, title)


def _dot(x: float, y: float, kind: str) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(kind, x, y)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _upright(y: float, text: str) -> Markup:
    return Markup('<text class="label middle" transform="translate(9 {}) rotate(-90)">{}</text>').format(y, text)


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, escape(text))
