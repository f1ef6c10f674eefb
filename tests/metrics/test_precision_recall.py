"""Compared with an implementation from the formulas, by somebody who had not seen this one (reference.py), and
scikit-learn."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from sklearn import metrics as sklearn_metrics

from nrray.metrics.precision_recall import average_precision, hits_and_claims, interpolated_average_precisions
from nrray.metrics.timelines import detections
from tests.metrics import reference
from tests.metrics.made_spans import close, scored_rows, timelines_between, videos


@given(scored_rows)
def test_average_precision(rows):
    scores, targets = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    ours = average_precision(scores, targets)
    close(ours, reference.average_precision(scores.tolist(), targets.tolist()))
    if targets.any():
        close(ours, sklearn_metrics.average_precision_score(targets, scores))


def test_equal_scores_are_one_threshold():
    hits, claims = hits_and_claims(np.array([0.5, 0.9, 0.5, 0.1]), np.array([True, False, True, True]))
    assert (hits.tolist(), claims.tolist()) == ([0, 2, 3], [1, 3, 4])


@given(videos)
def test_average_precision_of_detections(made):
    timelines = timelines_between(made)
    for iou in (Fraction(1, 10), Fraction(1, 2)):
        found = detections(timelines, iou)
        hits = np.cumsum(found.is_hit)[None].astype(float)
        claims = np.arange(1.0, len(found.is_hit) + 1)[None]
        positives = np.array([found.num_reference.sum()], float)
        ours = interpolated_average_precisions(hits, claims, positives)[0] if len(found.is_hit) else math.nan
        if not len(found.is_hit):
            ours = 0.0 if positives[0] else math.nan
        close(ours, reference.detection_ap(made, iou))


def test_the_precision_at_a_recall_is_the_highest_at_that_recall_or_above():
    hits, claims = np.array([[0.0, 1.0, 2.0]]), np.array([[1.0, 2.0, 3.0]])  # a false alarm first
    close(interpolated_average_precisions(hits, claims, np.array([2.0])), [2 / 3])
