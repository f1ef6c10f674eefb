"""An adult's hand of capsules, and the ways in which it lies, grips and pinches."""

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from nrray.simulate.renderers.thermal.casting import Bodies, Vector
from nrray.simulate.renderers.thermal.looks import Looks

UP = np.array([0.0, 0.0, 1.0])
_FOREARM_CM = 25.0
# Per finger, index to little: x and y of its knuckle from the wrist, length of its near and its far part.
_FINGERS = ((8.7, 2.9, 4.3, 3.9), (9.0, 1.0, 4.8, 4.3), (8.6, -0.9, 4.4, 4.0), (7.8, -2.7, 3.4, 3.2))
PALM_CM = 8.6


@dataclass(frozen=True, kw_only=True)
class Hand:
    """`pointing` is where stretched fingers point, `back` where the back of the hand looks, `away` where the forearm
    goes; the thumb's tip is at rest where it is None."""

    wrist: Vector
    pointing: Vector
    back: Vector
    away: Vector
    curl: float  # of the fingers, 0 to 1
    spread: float = 0.12
    is_right: bool = True
    thumb_tip: Vector | None = None


def unit(vector: Vector) -> Vector:
    """Of length 1."""
    return vector / max(float(np.sqrt(vector @ vector)), 1e-9)


def hand_bodies(bodies: Bodies, looks: Looks, hand: Hand) -> None:
    """Palm, five fingers, forearm and sleeve."""
    x = unit(hand.pointing)
    z = unit(hand.back - (hand.back @ x) * x)
    y = np.array([z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]])
    frame = looks.hand_size * np.stack([x, y if hand.is_right else -y, z])
    points = hand.wrist + np.array(_finger_points(hand.curl, hand.spread)) @ frame  # (16, 3)
    radius = 0.92 * looks.finger_width * looks.hand_size
    heat = looks.hand
    for start, knuckle, middle, tip in points.reshape(4, 4, 3):
        bodies.capsule(start, knuckle, 1.25 * radius, heat)
        bodies.capsule(knuckle, middle, radius, heat)
        bodies.capsule(middle, tip, 0.9 * radius, heat, heat - 0.5)
    base, joint, rest = hand.wrist + np.array([(1.8, 2.0, -0.4), (4.6, 4.7, -1.0), (7.6, 5.8, -1.8)]) @ frame
    tip = rest
    if hand.thumb_tip is not None:
        tip = hand.thumb_tip
        joint = 0.5 * (base + tip) + 1.0 * frame[1]
    bodies.capsule(base, joint, 1.25 * radius, heat)
    bodies.capsule(joint, tip, 1.05 * radius, heat, heat - 0.4)
    away = unit(hand.away)
    elbow = hand.wrist + _FOREARM_CM * away
    thick = 2.5 * looks.hand_size
    bodies.capsule(hand.wrist + 0.5 * x, elbow, thick, 0.5 * (heat + looks.forearm), looks.forearm)
    cuff = hand.wrist + _FOREARM_CM * (1 - looks.sleeve_share) * away
    bodies.capsule(cuff, elbow + 14 * away, thick + 1.1, looks.sleeve)


def _finger_points(curl: float, spread: float) -> list[tuple[float, float, float]]:
    points = []
    near, far = 1.15 * curl, 2.3 * curl
    for x, y, first, second in _FINGERS:
        aside = spread * y / 2.9
        middle = (x + first * cos(near), y + first * aside, -first * sin(near))
        points += [
            (1.0, 0.55 * y, 0.0),
            (x, y, 0.0),
            middle,
            (middle[0] + second * cos(far), middle[1] + second * aside, middle[2] - second * sin(far)),
        ]
    return points


def lying_hand(at: Vector, away: Vector, tilt: Vector, *, is_right: bool, curl: float = 0.16) -> Hand:
    """A hand whose palm is at a point and looks down; `tilt` turns its fingers aside."""
    pointing = unit(-away * np.array([1, 1, 0.0]) + tilt)
    return Hand(
        wrist=at - 6.5 * pointing + 1.2 * UP, pointing=pointing, back=UP, away=away, curl=curl, is_right=is_right
    )


def gripping_hand(
    centre: Vector, axis: Vector, away: Vector, *, half_width: float, half_height: float, is_right: bool
) -> Hand:
    """A hand from above around something that lies along `axis`: fingers beyond it, the thumb before it."""
    over = unit(away - (away @ axis) * axis)
    over = -unit(over * np.array([1, 1, 0.0]))  # from the helper across the thing
    knuckles = centre + (half_width - 1.0) * over + (half_height + 0.6) * UP
    return Hand(
        wrist=knuckles - 8.2 * over + 0.4 * UP,
        pointing=over,
        back=UP,
        away=away,
        curl=0.62 + 0.06 * (3 - half_width),
        is_right=is_right,
        thumb_tip=centre - (half_width + 0.7) * over + (0.3 * half_height) * UP,
    )


def pinching_hand(at: Vector, away: Vector, *, is_right: bool) -> Hand:
    """Thumb and fingers meet at a point; the fingers come down to it from the helper's side."""
    pointing = unit(-away * np.array([1, 1, 0.0]) - 0.35 * UP)
    side = np.array([-pointing[1], pointing[0], 0.0]) * (1 if is_right else -1)
    return Hand(
        wrist=at - 11.5 * pointing - 2.4 * side + 2.8 * UP,
        pointing=pointing,
        back=unit(UP + 0.3 * side),
        away=away,
        curl=0.42,
        spread=0.05,
        is_right=is_right,
        thumb_tip=at + 0.4 * side,
    )
