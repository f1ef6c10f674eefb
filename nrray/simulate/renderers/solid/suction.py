"""The suction tube, or the bulb syringe, and the hand that holds it."""

from math import hypot

import numpy as np

from nrray.simulate.appearance import Appearance
from nrray.simulate.pose import Point, Tube
from nrray.simulate.renderers.solid.look import HandLook, Look, Sucker
from nrray.simulate.renderers.solid.newborn import MOUTH_DX, MOUTH_Z
from nrray.simulate.renderers.solid.people import put_arm, put_finger, put_palm
from nrray.simulate.renderers.solid.stage import Stage, Vector, unit, world

_AT_FACE_PX = 16.0
_INSIDE_PX = 0.4  # a moving tip stays inside the lips, above this on the canvas; a still one outside
_STEP_BACK = np.array([-2.0, 4.0])  # canvas pixels, along the tube: between the two
_UP: Vector = np.array([0.0, 0.0, 1.0])


def put_sucker(stage: Stage, tube: Tube, appearance: Appearance, look: Look, mouth: Point | None) -> None:
    """The device, in a hand or on the cloth; `mouth` is the newborn's, where it lies there."""
    width = appearance.tube_width * 0.78
    if not tube.held:
        put_lying = _put_lying_bulb if look.sucker is Sucker.BULB else _put_lying_tube
        put_lying(stage, tube, appearance, width)
        return
    flat_tip, flat_grip = np.array(tube.tip), np.array(tube.grip)
    low = 16.0
    if mouth is not None and hypot(*(flat_tip - mouth)) < _AT_FACE_PX:
        # One depth for moving and still ones: what tells them apart is the motion.
        if tube.tip[1] - mouth[1] > _INSIDE_PX:
            flat_tip = flat_tip - _STEP_BACK
        depth = float(flat_tip[1] - mouth[1])  # below 0 in the mouth
        nose = 7.0 if look.at_nose else 0.0
        shift = np.array([MOUTH_DX * appearance.size - nose, 0.0])
        flat_tip, flat_grip = flat_tip + shift, flat_grip + shift
        low = MOUTH_Z * appearance.size + 1.2 * max(depth, -4.0) + (4.5 if look.at_nose else 2.5)
    length = hypot(*(flat_grip - flat_tip))
    tip = world(flat_tip[0], flat_tip[1], low)
    grip = world(flat_grip[0], flat_grip[1], low + 20)
    if look.sucker is Sucker.BULB:
        _put_held_bulb(stage, tip, grip, appearance, look.leader, squeeze=min(max((length - 23.4) / 10.8, 0.0), 1.0))
    else:
        _put_held_tube(stage, tip, grip, appearance, look.leader, width)


def _put_lying_tube(stage: Stage, tube: Tube, appearance: Appearance, width: float) -> None:
    (tx, ty), (gx, gy) = tube.tip, tube.grip
    points = [
        world(tx, ty, 3),
        world((tx + gx) / 2 + 5, (ty + gy) / 2, 3),
        world(gx, gy, 3),
        world(gx - 14, gy + 24, 3),
        world(gx - 44, gy + 46, 3),
    ]
    stage.chain(points, [width] * 4, appearance.tube)
    stage.limb(world(gx, gy, 4), world(gx - 6, gy + 9, 4), width + 2, np.array(appearance.tube) * 0.7)


def _put_lying_bulb(stage: Stage, tube: Tube, appearance: Appearance, width: float) -> None:
    tip, grip = world(*tube.tip, 4), world(*tube.grip, 12)
    _put_bulb(stage, tip, grip, appearance, squeeze=0.0, side=np.cross(_UP, unit(grip - tip)))


