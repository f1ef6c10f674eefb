"""Indicators over cases and the agreement of two labellings on them."""

import numpy as np
import pytest

from nrray.archive.cases import Cases
from nrray.evaluate.clinical import agreements, case_timelines, clinical_indicators, summaries
from nrray.evaluate.indicators import CaseIndicators, Indicator, IndicatorUnit
from nrray.evaluate.labelling import read_labelling
from nrray.intervals import Interval
from nrray.types import Case
from tests.evaluate.archives import (
    LABELS,
    PATHS,
    TRUTH,
    US,
    archive,
    evaluated,
    scores_of,
    write_annotations,
    write_labels,
)


def made_cases(values, unit=IndicatorUnit.SECONDS):
    """A case per value of one indicator, None where the value is not known."""
    return [
        CaseIndicators(
            case_id=f"case {number}",
            zero="birth",
            indicators=(
                Indicator(name="delay", unit=unit, value=value, reason=None if value is not None else "nobody looked"),
            ),
        )
        for number, value in enumerate(values)
    ]


def agreement_of(candidate, reference, unit=IndicatorUnit.SECONDS):
    (found,) = agreements(made_cases(candidate, unit), made_cases(reference, unit))
    return found


def test_limits_of_agreement_are_from_the_sample_standard_deviation():
    candidate, reference = [12.0, 15.0, 9.0, 30.0], [10.0, 16.0, 9.0, 20.0]
    found = agreement_of(candidate, reference)
    differences = np.array(candidate) - np.array(reference)  # 2, -1, 0, 10
    spread = 1.96 * np.sqrt(((differences - 2.75) ** 2).sum() / 3)
    assert found.bias.estimate == pytest.approx(2.75)
    assert (found.lower_limit, found.upper_limit) == (pytest.approx(2.75 - spread), pytest.approx(2.75 + spread))
    assert (found.num_pairs, found.num_equal) == (4, 1)


def test_pairs_are_of_cases_where_both_values_are_known():
    found = agreement_of([12.0, None, 9.0, 30.0], [10.0, 16.0, None, 20.0])
    assert found.pairs == (("case 0", 12.0, 10.0), ("case 3", 30.0, 20.0))
    assert found.bias.estimate == pytest.approx(6)
    assert (found.lower_limit, found.upper_limit) == (None, None)  # of two pairs


def test_yes_and_no_have_a_difference_of_shares_and_no_limits():
    found = agreement_of([1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], unit=IndicatorUnit.YES)
    assert found.bias.estimate == pytest.approx(0.25)
    assert found.num_equal == 3
    assert (found.lower_limit, found.upper_limit) == (None, None)


def test_a_summary_is_over_the_cases_whose_value_is_known():
    (found,) = summaries(made_cases([10.0, None, 30.0, 20.0]))
    assert (found.num_cases, found.num_known) == (4, 3)
    assert (found.lower_quartile, found.median.estimate, found.upper_quartile) == (15, 20, 25)
    assert found.mean.estimate == 20


def test_a_summary_of_yes_and_no_is_the_share():
    (found,) = summaries(made_cases([1.0, 0.0, 1.0, None], unit=IndicatorUnit.YES))
    assert found.mean.estimate == pytest.approx(2 / 3)
    assert (found.lower_quartile, found.median.estimate, found.upper_quartile) == (None, None, None)


def two_cameras(tmp_path):
    """A birth filmed by two cameras, the second 30 s later, and a video without a sidecar row."""
    segments = {
        "head.mp4": {"ventilation": [(10, 20)]},
        "foot.mp4": {"ventilation": [(0, 5)]},
        "alone.mp4": {"ventilation": [(1, 2)]},
    }
    extents = {"head.mp4": [(0, 40)], "foot.mp4": [(0, 20)], "alone.mp4": [(0, 10)]}
    folder = write_annotations(tmp_path / "truth", segments, extents)
    rows = [
        Case(
            case_id="birth",
            video_path=path,
            camera=path,
            video_start_us=start_s * US,
            site=None,
            instants={"birth": birth_s * US},
        )
        for path, start_s, birth_s in (("head.mp4", 100, 70), ("foot.mp4", 130, 60))
    ]
    return read_labelling(folder, activities=LABELS.names), Cases(rows=tuple(rows))


def test_cameras_of_a_case_are_joined_on_its_clock(tmp_path):
    labelling, cases = two_cameras(tmp_path)
    birth, alone = case_timelines(labelling, cases=cases, case_ids=["birth", "alone.mp4"])
    assert birth.examined == [Interval(start_us=100 * US, end_us=150 * US)]
    assert birth.intervals["ventilation"] == [
        Interval(start_us=110 * US, end_us=120 * US),
        Interval(start_us=130 * US, end_us=135 * US),
    ]
    assert birth.instants == {"birth": 60 * US}  # of its first video by path
    assert alone.intervals["ventilation"] == [Interval(start_us=US, end_us=2 * US)]
    assert alone.instants == {}


def test_cases_are_counted_by_their_zero(tmp_path):
    labelling, cases = two_cameras(tmp_path)
    found = clinical_indicators(
        labelling,
        labelling,
        LABELS,
        cases=cases,
        case_ids=["birth", "alone.mp4"],
        merge_gap_seconds=2,
    )
    assert found.zeros.candidate == found.zeros.reference == {"birth": 1, "none": 1}
    values = found.cases.candidate["birth"]
    assert values["total stimulation"].value is None
    assert values["total stimulation"].reason == "no baby_visible was seen"


def test_answers_that_are_none_are_not_zero_episodes(tmp_path):
    _, reference = archive(tmp_path)
    unparsed = {path: {(window, "suction"): "unparsed" for window in range(60)} for path in PATHS[:4]}
    unparsed[PATHS[4]] = {(50, "suction"): "unsure"}
    scores = {path: scores_of(TRUTH, 60, right=1.0) for path in PATHS}
    labels = write_labels(tmp_path / "silent", scores, source="silent", states=unparsed)
    values = evaluated(tmp_path, labels, reference).clinical.cases.candidate
    silent = values[PATHS[0]]["suction episodes"]
    assert (silent.value, silent.reason) == (None, "nothing is claimed of suction: no answer, or none that is plain")
    assert values[PATHS[4]]["suction episodes"].reason == "1.0 s of the interval were not looked at"
    assert values[PATHS[5]]["suction episodes"].value == 1
    assert values[PATHS[0]]["stimulation episodes"].value == 1
