"""The time line that packets' stamps make, on times alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.decode.stamps import stamps_of
from nrray.types import ClockKind

FRAME_US = 40_000
HOUR_US = 3_600_000_000


def line(times_us):
    times = np.array(times_us, np.int64)
    return stamps_of(times, times)


def steady(num, *, start_us=0, step_us=FRAME_US):
    return [start_us + number * step_us for number in range(num)]


@given(st.lists(st.integers(1, 100_000_000), min_size=1, max_size=60), st.integers(-(10**12), 10**12))
def test_a_clock_that_only_rises_is_steady_whatever_its_gaps(steps, start_us):
    times = np.cumsum([start_us, *steps])
    found = line(times)
    if not found.is_outlier.any():  # a first or last few packets far from all others may be strays
        assert found.clock is ClockKind.STEADY
        assert (found.time_us == times).all()
    else:
        assert found.is_outlier.sum() <= 16


@pytest.mark.parametrize("ahead_us", [10 * HOUR_US, 1_024_000, -HOUR_US, -1_500_000])
@pytest.mark.parametrize("places", [(50,), (50, 51, 80)])
def test_stamps_that_their_neighbours_contradict_are_outliers(ahead_us, places):
    times = steady(100)
    for place in places:
        times[place] += ahead_us
    found = line(times)
    assert np.flatnonzero(found.is_outlier).tolist() == list(places)
    assert (found.clock, found.interval_us) == (ClockKind.OUTLIERS, FRAME_US)


@pytest.mark.parametrize("place", [0, 99])
def test_a_first_or_last_stamp_hours_away_is_an_outlier(place):
    times = steady(100, start_us=HOUR_US)
    times[place] += 10 * HOUR_US if place else -HOUR_US
    assert np.flatnonzero(line(times).is_outlier).tolist() == [place]


def test_a_clock_that_starts_again_goes_on_behind_what_came_before():
    found = line(steady(100, start_us=7 * HOUR_US) + steady(50) + steady(50, start_us=1_000_000))
    assert (found.clock, found.num_restarts) == (ClockKind.RESTARTS, 2)
    assert found.time_us.tolist() == steady(200, start_us=7 * HOUR_US)


def test_an_hour_in_which_nobody_films_is_no_trouble_of_the_clock():
    times = steady(250) + steady(250, start_us=HOUR_US)
    found = line(times)
    assert found.clock is ClockKind.STEADY
    assert found.time_us.tolist() == times


def test_times_of_decoding_that_stay_behind_at_a_gap_contradict_nothing():
    shown = np.array(
        [*steady(40), HOUR_US, HOUR_US + 80_000, HOUR_US + 40_000, *steady(40, start_us=HOUR_US + 120_000)]
    )
    decoded = np.array([*steady(42, start_us=-40_000), *steady(41, start_us=HOUR_US + 40_000)])
    assert not stamps_of(shown, decoded).is_outlier.any()


@pytest.mark.parametrize("ahead_us", [100_000, 216_000, -300_000])
def test_a_time_of_decoding_that_is_out_of_turn_is_an_outlier(ahead_us):
    decoded = np.array(steady(100), np.int64)
    decoded[40] += ahead_us
    found = stamps_of(decoded, decoded, are_decoded=True)
    assert np.flatnonzero(found.is_outlier).tolist() == [40]
    assert not stamps_of(decoded, decoded).is_outlier.any()


def test_times_of_decoding_that_often_fall_are_none():
    shown = np.array(
        [time for first in range(0, 3_000_000, 160_000) for time in (first + 120_000, first, first + 40_000)]
    )
    assert not stamps_of(shown, shown, are_decoded=True).is_outlier.any()
