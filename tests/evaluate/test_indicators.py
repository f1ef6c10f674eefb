import pytest

from nrray.evaluate.indicators import CaseTimeline, Zero, case_indicators
from nrray.intervals import Interval

US = 1_000_000


def case(
    *, ventilation=(), stimulation=(), suction=(), visible=((10, 300),), examined=((0, 300),), birth=None, arrival=None
):
    def intervals(pairs):
        return [Interval(start_us=round(start * US), end_us=round(end * US)) for start, end in pairs]

    return CaseTimeline(
        case_id="c",
        intervals={
            "baby_visible": intervals(visible),
            "ventilation": intervals(ventilation),
            "stimulation": intervals(stimulation),
            "suction": intervals(suction),
        },
        examined=intervals(examined),
        birth_us=None if birth is None else round(birth * US),
        table_arrival_us=None if arrival is None else round(arrival * US),
    )


def values(timeline, gap=2):
    found = case_indicators(timeline, merge_gap_us=gap * US)
    return {indicator.name: indicator.value for indicator in found.indicators}, found


def test_time_counts_from_birth_and_else_from_the_arrival_that_is_known():
    ventilated = {"ventilation": ((70, 90),)}
    for more, zero, seconds in (
        ({"birth": -20}, Zero.BIRTH, 90),
        ({"arrival": 8}, Zero.TABLE_ARRIVAL, 62),
        ({}, Zero.FIRST_VISIBLE, 60),
    ):
        found, indicators = values(case(**ventilated, **more))
        assert indicators.zero is zero
        assert found["time to first ventilation"] == seconds
        assert found["ventilated within 60 s"] == float(seconds <= 60)


def test_birth_is_the_zero_where_birth_and_table_arrival_are_known():
    found, indicators = values(case(ventilation=((70, 90),), birth=-20, arrival=8))
    assert indicators.zero is Zero.BIRTH
    assert found["time to first ventilation"] == 90
    assert found["ventilated within 60 s"] == 0


def test_pauses_of_ventilation():
    found, _ = values(
        case(ventilation=((20, 30), (31, 40), (50, 80), (90, 200)), suction=((42, 47),), stimulation=((45, 60),))
    )
    assert found["ventilation sequences"] == 3  # a pause of 1 s is closed
    assert found["ventilation fraction, first 30 s"] == pytest.approx(20 / 30)
    assert found["ventilation fraction, first 60 s"] == pytest.approx(50 / 60)
    assert found["interruption in the first 60 s of ventilation"] == 10
    assert found["interruption during suction"] == pytest.approx(0.5)
    assert found["interruption during stimulation"] == pytest.approx(0.5)
    assert found["suction inside ventilation gaps"] == 5
    assert found["median ventilation sequence"] == 30


@pytest.mark.parametrize("arrival", [0, 5])
def test_suction_before_the_first_ventilation_counts_from_an_arrival_at_time_zero_too(arrival):
    found, _ = values(case(ventilation=((60, 90),), suction=((10, 14), (70, 75)), arrival=arrival))
    assert found["suction before first ventilation"] == 4


def test_idle_time_is_visible_and_nothing_done():
    found, _ = values(case(ventilation=((20, 30),), stimulation=((25, 40),)))
    assert found["idle while visible"] == 290 - 20


def test_an_indicator_that_needs_time_which_nobody_examined_is_unknown():
    hole = case(ventilation=((70, 200),), examined=((0, 30), (40, 300)))
    found, indicators = values(hole)
    assert found["time to first ventilation"] is None
    reasons = {indicator.name: indicator.reason for indicator in indicators.indicators}
    assert reasons["time to first ventilation"] == "10.0 s of the interval were not looked at"
    assert found["ventilation fraction, first 30 s"] is None  # the first ventilation may lie in the hole
    assert found["ventilation sequences"] is None


def test_a_case_that_begins_with_the_newborn_there_has_no_delays():
    found, _ = values(case(ventilation=((70, 200),), visible=((0, 300),)))
    assert found["time to first ventilation"] is None
    found, _ = values(case(ventilation=((70, 200),), visible=((0, 300),), arrival=0))
    assert found["time to first ventilation"] == 70


def test_never_ventilated_is_a_no_only_where_all_was_examined():
    found, _ = values(case())
    assert found["ventilated within 60 s"] == 0
    assert found["ventilation sequences"] == 0
    assert found["time to first ventilation"] is None
    found, _ = values(case(examined=((0, 30), (40, 300))))
    assert found["ventilated within 60 s"] is None


def test_gaps_up_to_the_merge_gap_are_closed():
    ventilated = case(ventilation=((20, 30), (32, 40), (43, 50)))
    assert values(ventilated, gap=2)[0]["ventilation sequences"] == 2
    assert values(ventilated, gap=3)[0]["ventilation sequences"] == 1
