"""The rule by which a frame serves a sample, on times alone."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.decode.selection import DecodedTimes, bridged_us, rounded_us, serve_samples, typical_interval_us


def times(frame_us: list[int], *, damaged_before: tuple[int, ...] = (), interval_us: int = 40_000) -> DecodedTimes:
    return DecodedTimes(
        frame_us=np.array(frame_us, np.int64),
        after_damage=np.isin(frame_us, damaged_before),
        interval_us=interval_us,
        last_duration_us=interval_us,
        stop_reason="",
    )


@given(
    st.lists(st.integers(0, 10_000_000), min_size=1, max_size=40, unique=True).map(sorted),
    st.lists(st.integers(0, 10_000_000), min_size=1, max_size=40).map(sorted),
)
def test_without_damage_a_sample_has_the_last_frame_at_or_before_it_but_in_a_long_gap(frame_us, sample_us):
    end_us = frame_us[-1] + 40_000
    service = serve_samples(times(frame_us), sample_us=np.array(sample_us), video_end_us=end_us)
    for sample, frame in zip(sample_us, service.frame_of_sample.tolist(), strict=True):
        before = sum(time <= sample for time in frame_us)
        is_near_first = frame_us[0] - 40_000 <= sample
        nearest = before - 1 if before else 0 if is_near_first else -1
        is_in_gap = 0 < before < len(frame_us) and frame_us[before] - frame_us[nearest] > bridged_us(40_000)
        assert frame == (-1 if is_in_gap and sample >= frame_us[nearest] + 40_000 else nearest)


@given(st.integers(-(10**9), 10**9), st.integers(1, 1001), st.integers(1, 200_000))
def test_ticks_are_rounded_to_the_nearest_microsecond(ticks, numerator, denominator):
    base = Fraction(numerator, denominator)
    assert abs(rounded_us(ticks, base) - ticks * base * 1_000_000) <= Fraction(1, 2)


@pytest.mark.parametrize(("ticks", "us"), [(1, 1), (2, 1), (3, 2), (-1, 0), (-3, -1)])
def test_half_a_microsecond_is_rounded_up(ticks, us):
    assert rounded_us(ticks, Fraction(1, 2_000_000)) == us


def test_frames_are_as_far_apart_as_the_header_claims_or_as_most_are():
    frame_us = np.array([0, 40_000, 80_000, 120_000, 900_000])
    assert typical_interval_us(frame_us, claimed_fps=50.0) == 20_000
    assert typical_interval_us(frame_us, claimed_fps=0.0) == 40_000
    assert typical_interval_us(frame_us[:1], claimed_fps=0.0) == 40_000
    assert typical_interval_us(frame_us[:1], claimed_fps=10.0) == 100_000


def served(frame_us, sample_us, *, end_us, interval_us=40_000, damaged_before=()):
    decoded = times(frame_us, damaged_before=damaged_before, interval_us=interval_us)
    return serve_samples(decoded, sample_us=np.array(sample_us), video_end_us=end_us).frame_of_sample.tolist()


def test_a_damaged_hole_of_half_a_second_is_bridged_and_a_longer_one_is_not():
    assert served([0, 500_000], [499_999, 500_000], end_us=540_000, damaged_before=(500_000,)) == [0, 1]
    assert served([0, 500_001], [499_999, 500_001], end_us=540_000, damaged_before=(500_001,)) == [-1, 1]


def test_the_frame_before_a_hole_serves_its_own_interval():
    assert served([0, 2_000_000], [39_999, 40_000], end_us=2_040_000, damaged_before=(2_000_000,)) == [0, -1]


def test_a_sample_up_to_one_interval_before_the_first_frame_has_it():
    assert served([1_000_000], [959_999, 960_000, 999_999], end_us=1_040_000) == [-1, 0, 0]


def test_a_video_that_ends_half_a_second_early_ends_there_and_is_not_cut_off():
    assert served([0, 40_000], [500_000], end_us=540_000) == [1]
    assert served([0, 40_000], [500_000], end_us=540_001) == [-1]


def test_a_slow_video_may_end_two_of_its_intervals_early():
    assert served([0, 1_000_000], [3_000_000], end_us=3_000_000, interval_us=1_000_000) == [1]
    assert served([0, 1_000_000], [3_000_000], end_us=3_000_001, interval_us=1_000_000) == [-1]


def test_a_short_damaged_stretch_is_bridged_and_a_long_one_is_not():
    samples = np.array([0, 300_000, 500_000, 1_000_000, 1_600_000])
    bridged = serve_samples(times([0, 480_000], damaged_before=(480_000,)), sample_us=samples[:2], video_end_us=520_000)
    assert bridged.frame_of_sample.tolist() == [0, 0]
    frame_us = [0, 480_000, 1_600_000]
    holed = serve_samples(times(frame_us, damaged_before=(1_600_000,)), sample_us=samples, video_end_us=1_640_000)
    assert holed.frame_of_sample.tolist() == [0, 0, 1, -1, 2]
    assert holed.shortfall == "nothing could be decoded from 0.48 s to 1.60 s"


def test_an_early_end_gives_its_last_frame_one_interval():
    samples = np.array([0, 30_000, 40_000, 79_999, 80_000, 5_000_000])
    service = serve_samples(times([0, 40_000]), sample_us=samples, video_end_us=2_000_000)
    assert service.frame_of_sample.tolist() == [0, 0, 1, 1, -1, -1]
    assert service.shortfall == "decoding stopped at 0.04 s of 2.00 s"


def test_a_long_last_frame_that_says_so_is_no_early_end():
    decoded = DecodedTimes(
        frame_us=np.array([0, 40_000]),
        after_damage=np.zeros(2, bool),
        interval_us=40_000,
        last_duration_us=1_960_000,
        stop_reason="",
    )
    service = serve_samples(decoded, sample_us=np.array([1_500_000, 3_000_000]), video_end_us=2_000_000)
    assert service.frame_of_sample.tolist() == [1, 1]
    assert service.shortfall == ""


def test_a_shortfall_says_what_the_decoder_said():
    decoded = dataclasses.replace(times([0, 40_000]), stop_reason="Invalid data")
    service = serve_samples(decoded, sample_us=np.array([1_000_000]), video_end_us=2_000_000)
    assert service.shortfall == "decoding stopped at 0.04 s of 2.00 s: Invalid data"


def test_a_gap_without_damage_is_bridged_for_two_seconds_or_five_usual_intervals():
    assert served([0, 2_000_000], [1_999_999], end_us=2_040_000) == [0]
    assert served([0, 2_000_001], [39_999, 40_000, 2_000_000, 2_000_001], end_us=2_040_000) == [0, -1, -1, 1]
    slow = [n * 30_000_000 for n in range(4)]  # a picture every half a minute
    assert served(slow, [89_999_999], end_us=120_000_000, interval_us=30_000_000) == [2]
    apart = [0, 150_000_000, 300_000_001]
    assert served(apart, [149_999_999, 299_999_999], end_us=330_000_000, interval_us=30_000_000) == [0, -1]


def test_a_frame_that_stands_in_for_a_damaged_one_is_told():
    decoded = times([0, 120_000, 160_000], damaged_before=(120_000,))
    service = serve_samples(decoded, sample_us=np.array([0, 39_999, 40_000, 119_999, 120_000]), video_end_us=200_000)
    assert service.frame_of_sample.tolist() == [0, 0, 0, 0, 1]
    assert service.is_repeated.tolist() == [False, False, True, True, False]


def test_no_frames_serve_nothing():
    service = serve_samples(times([]), sample_us=np.array([0]), video_end_us=1)
    assert service.frame_of_sample.tolist() == [-1]
    assert service.shortfall
