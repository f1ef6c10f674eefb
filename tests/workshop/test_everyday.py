from dataclasses import replace

import pytest

from nrray.workshop.everyday import OPEN, SOFT, STICK_DEEDS, STILL_OF, Deed, everyday_scene, is_moving

SCENES = [everyday_scene(0, number) for number in range(800)]
HANDS = [(scene.things[hand.thing], hand) for scene in SCENES for hand in scene.hands]


def test_the_same_numbers_give_the_same_scene_and_others_another():
    assert everyday_scene(3, 1) == everyday_scene(3, 1) != everyday_scene(3, 2)


def test_things_are_of_different_kinds_and_each_hand_has_one_of_its_own():
    for scene in SCENES:
        assert len({thing.kind for thing in scene.things}) == len(scene.things) <= 3
        assert len({hand.thing for hand in scene.hands}) == len(scene.hands) <= 2


def test_what_is_squeezed_is_soft_and_what_a_stick_is_put_into_is_open():
    assert all(thing.kind in SOFT for thing, hand in HANDS if hand.deed is Deed.SQUEEZE)
    assert all(thing.kind in OPEN for thing, hand in HANDS if hand.deed in STICK_DEEDS)
    assert all((hand.stick is not None) == (hand.deed in STICK_DEEDS) for _, hand in HANDS)


@pytest.mark.parametrize("motion", STILL_OF)
def test_a_motion_is_about_as_frequent_as_its_still_look_alike(motion):
    alike = [other for other in STILL_OF if STILL_OF[other] is STILL_OF[motion]]  # two motions share one
    moving = sum(hand.deed in alike for _, hand in HANDS)
    still = sum(hand.deed is STILL_OF[motion] for _, hand in HANDS)
    assert 0.4 < moving / (moving + still) < 0.7


def test_a_still_hand_stays_where_a_moving_one_begins():
    for _, hand in HANDS:
        if is_moving(hand.deed):
            still = replace(hand, deed=STILL_OF[hand.deed])
            assert {still.place(t) for t in (0.0, 0.4, 2.9)} == {hand.place(0.0)}
            assert hand.place(0.4) != hand.place(0.0)
