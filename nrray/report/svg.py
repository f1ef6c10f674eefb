"""Small plots for a page that may load nothing: SVG with classes, no scripts and no style attributes."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from nrray.types import US_PER_SECOND

PLOT_PX = 220
MARGIN_PX = 34
LANE_PX, NAME_PX, TIME_PX = 9, 110, 760

Points = Sequence[tuple[float, float]]


def unit_plot(
    curves: Sequence[tuple[str, Points]], *, x_label: str, y_label: str, diagonal: bool, dots: bool
) -> Markup:
    """Curves in the unit square; `curves` are (class name, points)."""
    size = PLOT_PX + 2 * MARGIN_PX
    parts = [_open(size, size, f"{y_label} over {x_label}")]
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
    parts.append(
        Markup('<text class="label middle" transform="translate(9 {}) rotate(-90)">{}</text>').format(size / 2, y_label)
    )
    return Markup("").join([*parts, Markup("</svg>")])


def timeline_plot(
    names: Sequence[str], candidate: Sequence[Points], reference: Sequence[Points], *, evaluated: Points
) -> Markup:
    """Two bars per activity on one time axis (microseconds): candidate above, reference below, on grey ground where the time
    was evaluated."""
    if not evaluated:
        return Markup("")
    low, high = min(start for start, _ in evaluated), max(end for _, end in evaluated)
    scale = TIME_PX / max(high - low, 1)
    height = len(names) * (2 * LANE_PX + 8) + 22
    parts = [_open(NAME_PX + TIME_PX + 10, height, "timeline")]
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
    for quarter in range(5):
        at = NAME_PX + TIME_PX * quarter / 4
        parts.append(_text(at, height - 6, f"{low_s + length_s * quarter / 4:.0f} s", "tick middle"))
    return Markup("").join([*parts, Markup("</svg>")])


def difference_plot(
    pairs: Sequence[tuple[float, float]], *, bias: float, lower: float, upper: float, unit: str
) -> Markup:
    """Bland and Altman's plot: difference over mean, with bias and limits of agreement."""
    means = [(left + right) / 2 for left, right in pairs]
    differences = [left - right for left, right in pairs]
    x_low, x_high = min(means), max(means)
    y_high = max(*(abs(value) for value in differences), abs(lower), abs(upper), 1e-9)
    size = PLOT_PX + 2 * MARGIN_PX
    parts = [_open(size, size, "difference over mean")]

    def at(x: float, y: float) -> tuple[float, float]:
        return _at((x - x_low) / ((x_high - x_low) or 1), 0.5 + 0.5 * y / y_high)

    for value, kind in ((0.0, "grid"), (bias, "bias"), (lower, "limit"), (upper, "limit")):
        parts.append(_line(*at(x_low, value), _at(1, 0)[0], at(x_low, value)[1], kind))
        parts.append(_text(MARGIN_PX - 3, at(x_low, value)[1] + 3, f"{value:.1f}", "tick end"))
    for mean, difference in zip(means, differences, strict=True):
        x, y = at(mean, difference)
        parts.append(_dot(x, y, "dot"))
    for value in (x_low, x_high):
        parts.append(_text(at(value, 0)[0], size - MARGIN_PX + 14, f"{value:.0f}", "tick middle"))
    parts.append(_text(size / 2, size - 4, f"mean of both ({unit})", "label middle"))
    return Markup("").join([*parts, Markup("</svg>")])


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


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, escape(text))
