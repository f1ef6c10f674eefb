"""One picture per video: segments of a model and of a reference, the model's scores, answers that claim nothing, and the time
that nobody examined.
Plain arrays in, PNG bytes out; no pyplot, no global state."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from nrray.intervals import IntervalArray, true_runs
from nrray.report.legible import families, legible
from nrray.types import EXAMINED_STATUSES, US_PER_SECOND, CoverageStatus, LabelState

WIDTH_INCHES = 10.0
ROW_INCHES = 0.42
DPI = 110
LEFT_INCHES, RIGHT_INCHES, TOP_INCHES, BOTTOM_INCHES = 1.75, 0.25, 0.42, 0.85
MAX_SCORE_STEPS = 900  # about one per pixel column

# Okabe and Ito's palette for colour-blind readers; dark blue, orange and sky blue also differ in lightness.
LANE_COLORS = ("#0072B2", "#E69F00", "#009E73")
SCORE_COLOR = "#56B4E9"
UNEXAMINED_FACE, UNEXAMINED_EDGE = "#E4E4E4", "#8A8A8A"
UNEXAMINED_HATCHES: dict[CoverageStatus, str] = {
    CoverageStatus.FAILED: "/////",
    CoverageStatus.QUARANTINED: "xxxxx",
    CoverageStatus.NOT_ASSESSABLE: "++",
    CoverageStatus.NOT_RUN: "....",
}
UNEXAMINED_TEXTS: dict[CoverageStatus, str] = {
    CoverageStatus.FAILED: "not examined: failed",
    CoverageStatus.QUARANTINED: "not examined: quarantined",
    CoverageStatus.NOT_ASSESSABLE: "not assessable: unlike training",
    CoverageStatus.NOT_RUN: "not examined: not run",
}
UNDECIDED_FACE, UNDECIDED_EDGE = "#FFFFFF", "#7A2E00"
UNDECIDED_HATCHES: dict[LabelState, str] = {LabelState.UNPARSED: "\\\\\\\\", LabelState.UNSURE: "ooo"}
UNDECIDED_TEXTS: dict[LabelState, str] = {
    LabelState.UNPARSED: "unparsed answer",
    LabelState.UNSURE: "unsure",
}
WARNING_INCHES = 0.22
TICK_SECONDS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400),
)
MAX_TICKS = 10


@dataclass(frozen=True, kw_only=True)
class WindowScores:
    """The scores of one activity's windows, any order: (W,) arrays; NaN where there is none."""

    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    score: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One source: per activity its segments, (S, 2) start and end, and, of a model, its window scores and the time of each state
    that claims neither presence nor absence."""

    source: str
    segments: Mapping[str, IntervalArray]
    scores: Mapping[str, WindowScores] = field(default_factory=dict)
    undecided: Mapping[str, Mapping[LabelState, IntervalArray]] = field(default_factory=dict)


def draw_timeline(
    *,
    title: str,
    activities: Sequence[str],
    lanes: Sequence[Lane],
    unexamined: Mapping[CoverageStatus, IntervalArray],
    start_us: int,
    duration_us: int,
    warning: str | None = None,
) -> bytes:
    """A PNG: one row per activity, in it a thick bar for the first lane and thinner ones for up to two more.

    `unexamined` is the time that nobody examined, by status: it is hatched over all rows, so that silence is never taken
    for absence; so is, in its row, time whose answers claim nothing. warning: a line under the title. Raises ValueError for
    more than three lanes.
    """
    if len(lanes) > len(LANE_COLORS):
        raise ValueError(f"{len(lanes)} lanes, at most {len(LANE_COLORS)} can be told apart in one row")
    top_inches = TOP_INCHES + (0.0 if warning is None else WARNING_INCHES)
    height_inches = top_inches + ROW_INCHES * len(activities) + BOTTOM_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (
            LEFT_INCHES / WIDTH_INCHES,
            BOTTOM_INCHES / height_inches,
            (WIDTH_INCHES - LEFT_INCHES - RIGHT_INCHES) / WIDTH_INCHES,
            ROW_INCHES * len(activities) / height_inches,
        )
    )
    start_seconds = start_us / US_PER_SECOND
    end_seconds = start_seconds + max(duration_us, 1) / US_PER_SECOND
    has_scores = False
    for row, activity in enumerate(activities):
        bottom = len(activities) - 1 - row
        for lane in lanes:
            if activity in lane.scores:
                has_scores |= _draw_scores(axes, lane.scores[activity], bottom, start_us, start_us + duration_us)
            for state, intervals in lane.undecided.get(activity, {}).items():
                _draw_hatched(axes, intervals, (bottom + 0.06, bottom + 0.94), UNDECIDED_HATCHES[state], is_row=True)
        _draw_bars(axes, lanes, activity, bottom, least_seconds=(end_seconds - start_seconds) / 600)
    for status, intervals in unexamined.items():
        if len(intervals):
            _draw_hatched(axes, intervals, (0, len(activities)), UNEXAMINED_HATCHES[status], is_row=False)
    _set_axes(axes, activities, start_seconds, end_seconds)
    family = list(families())
    figure.text(
        0.12 / WIDTH_INCHES,
        1 - 0.14 / height_inches,
        legible(title, max_chars=110),
        family=family,
        size=9.5,
        weight="bold",
        va="top",
    )
    if warning is not None:
        place = (0.12 / WIDTH_INCHES, 1 - (0.14 + WARNING_INCHES) / height_inches)
        text = legible(f"! {warning}", max_chars=150)
        figure.text(*place, text, family=family, size=8.5, color=UNDECIDED_EDGE, weight="bold", va="top")
    _draw_legend(figure, lanes, unexamined, height_inches, has_scores=has_scores)
    return _png(figure)


def unexamined_intervals(
    start_us: NDArray[np.int64], end_us: NDArray[np.int64], status: Sequence[str]
) -> dict[CoverageStatus, IntervalArray]:
    """Of one video's coverage rows, (W,) each: the time under no examined window, by status.

    Where windows of several statuses overlap, not assessable counts before quarantined before failed before not run.
    """
    borders = np.unique(np.concatenate([start_us, end_us]))
    kinds = np.asarray(status)
    free = np.ones(max(len(borders) - 1, 0), bool)
    found: dict[CoverageStatus, IntervalArray] = {}
    order = (
        CoverageStatus.OK,
        CoverageStatus.DEGRADED,
        CoverageStatus.NOT_ASSESSABLE,
        CoverageStatus.QUARANTINED,
        CoverageStatus.FAILED,
        CoverageStatus.NOT_RUN,
    )
    for kind in order:
        mine = kinds == kind.value
        steps = np.zeros(len(borders), np.int64)
        np.add.at(steps, np.searchsorted(borders, start_us[mine]), 1)
        np.add.at(steps, np.searchsorted(borders, end_us[mine]), -1)
        covered = (np.cumsum(steps)[:-1] > 0) & free
        free &= ~covered
        if kind.value not in EXAMINED_STATUSES and covered.any():
            found[kind] = borders[true_runs(covered)]
    return found


def intervals_of_state(
    start_us: NDArray[np.int64], end_us: NDArray[np.int64], has_state: NDArray[np.bool_]
) -> IntervalArray:
    """(N, 2) the time over which at least half of one video's windows have a state; (W,) each."""
    borders = np.unique(np.concatenate([start_us, end_us]))
    covering, mine = np.zeros(len(borders), np.int64), np.zeros(len(borders), np.int64)
    for where, sign in ((start_us, 1), (end_us, -1)):
        position = np.searchsorted(borders, where)
        np.add.at(covering, position, sign)
        np.add.at(mine, position, sign * has_state)
    covering, mine = np.cumsum(covering)[:-1], np.cumsum(mine)[:-1]
    intervals: IntervalArray = borders[true_runs((mine > 0) & (2 * mine >= covering))]
    return intervals


