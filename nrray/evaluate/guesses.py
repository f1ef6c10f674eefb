"""What no model at all would get: always yes, always no, and yes at random as often as the activity is there.

In: an alignment and its sums. Out: every metric of each guess. A guess is another set of sums, so each figure is made by
the function that makes the model's.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from nrray.evaluate.alignment import Alignment
from nrray.evaluate.measures import Measured, line_sums, metrics_of
from nrray.evaluate.ranked import IOUS, exact_precision
from nrray.evaluate.resampling import Sums
from nrray.metrics.counts import divided
from nrray.metrics.scored import NUM_BINS, FloatArray, bins_of
from nrray.metrics.spans import Spans, spans_of
from nrray.metrics.timelines import Timelines, detections, timelines_of

ALWAYS_YES, ALWAYS_NO, AT_RANDOM = "always yes", "always no", "at random by prevalence"

GuessRows = dict[str, dict[str, dict[str, float | None]]]


def guess_rows(alignment: Alignment, found: Measured, *, seed: int = 0) -> GuessRows:
    """Activity to guess to metric.

    Of windows and time `AT_RANDOM` has the expected counts. Its segments are one draw: evaluated time in pieces as long as
    the reference's mean segment, each yes with the probability of the share of time.
    """
    total = {name: part.sum(axis=0) for name, part in found.sums.items()}
    time_share = _share(total["time"])
    lines = {
        ALWAYS_YES: {name: _all_of(part) for name, part in alignment.lines.items()},
        ALWAYS_NO: {name: _none_of(part) for name, part in alignment.lines.items()},
        AT_RANDOM: {
            name: _drawn(part, share, np.random.default_rng([seed, i]))
            for i, ((name, part), share) in enumerate(zip(alignment.lines.items(), time_share.tolist(), strict=True))
        },
    }
    rows: GuessRows = {name: {} for name in alignment.activities}
    for guess, share_of in ((ALWAYS_YES, np.ones_like), (ALWAYS_NO, np.zeros_like), (AT_RANDOM, np.copy)):
        metrics = metrics_of(_guessed_sums(alignment, total, lines[guess], share_of=share_of))
        # A score that is the same everywhere ranks nothing: its average precision is the share of positives.
        bins = total["bins"].reshape(len(alignment.activities), NUM_BINS, 3).sum(axis=1)
        metrics["windows average precision"] = np.where(bins[:, 2] > 0, divided(bins[:, 2], bins[:, 0]), np.nan)
        for iou in IOUS:
            metrics[f"segments average precision at tIoU {float(iou):g}"] = np.array(
                [exact_precision(detections(part, iou)) for part in lines[guess].values()]
            )
        for i, name in enumerate(alignment.activities):
            rows[name][guess] = {
                metric: float(values[i]) if np.isfinite(values[i]) else None for metric, values in metrics.items()
            }
    return rows


def _guessed_sums(
    alignment: Alignment, total: Sums, lines: Mapping[str, Timelines], *, share_of: Callable[[FloatArray], FloatArray]
) -> Sums:
    """(A, k) sums over all cases of a guess that says yes to a share of everything."""
    sums = {name: part.sum(axis=0) for name, part in line_sums(lines).items()}
    for level in ("windows", "time"):
        sums[level] = _expected(total[level], share_of(_share(total[level])))
    bins = total["bins"].reshape(len(alignment.activities), NUM_BINS, 3).sum(axis=1)
    scored, positives = bins[:, 0], bins[:, 2]
    score = share_of(np.nan_to_num(divided(positives, scored)))
    errors = positives * (1 - score) ** 2 + (scored - positives) * score**2
    sums["brier"] = np.stack([errors, scored], axis=-1)
    constant = np.zeros((len(scored), NUM_BINS, 3))
    constant[np.arange(len(scored)), bins_of(score)] = np.stack([scored, scored * score, positives], axis=-1)
    sums["bins"] = constant.reshape(len(scored), -1)
    return sums


def _share(counts: FloatArray) -> FloatArray:
    """(A,) of (A, 4) counts: where the reference has the activity."""
    return np.nan_to_num(divided(counts[:, 0] + counts[:, 2], counts.sum(axis=1)))


def _expected(counts: FloatArray, share: FloatArray) -> FloatArray:
    """(A, 4) counts where yes comes with probability `share`, whatever is there."""
    positive, negative = counts[:, 0] + counts[:, 2], counts[:, 1] + counts[:, 3]
    return np.stack([share * positive, share * negative, (1 - share) * positive, (1 - share) * negative], axis=-1)


def _all_of(lines: Timelines) -> Timelines:
    return replace(lines, candidate=lines.evaluated, candidate_span=np.arange(len(lines.evaluated)))


def _none_of(lines: Timelines) -> Timelines:
    nothing = np.zeros(0, np.int64)
    return replace(lines, candidate=spans_of(nothing, nothing, nothing), candidate_span=nothing)


def _drawn(lines: Timelines, share: float, random: np.random.Generator) -> Timelines:
    if len(lines.reference) == 0:
        return _none_of(lines)
    piece_us = max(1, round(float(lines.reference.length_us.mean())))
    evaluated = lines.evaluated
    count = -(-evaluated.length_us // piece_us)
    span = np.repeat(np.arange(len(evaluated)), count)
    number = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    start_us = evaluated.start_us[span] + number * piece_us
    pieces = spans_of(evaluated.video[span], start_us, np.minimum(start_us + piece_us, evaluated.end_us[span]))
    yes = random.random(len(pieces)) < share
    candidate = Spans(
        video=pieces.video[yes], start_us=pieces.start_us[yes], end_us=pieces.end_us[yes], score=pieces.score[yes]
    )
    return timelines_of(lines.reference, candidate, evaluated, num_videos=lines.num_videos)
