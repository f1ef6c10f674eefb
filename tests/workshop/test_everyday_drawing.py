from dataclasses import replace

import numpy as np
import pytest

from nrray.workshop.everyday import STILL_OF, Deed, Kind, everyday_scene
from nrray.workshop.everyday_drawing import SceneDrawer


def scenes_of(deed, count):
    """Scenes of one hand that is engaged so."""
    scenes = (everyday_scene(5, number) for number in range(4000))
    picked = (scene for scene in scenes if [hand.deed for hand in scene.hands] == [deed])
    return [next(picked) for _ in range(count)]


def with_deed(scene, deed):
    return replace(scene, hands=(replace(scene.hands[0], deed=deed),))


def change(scene):
    """Mean change of a pixel over a window."""
    drawer = SceneDrawer(scene, size_px=96)
    frames = np.stack([drawer.frame(number / 4) for number in range(8)]).astype(float)
    return np.abs(np.diff(frames, axis=0)).mean()


def test_frames_are_of_the_size_that_is_asked_for_and_the_same_each_time():
    first, again = (SceneDrawer(everyday_scene(1, 2), size_px=64).frame(0.5) for _ in range(2))
    assert (first.shape, first.dtype) == ((64, 64, 3), np.uint8)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("motion", [motion for motion in STILL_OF if motion is not Deed.WAVE])
def test_no_frame_tells_a_motion_from_its_look_alike(motion):
    for scene in scenes_of(motion, 3):
        moving = SceneDrawer(scene, size_px=96).frame(0.0)
        still = SceneDrawer(with_deed(scene, STILL_OF[motion]), size_px=96).frame(0.0)
        np.testing.assert_array_equal(moving, still)


@pytest.mark.parametrize("motion", STILL_OF)
def test_a_motion_changes_frames_more_than_its_look_alike(motion):
    pairs = [(change(scene), change(with_deed(scene, STILL_OF[motion]))) for scene in scenes_of(motion, 6)]
    assert sum(moving > still for moving, still in pairs) == len(pairs)


@pytest.mark.parametrize("kind", Kind)
def test_every_thing_is_seen_where_it_lies(kind):
    drawn = next(scene for scene in (everyday_scene(6, number) for number in range(500)) if len(scene.things) == 1)
    scene = replace(drawn, things=(replace(drawn.things[0], kind=kind),), hands=(), passer=None)
    elsewhere = replace(scene, things=(replace(scene.things[0], x=-200.0),))
    differs = np.abs(
        SceneDrawer(scene, size_px=96).frame(0.0).astype(int) - SceneDrawer(elsewhere, size_px=96).frame(0.0)
    ).max(axis=2)
    assert (differs > 15).mean() > 0.01


def test_somebody_who_passes_is_elsewhere_later():
    scene = next(scene for scene in (everyday_scene(7, number) for number in range(500)) if scene.passer)
    alone = replace(scene, passer=None)
    with_passer, without = SceneDrawer(scene, size_px=96), SceneDrawer(alone, size_px=96)
    seen = [np.abs(with_passer.frame(t).astype(int) - without.frame(t)).max(axis=2) > 15 for t in (0.5, 2.5)]
    assert all(0.005 < mask.mean() < 0.6 for mask in seen)
    assert (seen[0] != seen[1]).mean() > 0.005
