import itertools

from nrray.simulate.captions import Newborn, Others, SceneFacts, caption_of, claims_of, window_facts
from nrray.simulate.course import Airway, Body, Course, Episode, Passing


def episode(kind, start_s, end_s):
    return Episode(kind=kind, start_s=start_s, end_s=end_s, rate_hz=1.0, phase=0.0, variant=0.5)


COURSE = Course(
    arrival_s=4.0,
    departure_s=30.0,
    airway=(episode(Airway.MASK_STILL, 6.0, 10.0), episode(Airway.VENTILATION, 10.0, 20.0)),
    body=(episode(Body.NOTHING, 6.0, 11.0), episode(Body.STIMULATION, 11.0, 20.0)),
    passings=(Passing(start_s=12.0, end_s=15.0, side=0, reach=0.5, forward=True),),
)


def test_every_caption_says_its_own_facts_and_no_others():
    for newborn, airway, body, others in itertools.product(Newborn, Airway, Body, Others):
        facts = SceneFacts(newborn=newborn, airway=airway, body=body, others=others)
        assert claims_of(caption_of(facts)) == vars(facts)


def test_a_slot_that_is_not_spoken_of_or_twice_is_no_claim():
    claims = claims_of("A newborn lies on the table. The table is empty. A hand rubs a leg.")
    assert claims == {"newborn": None, "airway": None, "body": Body.LIMB_RUBBED, "others": None}


def test_facts_are_those_of_most_of_the_window():
    before = window_facts(COURSE, 0.0, 3.0)
    assert (before.newborn, before.airway, before.others) == (Newborn.ABSENT, Airway.NOTHING, Others.NOBODY)
    assert window_facts(COURSE, 8.8, 11.8).airway is Airway.VENTILATION
    assert window_facts(COURSE, 8.0, 11.0).airway is Airway.MASK_STILL
    assert window_facts(COURSE, 11.0, 14.0).others is Others.PASSING
    assert window_facts(COURSE, 10.0, 12.0).body is Body.NOTHING
    assert window_facts(COURSE, 10.0, 14.0).body is Body.STIMULATION
    assert window_facts(COURSE, 21.0, 24.0).airway is Airway.NOTHING