def _put_held_tube(
    stage: Stage, tip: Vector, grip: Vector, appearance: Appearance, look: HandLook, width: float
) -> None:
    """Thumb and index pinch the tube well above the mouth; it goes on below the hand."""
    size, tint = look.size, np.array(appearance.tube, float)
    away = unit(grip - tip)
    side = unit(np.cross(_UP, away))
    pinch = grip + 13 * away
    valve = pinch + 20 * away
    tail = [valve, valve + np.array([-16.0, -24, -10]), valve + np.array([-60.0, -70, -30])]
    stage.chain([tip, (tip + pinch) / 2 - 1.5 * _UP, pinch, valve], [width] * 3, tint)
    stage.limb(pinch + 12 * away, valve, width + 2.4, tint * 0.65)
    stage.chain(tail, [width, width], tint * 0.85)
    palm = pinch + 19 * size * away + 7 * _UP - 5 * size * side
    elbow = np.array([pinch[0] - 92, pinch[1] - 100, 66.0])
    wrist = palm + unit(elbow - palm) * 18 * size
    put_arm(stage, elbow, wrist, look)
    put_palm(stage, wrist, palm, look)
    over = pinch + (width + 2) * side + 2 * _UP
    under = pinch - (width + 2) * side + 1 * _UP
    put_finger(stage, [palm + 6 * side * size, (palm + over) / 2 + 6 * side + 4 * _UP, over], look)
    put_finger(stage, [palm - 5 * side * size, (palm + under) / 2 - 6 * side, under], look, width=1.12, shade=0.94)
    _put_curled(stage, palm, away, side, look)


def _put_curled(stage: Stage, palm: Vector, away: Vector, side: Vector, look: HandLook) -> None:
    for number in range(3):
        base = palm + side * (7 + 3 * number) * look.size + away * (1 + 4 * number) * look.size
        bend = base - away * 9 + side * 4 - 2 * _UP
        put_finger(stage, [base, bend, bend + away * 7 - 6 * _UP], look, shade=0.95)


def _put_held_bulb(
    stage: Stage, tip: Vector, grip: Vector, appearance: Appearance, look: HandLook, *, squeeze: float
) -> None:
    """Thumb and fingers on both sides of the bulb."""
    size = look.size
    away = unit(grip - tip)
    side = unit(np.cross(_UP, away))
    across = _put_bulb(stage, tip, grip, appearance, squeeze=squeeze, side=side)
    bulb = grip + 8 * away
    palm = bulb + 26 * size * away + 6 * _UP
    elbow = np.array([bulb[0] - 92, bulb[1] - 100, 64.0])
    wrist = palm + unit(elbow - palm) * 18 * size
    put_arm(stage, elbow, wrist, look)
    put_palm(stage, wrist, palm, look)
    for number in range(3):
        knuckle = bulb + away * (16 + 2 * number) + side * (across + 6 + number) + (4 - 5 * number) * _UP
        end = bulb - away * (5 - 4 * number) * look.reach + side * (across + 2.5) + (3 - 5 * number) * _UP
        put_finger(stage, [palm + 5 * side, knuckle, end], look, shade=0.93 + 0.04 * number)
    knuckle = bulb + away * 15 - side * (across + 6) + 3 * _UP
    put_finger(stage, [palm - 5 * side, knuckle, bulb - away * 3 - side * (across + 2.5) + 2 * _UP], look, width=1.15)


def _put_bulb(
    stage: Stage, tip: Vector, grip: Vector, appearance: Appearance, *, squeeze: float, side: Vector
) -> float:
    """A nozzle and a bulb behind it; returns half the bulb's width, which shrinks as it is squeezed."""
    tint = np.array(appearance.tube, float) * (0.9, 0.8, 0.8)
    away = unit(grip - tip)
    bulb = grip + 8 * away
    middle = (tip + bulb) / 2
    stage.chain([tip, middle, bulb - 8 * away], [2.3, 3.6], tint * 0.95, "bag")
    across = 13 * (1 - 0.55 * squeeze)
    stage.ball(bulb, (15 + 3 * squeeze, across, 12.5), tint, "bag", axis=away, up=np.cross(away, side))
    return across
