import io
import time
import warnings

import numpy as np
import pytest
from PIL import Image

from nrray.report import Lane, WindowScores, draw_timeline, unexamined_intervals
from nrray.report.legible import legible
from nrray.report.timeline_picture import (
    MAX_SCORE_STEPS,
    clock_text,
    intervals_of_state,
    score_steps,
    tick_step_seconds,
)
from nrray.types import CoverageStatus, LabelState

ACTIVITIES = ["newborn_visible", "stimulation", "ventilation", "suction"]


def spans(*pairs):
    return np.array(pairs, np.int64).reshape(-1, 2)


def scores_of(duration_seconds, *, stride_seconds=1.0, window_seconds=3.0):
    count = max(1, int((duration_seconds - window_seconds) / stride_seconds) + 1)
    start_us = (np.arange(count) * stride_seconds * 1e6).astype(np.int64)
    end_us = np.minimum(start_us + int(window_seconds * 1e6), int(duration_seconds * 1e6))
    score = np.random.default_rng(0).random(count).astype(np.float32)
    return WindowScores(start_us=start_us, end_us=end_us, score=score)


def picture_of(duration_seconds, *, title="site/case_0001/overhead.mp4", start_us=0, unexamined=None):
    half = int(duration_seconds * 5e5)
    lanes = [
        Lane(
            source="model:0123456789ab",
            segments={name: spans((start_us, start_us + half)) for name in ACTIVITIES},
            scores={name: scores_of(duration_seconds) for name in ACTIVITIES},
        ),
        Lane(source="truth", segments={"suction": spans((start_us, start_us + half // 2))}),
    ]
    return draw_timeline(
        title=title,
        activities=ACTIVITIES,
        lanes=lanes,
        unexamined=unexamined or {},
        start_us=start_us,
        duration_us=int(duration_seconds * 1e6),
    )


def pixels_of(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share_of_color(png, rgb):
    return (np.abs(pixels_of(png) - np.array(rgb)).max(axis=2) <= 3).mean()


@pytest.mark.parametrize("duration_seconds", [0.1, 1, 20, 600, 4 * 3600, 30 * 3600])
def test_any_length_is_drawn_in_a_small_file(duration_seconds):
    png = picture_of(duration_seconds)
    assert png.startswith(b"\x89PNG")
    assert len(png) < 120_000


def test_a_picture_takes_less_than_a_second():
    picture_of(600)
    started = time.process_time()
    for _ in range(3):
        picture_of(3600)
    assert (time.process_time() - started) / 3 < 1.0


@pytest.mark.parametrize(
    "title",
    [
        "costs $5 or $x_{1}$.mp4",
        "unclosed $ and \\frac{.mp4",
        "two\nlines\tand\x1b[31m red\x00.mp4",
        "x" * 5000,
        "日本語のビデオ 新生儿 😀.mp4",
        "עברית العربية \u202egpj.mp4",
        "broken \udce9\udcff name.mp4",
        "",
    ],
)
def test_any_file_name_is_drawn_without_a_warning(title):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = picture_of(20, title=title)
    assert Image.open(io.BytesIO(png)).size[0] == 1100


def test_segments_and_reference_have_their_own_colors():
    png = picture_of(60)
    assert share_of_color(png, (0x00, 0x72, 0xB2)) > 0.05
    assert 0.001 < share_of_color(png, (0xE6, 0x9F, 0x00)) < 0.05


def test_time_that_nobody_examined_is_grey_and_costs_a_legend_entry():
    plain = picture_of(60)
    hatched = picture_of(60, unexamined={CoverageStatus.FAILED: spans((40_000_000, 60_000_000))})
    assert share_of_color(hatched, (0xE4, 0xE4, 0xE4)) > share_of_color(plain, (0xE4, 0xE4, 0xE4)) + 0.02


def test_a_segment_shorter_than_a_pixel_is_still_seen():
    lane = Lane(source="model", segments={"suction": spans((3_600_000_000, 3_600_200_000))})
    png = draw_timeline(
        title="t", activities=["suction"], lanes=[lane], unexamined={}, start_us=0, duration_us=8 * 3_600_000_000
    )
    legend = draw_timeline(
        title="t",
        activities=["suction"],
        lanes=[Lane(source="model", segments={})],
        unexamined={},
        start_us=0,
        duration_us=8 * 3_600_000_000,
    )
    blue = (0x00, 0x72, 0xB2)
    assert share_of_color(png, blue) > share_of_color(legend, blue)


def test_a_video_that_starts_before_zero_is_drawn():
    assert picture_of(10, start_us=-2_000_000).startswith(b"\x89PNG")


def test_no_label_at_all_is_a_picture_too():
    png = draw_timeline(
        title="t",
        activities=ACTIVITIES,
        lanes=[Lane(source="model", segments={})],
        unexamined={CoverageStatus.NOT_RUN: spans((0, 10_000_000))},
        start_us=0,
        duration_us=10_000_000,
    )
    assert png.startswith(b"\x89PNG")


def test_the_same_input_gives_the_same_bytes():
    assert picture_of(30) == picture_of(30)


def test_more_lanes_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="4 lanes"):
        draw_timeline(
            title="t",
            activities=["a"],
            lanes=[Lane(source=str(i), segments={}) for i in range(4)],
            unexamined={},
            start_us=0,
            duration_us=1,
        )


def test_time_under_an_ok_window_was_examined():
    found = unexamined_intervals(np.array([0, 2, 4]), np.array([3, 5, 7]), ["ok", "failed", "not_run"])
    assert {kind: rows.tolist() for kind, rows in found.items()} == {
        CoverageStatus.FAILED: [[3, 5]],
        CoverageStatus.NOT_RUN: [[5, 7]],
    }


def test_a_long_video_has_about_one_score_step_per_pixel_and_keeps_the_mean():
    scores = scores_of(5 * 3600)
    borders, mean = score_steps(scores, start_us=0, end_us=5 * 3_600_000_000)
    assert len(mean) == MAX_SCORE_STEPS
    assert len(borders) == len(mean) + 1
    assert np.nanmean(mean) == pytest.approx(scores.score.mean(), abs=0.01)


def test_time_without_scores_has_no_score_line():
    scores = WindowScores(start_us=np.array([0, 8]), end_us=np.array([2, 10]), score=np.array([0.5, 0.25], np.float32))
    borders, mean = score_steps(scores, start_us=0, end_us=10)
    assert borders.tolist() == [0, 2, 8, 10]
    assert np.isnan(mean).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("seconds", "step", "text"),
    [
        (0, 1, "0:00"),
        (75, 15, "1:15"),
        (0.05, 0.01, "0:00.05"),
        (59.999, 0.5, "1:00.0"),
        (3600, 600, "1:00:00"),
        (-1.5, 0.5, "-0:01.5"),
        (-0.0, 1, "0:00"),
    ],
)
def test_times_read_as_on_a_clock(seconds, step, text):
    assert clock_text(seconds, step_seconds=step) == text


@pytest.mark.parametrize("length_seconds", [0.01, 0.1, 3, 59, 3600, 86_400, 3e7])
def test_ticks_are_few(length_seconds):
    assert length_seconds / tick_step_seconds(length_seconds) <= 10


def test_long_names_lose_their_middle():
    text = legible("start" + "x" * 500 + "end.mp4", max_chars=60)
    assert text.startswith("start")
    assert text.endswith("end.mp4")
    assert len(text) == 60


def undecided_picture(state):
    """Windows of 3 s over 30 s, of which the last ten have a state."""
    scores = scores_of(30)
    count = len(scores.start_us)
    has_state = np.arange(count) >= count - 10
    at = intervals_of_state(scores.start_us, scores.end_us, has_state)
    lane = Lane(source="model:x", segments={}, undecided={"suction": {state: at}} if state is not None else {})
    png = draw_timeline(
        title="t", activities=ACTIVITIES, lanes=[lane], unexamined={}, start_us=0, duration_us=30_000_000
    )
    return png, at


def test_time_whose_answers_claim_nothing_is_hatched_in_its_row_and_no_two_hatches_are_alike():
    plain, unparsed, unsure = (
        pixels_of(undecided_picture(state)[0]) for state in (None, LabelState.UNPARSED, LabelState.UNSURE)
    )
    height = min(len(plain), len(unparsed), len(unsure))
    differs = (np.abs(unparsed[:height] - plain[:height]).max(axis=2) > 40)[: int(0.7 * height)]  # above the legend
    rows, columns = np.nonzero(differs)
    assert rows.min() > 0.5 * height  # suction is the last row
    assert columns.min() > 0.6 * plain.shape[1]  # and the last third of the time
    assert (np.abs(unparsed[:height] - unsure[:height]).max(axis=2) > 40).mean() > 0.002


def test_a_state_holds_where_half_of_the_windows_over_an_instant_have_it():
    _, at = undecided_picture(LabelState.UNPARSED)
    assert at.tolist() == [[18_000_000 + 1_000_000, 30_000_000]]
    nothing = intervals_of_state(np.array([0, 1]), np.array([3, 4]), np.zeros(2, bool))
    assert nothing.shape == (0, 2)


def test_a_warning_stands_under_the_title_and_takes_room_of_its_own():
    fields = {
        "title": "t",
        "activities": ACTIVITIES,
        "lanes": [],
        "unexamined": {},
        "start_us": 0,
        "duration_us": 10**7,
    }
    plain, warned = (pixels_of(draw_timeline(**fields, warning=text)) for text in (None, "Labelled all the same"))
    assert len(warned) > len(plain)


def test_not_assessable_time_is_hatched_unlike_any_other():
    pictures = [
        pixels_of(picture_of(20, unexamined={status: spans((0, 20_000_000))}))[:150]
        for status in (
            CoverageStatus.NOT_ASSESSABLE,
            CoverageStatus.FAILED,
            CoverageStatus.QUARANTINED,
            CoverageStatus.NOT_RUN,
        )
    ]
    for other in pictures[1:]:
        assert (np.abs(pictures[0] - other).max(axis=2) > 40).mean() > 0.02
