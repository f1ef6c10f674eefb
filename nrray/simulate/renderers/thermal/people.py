"""The helper of trunk and limbs, the hands that carry the newborn, and people who pass by."""

from collections.abc import Iterable
from math import pi, sin

import numpy as np

from nrray.simulate.renderers.thermal.casting import Bodies, Eye, Vector
from nrray.simulate.renderers.thermal.choreography import Act
from nrray.simulate.renderers.thermal.hands import UP, Hand, hand_bodies, lying_hand, unit
from nrray.simulate.renderers.thermal.looks import Looks, Sensor
from nrray.simulate.renderers.thermal.newborn import Lie, leg_end
from nrray.simulate.scenario import LEANING_REACH, Body, Passing

_RUB_CM, _LIMB_RUB_CM, _HOVER_CM = 3.6, 3.2, 4.5
_ARM_HEIGHT_CM = 12.0  # above the table, of somebody who leans over it


def helper_bodies(bodies: Bodies, looks: Looks, lie: Lie, act: Act) -> None:
    """The hand at trunk or limbs, if there is one."""
    if act.kind is Body.NOTHING:
        return
    side = np.array([0.0, looks.side, 0.0])
    away = unit(side + np.array([0.1, 0.0, 0.42]))
    tilt = np.array([0.7 * act.variant - 0.1, 0.0, 0.0])  # fingers point away from the face
    stroke = unit(np.array([1.0, 0.8 * (act.variant - 0.3) * looks.side, 0.0]))
    calm = 0.12 * act.sway * side
    if act.kind is Body.LIMB_RUBBED:
        foot = leg_end(looks, lie, looks.side)
        knee = lie.placed(28.5, looks.side * 6.6, 5.0)
        at = 0.4 * foot + 0.6 * knee + 2.4 * UP + _LIMB_RUB_CM * act.along * unit(foot - knee)
        hand = lying_hand(at, away, tilt, is_right=act.variant > 0.5, curl=0.5)
    elif act.kind is Body.HAND_HOVERING:
        at = lie.placed(13.0 + 5 * act.variant, looks.side * 17.0, 4.0)
        at = at + _HOVER_CM * act.along * np.array([1.0, 0.0, 0.0]) + 1.2 * act.across * side
        hand = lying_hand(at, away, tilt, is_right=act.variant > 0.5)
    else:
        at = lie.placed(15.0 + 3.5 * act.variant, looks.side * (0.5 + act.variant), 9.4)
        hand = lying_hand(at + _RUB_CM * act.along * stroke + calm, away, tilt, is_right=act.variant > 0.5)
    hand_bodies(bodies, looks, hand)


def carrier_bodies(bodies: Bodies, looks: Looks, lie: Lie) -> None:
    """Two hands below the newborn."""
    side = np.array([0.0, looks.side, 0.0])
    for x, is_right in ((3.0, looks.side > 0), (20.0, looks.side < 0)):
        wrist = lie.placed(x, looks.side * 7.5, 0.5)
        away = unit(side + 0.25 * UP)
        hand = Hand(wrist=wrist, pointing=-side, back=-UP, away=away, curl=0.3, spread=0.25, is_right=is_right)
        hand_bodies(bodies, looks, hand)


def passer_bodies(bodies: Bodies, looks: Looks, sensor: Sensor, passings: Iterable[Passing], t: float) -> None:
    """People at the edges of this camera's picture, between it and the scene; who reaches far in has an arm over the table."""
    for passing in passings:
        if passing.start_s <= t < passing.end_s:
            _passer(bodies, looks, sensor, passing, t)


def _passer(bodies: Bodies, looks: Looks, sensor: Sensor, passing: Passing, t: float) -> None:
    eye = sensor.eye
    done = (t - passing.start_s) / (passing.end_s - passing.start_s)
    along = 2.1 * (done if passing.forward else 1 - done) - 1.05
    edge = 1.18 - 0.46 * passing.reach * sin(pi * done)  # beyond the edge, in, and back
    across = -1 if passing.side in (0, 2) else 1
    right, down = (along, across * edge) if passing.side < 2 else (across * edge, along)
    depth = 0.86 * sensor.distance_cm
    head = eye.point(right, down, depth)
    outward = (eye.axes[1] if passing.side < 2 else eye.axes[0]) * across
    walking = eye.axes[0] if passing.side < 2 else eye.axes[1]
    bodies.ellipsoid(head, 8.0 * np.stack([1.1 * outward, 0.9 * walking, eye.axes[2]]), looks.hair - 2.0)
    bodies.ellipsoid(head - 2.6 * outward, 6.0 * np.stack([outward, walking, eye.axes[2]]), looks.face)
    for sign in (-1, 1):  # shoulders, and a trunk that leans
        shoulder = head + 9.0 * outward + 15.0 * sign * walking + 5.0 * eye.axes[2]
        bodies.capsule(head + 9.0 * outward + 5.0 * eye.axes[2], shoulder, 7.0, looks.clothes)
    bodies.capsule(
        head + 14.0 * outward + 8.0 * eye.axes[2], head + 50.0 * outward + 8.0 * eye.axes[2], 14.0, looks.clothes
    )
    if passing.reach > LEANING_REACH:
        shoulder = head + 9.0 * outward + 15.0 * walking + 5.0 * eye.axes[2]
        _arm(bodies, looks, eye, shoulder, 0.6 * right, 0.6 * down)


def _arm(bodies: Bodies, looks: Looks, eye: Eye, shoulder: Vector, right: float, down: float) -> None:
    goal = eye.point(right, down, eye.depth_at_height(right, down, _ARM_HEIGHT_CM))
    away = unit(shoulder - goal)
    wrist = goal + 9.0 * away
    bodies.capsule(shoulder, wrist + 20.0 * away, 4.4, looks.clothes)
    hand_bodies(bodies, looks, Hand(wrist=wrist, pointing=-away, back=UP, away=away, curl=0.3))
