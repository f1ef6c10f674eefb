"""Made segments of few videos, as lists and as spans."""

import math

import numpy as np
from hypothesis import strategies as st

from nrray.metrics.spans import spans_of
from nrray.metrics.timelines import timelines_of

US = 1_000_000

half_seconds = st.integers(0, 40).map(lambda n: n * US // 2)
segments = st.lists(
    st.tuples(half_seconds, half_seconds, st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])).filter(
        lambda s: s[0] <= s[1]
    ),
    max_size=6,
)
spans = st.lists(st.integers(0, 44), min_size=2, max_size=6, unique=True).map(
    lambda marks: [
        (start * US // 2, end * US // 2) for start, end in zip(sorted(marks)[::2], sorted(marks)[1::2], strict=False)
    ]
)
videos = st.lists(st.tuples(segments, segments, spans), min_size=1, max_size=3)
scored_rows = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=40)


def flat(parts):
    """Spans of lists of (start, end) or (start, end, score), one list a video."""
    rows = [(video, *part) for video, mine in enumerate(parts) for part in mine]
    video, start, end = ([row[i] for row in rows] for i in (0, 1, 2))
    score = [row[3] for row in rows] if rows and len(rows[0]) > 3 else [math.nan] * len(rows)
    return spans_of(np.array(video, np.int64), np.array(start, np.int64), np.array(end, np.int64), np.array(score))


def timelines_between(made):
    """Timelines of (reference, candidate, evaluated), one a video."""
    reference, candidate, evaluated = zip(*made, strict=True)
    return timelines_of(flat(reference), flat(candidate), flat(evaluated), num_videos=len(made))


def close(found, expected):
    """Equal but for rounding, NaN with NaN."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9, equal_nan=True)
