import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nrray.sampling import (
    Sampling,
    grid_offsets_us,
    unit_samples_us,
    unit_window_samples,
    window_count,
    window_spans_us,
)


@st.composite
def samplings(draw):
    rate = draw(st.sampled_from([1.0, 2.0, 3.0, 4.0, 7.0, 12.5, 25.0, 29.97, 30.0]))
    window = draw(st.integers(1, 60))
    stride = draw(st.integers(1, window))
    return Sampling(frames_per_second=rate, window_seconds=window / rate, stride_seconds=stride / rate)


durations_us = st.one_of(st.integers(1, 20_000_000), st.integers(1, 100 * 3600 * 1_000_000))


def spans(sampling, duration_us, start_us=0):
    count = int(window_count(sampling, np.array([duration_us]))[0])
    return window_spans_us(sampling, start_us=start_us, duration_us=duration_us, first_window=0, num_windows=count)


@given(samplings(), st.integers(1, 60_000_000), st.integers(-5_000_000, 5_000_000))
def test_windows_cover_a_video_but_for_a_tail_shorter_than_a_grid_step(sampling, duration_us, start_us):
    starts, ends = spans(sampling, duration_us, start_us)
    assert starts[0] == start_us
    assert (starts[1:] <= ends[:-1]).all(), "no instant between two windows is unseen"
    tail_us = start_us + duration_us - ends[-1]
    assert 0 <= tail_us <= 1_000_000 / sampling.frames_per_second + 1


@given(samplings(), durations_us)
def test_every_window_has_time_in_the_video(sampling, duration_us):
    starts, ends = spans(sampling, duration_us)
    assert (ends > starts).all()
    assert ends.max() <= duration_us


@given(samplings(), durations_us)
def test_the_last_window_adds_something(sampling, duration_us):
    _, ends = spans(sampling, duration_us)
    assert len(ends) == 1 or ends[-1] > ends[-2]


@given(samplings(), st.integers(1, 200_000_000), st.integers(1, 7), st.integers(-1_000_000, 1_000_000))
def test_spans_do_not_depend_on_packing(sampling, duration_us, per_unit, start_us):
    starts, ends = spans(sampling, duration_us, start_us)
    first = min(len(starts) - 1, 3 * per_unit)
    count = min(per_unit, len(starts) - first)
    some = window_spans_us(sampling, start_us=start_us, duration_us=duration_us, first_window=first, num_windows=count)
    assert some[0].tolist() == starts[first : first + count].tolist()
    assert some[1].tolist() == ends[first : first + count].tolist()


@given(samplings(), st.integers(0, 5000), st.integers(1, 50), st.integers(-1_000_000, 1_000_000))
def test_a_unit_samples_what_its_windows_sample_alone(sampling, first_window, num_windows, start_us):
    samples = unit_samples_us(sampling, start_us=start_us, first_window=first_window, num_windows=num_windows)
    table = unit_window_samples(sampling, num_windows)
    for index in {0, num_windows // 2, num_windows - 1}:
        alone = unit_samples_us(sampling, start_us=start_us, first_window=first_window + index, num_windows=1)
        assert samples[table[index]].tolist() == alone.tolist()
    assert sorted({*table.ravel().tolist()}) == list(range(len(samples))), "every sample is used"


@given(samplings(), st.integers(0, 3_000_000))
def test_grid_offsets_do_not_drift(sampling, first):
    found = int(grid_offsets_us(sampling, first, 1)[0])
    assert abs(found - first * 1e6 / sampling.frames_per_second) <= 0.5


@given(samplings(), st.integers(0, 100_000))
def test_a_windows_first_sample_is_its_start(sampling, window):
    starts, _ = window_spans_us(sampling, start_us=17, duration_us=10**15, first_window=window, num_windows=1)
    assert unit_samples_us(sampling, start_us=17, first_window=window, num_windows=1)[0] == starts[0]


def test_a_video_shorter_than_a_window_has_one_clipped_window():
    starts, ends = spans(Sampling(), 100_000)
    assert (starts.tolist(), ends.tolist()) == ([0], [100_000])


def test_a_tail_of_a_whole_grid_step_opens_a_window():
    assert window_count(Sampling(), np.array([3_000_000, 3_249_999, 3_250_000, 4_000_000])).tolist() == [1, 1, 2, 2]


def test_a_stride_given_as_a_rounded_third_does_not_drift():
    sampling = Sampling(frames_per_second=3, window_seconds=1, stride_seconds=0.3333331)
    duration_us = 1000 * 3600 * 1_000_000
    starts, ends = spans(sampling, duration_us)
    assert ends[-1] == duration_us
    assert (ends > starts).all()
    assert starts[-2] + 1_000_000 < duration_us


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window_seconds": 1.1}, "whole number of frames"),
        ({"stride_seconds": 0.1}, "whole number of frames"),
        ({"stride_seconds": 1e-7}, "whole number of frames"),
        ({"stride_seconds": 4.0}, "longer than window_seconds"),
        ({"frames_per_second": 0}, "greater than 0"),
        ({"frames_per_second": float("nan")}, "frames_per_second"),
    ],
)
def test_settings_off_the_grid_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Sampling(**values)