def score_steps(scores: WindowScores, *, start_us: int, end_us: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(N + 1,) borders and (N,) mean score of the windows over each cell, NaN where there is none; at most
    MAX_SCORE_STEPS cells, longer videos are averaged over time."""
    known = np.isfinite(scores.score)
    first_us, last_us, value = scores.start_us[known], scores.end_us[known], scores.score[known].astype(np.float64)
    borders = np.unique(np.concatenate([first_us, last_us, [start_us, end_us]]))
    count, total = np.zeros(len(borders)), np.zeros(len(borders))
    for where, sign in ((first_us, 1.0), (last_us, -1.0)):
        position = np.searchsorted(borders, where)
        np.add.at(count, position, sign)
        np.add.at(total, position, sign * value)
    covering = np.cumsum(count)[:-1].round()
    mean = np.where(covering > 0, np.cumsum(total)[:-1] / np.maximum(covering, 1), np.nan)
    if len(mean) <= MAX_SCORE_STEPS:
        return borders, mean
    length = np.diff(borders)
    seen_us = np.concatenate([[0], np.cumsum(np.where(covering > 0, length, 0))])
    area = np.concatenate([[0], np.cumsum(np.where(covering > 0, length * np.nan_to_num(mean), 0))])
    coarse = np.linspace(borders[0], borders[-1], MAX_SCORE_STEPS + 1).round().astype(np.int64)
    seen_step = np.diff(np.interp(coarse, borders, seen_us))
    return coarse, np.where(seen_step > 0, np.diff(np.interp(coarse, borders, area)) / np.maximum(seen_step, 1), np.nan)


def tick_step_seconds(length_seconds: float) -> float:
    """The smallest round step that gives at most MAX_TICKS ticks."""
    for step in TICK_SECONDS:
        if length_seconds / step <= MAX_TICKS:
            return step
    return 86_400.0 * math.ceil(length_seconds / 86_400 / MAX_TICKS)


def clock_text(seconds: float, *, step_seconds: float) -> str:
    """`m:ss`, with hours from the first hour on and decimals where the ticks are closer than a second."""
    decimals = 0 if step_seconds >= 1 else 1 if step_seconds >= 0.1 else 2
    ticks = round(abs(seconds) * 10**decimals)
    sign = "-" if seconds < 0 and ticks else ""
    whole, fraction = divmod(ticks, 10**decimals)
    minutes, rest = divmod(whole, 60)
    tail = f"{rest:02d}" + (f".{fraction:0{decimals}d}" if decimals else "")
    if minutes >= 60:
        return f"{sign}{minutes // 60}:{minutes % 60:02d}:{tail}"
    return f"{sign}{minutes}:{tail}"


def _draw_scores(axes: Axes, scores: WindowScores, bottom: int, start_us: int, end_us: int) -> bool:
    borders, mean = score_steps(scores, start_us=start_us, end_us=end_us)
    if not np.isfinite(mean).any():
        return False
    x = np.repeat(borders / US_PER_SECOND, 2)[1:-1]
    y = bottom + 0.06 + 0.88 * np.repeat(mean, 2)
    axes.fill_between(x, bottom + 0.06, y, color=SCORE_COLOR, alpha=0.28, linewidth=0, zorder=2)
    axes.plot(x, y, color=SCORE_COLOR, linewidth=0.7, zorder=2.1)
    return True


def _draw_bars(axes: Axes, lanes: Sequence[Lane], activity: str, bottom: int, *, least_seconds: float) -> None:
    """The first lane fills the upper part of the row, the others share the lower one."""
    bands = [(0.46, 0.82), (0.20, 0.36), (0.04, 0.16)] if len(lanes) > 1 else [(0.30, 0.70)]
    for lane, (low, high), color in zip(lanes, bands, LANE_COLORS, strict=False):
        segments = lane.segments.get(activity)
        if segments is None or not len(segments):
            continue
        left = segments[:, 0] / US_PER_SECOND
        right = np.maximum(segments[:, 1] / US_PER_SECOND, left + least_seconds)  # never thinner than a pixel
        corners = [
            [(a, bottom + low), (a, bottom + high), (b, bottom + high), (b, bottom + low)]
            for a, b in zip(left.tolist(), right.tolist(), strict=True)
        ]
        axes.add_collection(PolyCollection(corners, facecolors=color, edgecolors="none", zorder=4), autolim=False)


def _draw_hatched(axes: Axes, intervals: IntervalArray, band: tuple[float, float], hatch: str, *, is_row: bool) -> None:
    """Over all rows, or in one."""
    low, high = band
    corners = [[(a, low), (a, high), (b, high), (b, low)] for a, b in (intervals / US_PER_SECOND).tolist()]
    axes.add_collection(
        PolyCollection(
            corners,
            facecolors=UNDECIDED_FACE if is_row else UNEXAMINED_FACE,
            edgecolors=UNDECIDED_EDGE if is_row else UNEXAMINED_EDGE,
            hatch=hatch,
            linewidths=0.4,
            zorder=2.5 if is_row else 3,
        ),
        autolim=False,
    )


def _set_axes(axes: Axes, activities: Sequence[str], start_seconds: float, end_seconds: float) -> None:
    axes.set_xlim(start_seconds, end_seconds)
    axes.set_ylim(0, max(len(activities), 1))
    step = tick_step_seconds(end_seconds - start_seconds)
    ticks = np.arange(math.ceil(start_seconds / step - 1e-9), math.floor(end_seconds / step + 1e-9) + 1) * step
    axes.set_xticks(ticks, [clock_text(tick, step_seconds=step) for tick in ticks.tolist()])
    names = [legible(name.replace("_", " "), max_chars=24) for name in reversed(activities)]
    axes.set_yticks(np.arange(len(activities)) + 0.5, names)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.tick_params(axis="x", length=3, labelsize=8.5, color="#666666")
    for label in axes.get_yticklabels():
        label.set_fontfamily(list(families()))
    axes.grid(axis="x", color="#D9D9D9", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    for row in range(1, len(activities)):
        axes.axhline(row, color="#BFBFBF", linewidth=0.6, zorder=1)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#666666")
    unit = "h:mm:ss" if end_seconds >= 3600 else "min:s"
    axes.set_xlabel(f"time in the video ({unit})", size=8.5, color="#444444", labelpad=2)


def _draw_legend(
    figure: Figure,
    lanes: Sequence[Lane],
    unexamined: Mapping[CoverageStatus, IntervalArray],
    height_inches: float,
    *,
    has_scores: bool,
) -> None:
    entries = [
        Patch(facecolor=color, label=legible(lane.source, max_chars=40))
        for lane, color in zip(lanes, LANE_COLORS, strict=False)
        if lane.source  # a video without labels has none
    ]
    if has_scores:
        entries.append(Patch(facecolor="#D3EAF9", edgecolor=SCORE_COLOR, label="score of the windows, 0 to 1"))
    shown = {state for lane in lanes for states in lane.undecided.values() for state, at in states.items() if len(at)}
    entries += [
        Patch(
            facecolor=UNDECIDED_FACE, edgecolor=UNDECIDED_EDGE, hatch=hatch, linewidth=0.4, label=UNDECIDED_TEXTS[state]
        )
        for state, hatch in UNDECIDED_HATCHES.items()
        if state in shown
    ]
    entries += [
        Patch(
            facecolor=UNEXAMINED_FACE,
            edgecolor=UNEXAMINED_EDGE,
            hatch=hatch,
            linewidth=0.4,
            label=UNEXAMINED_TEXTS[status],
        )
        for status, hatch in UNEXAMINED_HATCHES.items()
        if len(unexamined.get(status, ()))
    ]
    figure.legend(
        handles=entries,
        loc="lower left",
        bbox_to_anchor=(LEFT_INCHES / WIDTH_INCHES - 0.008, 0.04 / height_inches),
        ncols=min(len(entries), 4) or 1,
        frameon=False,
        prop={"family": list(families()), "size": 8.5},
        handlelength=1.6,
        columnspacing=1.6,
        borderpad=0.1,
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
