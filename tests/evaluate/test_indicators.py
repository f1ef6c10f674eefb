import pytest

from nrray.evaluate.indicators import CaseTimeline, case_indicators
from nrray.intervals import Interval
from nrray.labels import LabelSet, Rules, read_label_set

US = 1_000_000
NEWBORN = read_label_set()


def case(
    *,
    ventilation=(),
    stimulation=(),
    suction=(),
    visible=((10, 300),),
    examined=((0, 300),),
    birth=None,
    arrival=None,
    answered=None,
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
        answered={name: intervals((answered or {}).get(name, examined)) for name in NEWBORN.names},
        start_us=0,
        instants={
            name: round(at * US) for name, at in (("birth", birth), ("table_arrival", arrival)) if at is not None
        },
    )


def values(timeline, gap=2, label_set=NEWBORN):
    found = case_indicators(timeline, label_set, merge_gap_us=gap * US)
    return {indicator.name: indicator.value for indicator in found.indicators}, found


def test_time_counts_from_birth_and_else_from_the_arrival_that_is_known():
    ventilated = {"ventilation": ((70, 90),)}
    for more, zero, seconds in (
        ({"birth": -20}, "birth", 90),
        ({"arrival": 8}, "table arrival", 62),
        ({}, "first baby_visible", 60),
    ):
        found, indicators = values(case(**ventilated, **more))
        assert indicators.zero == zero
        assert found["time to first ventilation"] == seconds
        assert found["ventilated within 60 s"] == float(seconds <= 60)


def test_birth_is_the_zero_where_birth_and_table_arrival_are_known():
    found, indicators = values(case(ventilation=((70, 90),), birth=-20, arrival=8))
    assert indicators.zero == "birth"
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


def label_set(**parts):
    names = ("opening", "work", "closing")
    activities = tuple({"name": name, "question": f"Is it {name}?"} for name in names)
    return LabelSet(name="workshop", activities=activities, **parts)


def plain_case(start=0.0, instants=(), examined=((0, 100),), **activities):
    def intervals(pairs):
        return [Interval(start_us=round(begin * US), end_us=round(end * US)) for begin, end in pairs]

    return CaseTimeline(
        case_id="c",
        intervals={name: intervals(pairs) for name, pairs in activities.items()},
        examined=intervals(examined),
        answered=dict.fromkeys(activities, intervals(examined)),
        start_us=round(start * US),
        instants={name: round(at * US) for name, at in instants},
    )


WORK = {"opening": ((0, 10),), "work": ((20, 50), (60, 80)), "closing": ()}
DECLARED = (
    {"kind": "time_to_first", "activity": "work"},
    {"kind": "episodes", "activity": "closing"},
    {"kind": "before_first", "activity": "opening", "other": "work"},
    {"kind": "alone", "activity": "work"},
)


def test_another_domain_has_its_own_indicators_and_none_of_ours():
    found, indicators = values(plain_case(**WORK), label_set=label_set(indicators=DECLARED))
    assert found == {"time to first work": 20, "closing episodes": 0, "opening before first work": 10, "work alone": 50}
    assert indicators.zero == "start of the recording"
    assert values(plain_case(**WORK), label_set=label_set())[0] == {}


def test_an_activity_that_nobody_labelled_is_not_zero():
    unlabelled = {name: spans for name, spans in WORK.items() if name != "closing"}
    found, indicators = values(plain_case(**unlabelled), label_set=label_set(indicators=DECLARED))
    reasons = {each.name: each.reason for each in indicators.indicators}
    assert found["closing episodes"] is None
    assert reasons["closing episodes"] == "closing is not labelled"
    assert found["work alone"] is None, "closing may have gone on meanwhile"
    assert found["time to first work"] == 20


def test_an_indicator_about_an_activity_that_the_label_set_lacks_is_not_labelled():
    activities = tuple(activity for activity in NEWBORN.activities if activity.name != "suction")
    fewer = NEWBORN.model_copy(update={"activities": activities, "rules": Rules(requires_visible="baby_visible")})
    ventilated = plain_case(baby_visible=((10, 90),), ventilation=((20, 50), (60, 80)), stimulation=())
    found, indicators = values(ventilated, label_set=fewer)
    unknown = {each.name: each.reason for each in indicators.indicators if each.value is None}
    for name in ("suction episodes", "total suction", "suction inside ventilation gaps", "interruption during suction"):
        assert unknown[name] == "suction is not labelled"
    assert found["ventilation sequences"] == 2
    assert found["stimulation episodes"] == 0


def test_every_newborn_indicator_is_unknown_where_nothing_is_labelled():
    _, indicators = values(plain_case())
    assert indicators.zero is None
    assert {each.value for each in indicators.indicators} == {None}
    assert all(each.reason.endswith("is not labelled") for each in indicators.indicators)


def test_times_count_from_the_first_instant_of_the_label_set_that_is_known():
    clock = {"zero": ("incision", "entry")}
    declared = label_set(indicators=DECLARED, clock=clock)
    found, indicators = values(plain_case(instants=(("entry", 5),), **WORK), label_set=declared)
    assert (indicators.zero, found["time to first work"]) == ("entry", 15)
    both = plain_case(instants=(("entry", 5), ("incision", 12)), **WORK)
    found, indicators = values(both, label_set=declared)
    assert (indicators.zero, found["time to first work"]) == ("incision", 8)


@pytest.mark.parametrize(("begin", "is_known"), [(0.0, True), (1.4, True), (2.0, True), (2.1, False)])
def test_the_start_of_a_recording_may_be_missed_by_a_files_own_offset_and_no_more(begin, is_known):
    found, indicators = values(plain_case(examined=((begin, 100),), **WORK), label_set=label_set(indicators=DECLARED))
    if is_known:
        assert found["time to first work"] == pytest.approx(20 - begin)
    else:
        assert found["time to first work"] is None
        assert indicators.zero is None
        assert indicators.indicators[0].reason == "the first 2.1 s of the recording were not looked at"


def test_time_in_which_nothing_is_claimed_of_an_activity_is_not_zero_of_it():
    ventilated = {"ventilation": ((20, 80), (90, 100)), "suction": ((82, 88),)}
    found, indicators = values(case(answered={"suction": ()}, **ventilated))
    reasons = {each.name: each.reason for each in indicators.indicators}
    assert found["suction episodes"] is None
    assert reasons["suction episodes"] == "nothing is claimed of suction: no answer, or none that is plain"
    assert found["interruption during suction"] is None
    assert found["ventilation sequences"] == 2
    found, indicators = values(case(answered={"suction": ((0, 85), (95, 300))}, **ventilated))
    reasons = {each.name: each.reason for each in indicators.indicators}
    assert reasons["total suction"] == "10.0 s of the interval were not looked at"
    assert found["suction before first ventilation"] == 0
    assert found["total stimulation"] == 0
