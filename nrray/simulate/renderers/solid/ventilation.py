"""The mask with its bag, or with its T-piece, and the hands on them."""

from math import hypot

import numpy as np

from nrray.simulate.appearance import Appearance
from nrray.simulate.pose import BagMask, Point
from nrray.simulate.renderers.solid.look import HandLook, Look, Ventilator
from nrray.simulate.renderers.solid.newborn import MOUTH_DX, MOUTH_Z
from nrray.simulate.renderers.solid.people import put_arm, put_finger, put_palm
from nrray.simulate.renderers.solid.stage import Stage, Vector, unit, world

_ON_FACE_PX = 16.0
_BESIDE_Z = 44.0  # of a mask that is held off the face
_UP: Vector = np.array([0.0, 0.0, 1.0])
_PALE = (226, 229, 233)


def is_on_face(device: BagMask, mouth: Point) -> bool:
    """Whether the mask is held on the lying newborn's face."""
    return device.held and hypot(device.mask[0] - mouth[0], device.mask[1] - mouth[1]) < _ON_FACE_PX


def put_ventilator(stage: Stage, device: BagMask, appearance: Appearance, look: Look, mouth: Point) -> None:
    """The device and, where it is held, two hands (one where a thumb closes the T-piece)."""
    size = appearance.size
    on_face = is_on_face(device, mouth)
    base = 4.0
    if device.held:
        base = MOUTH_Z * size + 1.5 if on_face else _BESIDE_Z
    mask = world(device.mask[0] + (MOUTH_DX * size - 1 if on_face else 0.0), device.mask[1], base)
    top = _put_mask(stage, mask, appearance, look)
    if look.ventilator is Ventilator.BAG:
        bag = world(device.bag[0], device.bag[1], 0) + np.array([6.0, -6, base + 20])
        if not device.held:
            bag[2] = 19 * appearance.bag_width
        _put_bag(stage, top, bag, device, appearance, look)
        if device.held:
            _put_mask_hand(stage, mask, appearance, look, closing=None)
        return
    hole = _put_t_piece(stage, top, appearance, look)
    if not device.held:
        return
    _put_mask_hand(stage, mask, appearance, look, closing=(hole, device.squeeze) if look.by_thumb else None)
    if not look.by_thumb:
        _put_pointing_hand(stage, hole, world(*device.bag, base + 30), device.squeeze, look.leader)


def _put_mask(stage: Stage, mask: Vector, appearance: Appearance, look: Look) -> Vector:
    """A soft rim, a clear dome, a port; returns the port's upper end."""
    long = appearance.mask_length
    stage.ball(mask + 0.5 * _UP, (15 * long, 14, look.rim + 1), np.array(appearance.mask) * 0.8)
    stage.ball(mask + 3 * _UP, (12.5 * long, 11.5, look.dome), appearance.mask, "clear", alpha=look.clearness)
    top = mask + (look.dome + 2) * _UP
    stage.limb(top, top + 9 * _UP, 5, _PALE)
    return top + 9 * _UP


def _put_bag(stage: Stage, top: Vector, bag: Vector, device: BagMask, appearance: Appearance, look: Look) -> None:
    """It narrows between thumb and fingers like an hourglass, and grows longer."""
    squeeze, radius = device.squeeze, 20 * appearance.bag_width
    joint = top + 3 * _UP
    way = unit(bag - joint)
    side = unit(np.cross(_UP, way))
    up = np.cross(way, side)
    across = radius * (1 - 0.66 * squeeze)
    along = 33 * appearance.bag_length * (1 + 0.14 * squeeze)
    tint = np.array(appearance.bag, float)
    stage.limb(joint, bag - way * along * 0.9, 5.5, look.accent)
    stage.ball(bag, (0.8 * along, across, radius * (1 - 0.12 * squeeze)), tint, "bag", axis=way, up=up)
    for end in (-0.6, 0.6):
        round_ = 0.7 * radius * (1 + 0.06 * squeeze)
        stage.ball(bag + way * along * end, (0.4 * along, round_, round_), tint * 0.96, "bag", axis=way, up=up)
    stage.limb(bag + way * along * 0.92, bag + way * (along + 6), 6, tint * 0.6)
    if look.has_reservoir:
        stage.ball(bag + way * (along + 24), (22, 12, 8), (215, 225, 235), "clear", alpha=0.7, axis=way, up=up)
    if device.held:
        _put_bag_hand(stage, bag, way, side, up, (along, across, radius), look.leader)


def _put_bag_hand(
    stage: Stage, bag: Vector, way: Vector, side: Vector, up: Vector, extent: tuple[float, float, float], look: HandLook
) -> None:
    """From behind: the palm above the bag's far end, four fingers along one side, the thumb along the other; `way` leads
    away from the mask."""
    along, across, radius = extent
    size = look.size
    palm = bag + way * 0.72 * along + up * (0.8 * radius + 4)
    elbow = bag + np.array([-62.0, 66, 46])
    wrist = palm + unit(elbow - palm) * 19 * size
    put_arm(stage, elbow, wrist, look)
    put_palm(stage, wrist, palm, look, up=up)
    for number in range(4):
        low = 6.0 * number * size
        knuckle = palm - side * (0.55 * across + 4) - way * (8 - number) - up * 0.5 * low
        bend = bag + way * (12 + number) - side * (across + 5) + up * (0.5 * radius - low)
        reach = (11 - 5 * number) * look.reach * look.spread
        tip = bag - way * reach - side * (0.96 * across + 1.5) + up * (0.5 * radius - 1 - low)
        put_finger(stage, [palm, knuckle, bend, tip], look, shade=0.93 + 0.05 * (number % 2))
    knuckle = palm + side * (0.6 * across + 4) - way * 4
    bend = bag + way * 8 + side * (across + 5) + up * 0.45 * radius
    tip = bag - way * 11 + side * (0.96 * across + 1.5) + up * 0.4 * radius
    put_finger(stage, [palm, knuckle, bend, tip], look, width=1.18)


def _put_t_piece(stage: Stage, top: Vector, appearance: Appearance, look: Look) -> Vector:
    """A short tube across the port, a hose to the gas supply, a cap with a hole above; returns the hole's place."""
    centre = top + 3 * _UP
    across = np.array([0.35, 0.94, 0.0])
    stage.limb(centre - 9 * across, centre + 12 * across, 4.6, _PALE, "plain")
    hose = [
        centre + 12 * across,
        centre + np.array([14.0, 40, 2]),
        np.array([centre[0] + 34, 90, 8.0]),
        np.array([70.0, 175, -10]),
    ]
    stage.chain(hose, [3.3, 3.3, 3.3], look.accent)
    stage.disc(centre + 7 * _UP, 5.2, 5.0, look.accent)
    hole = centre + 12 * _UP
    stage.disc(hole, 2.4, 0.4, (25, 25, 30))
    return hole


def _put_pointing_hand(stage: Stage, hole: Vector, beside: Vector, closed: float, look: HandLook) -> None:
    """A hand whose index finger closes the hole (`closed` 1) or stands off beside it (0)."""
    size, open_ = look.size, 1 - closed
    back = unit((beside - hole) * np.array([1.0, 1, 0]))
    side = np.cross(_UP, back)
    palm = hole + back * (30 + 6 * open_) * size + _UP * (6 + 5 * open_)
    elbow = palm + back * 70 + np.array([-20.0, 20, 34])
    wrist = palm + unit(elbow - palm) * 19 * size
    put_arm(stage, elbow, wrist, look)
    put_palm(stage, wrist, palm, look)
    tip = hole + back * (1 + 9 * open_) + _UP * (3 + 6 * open_)
    put_finger(stage, [palm, (palm + tip) / 2 + _UP * (6 + 3 * open_), tip], look, width=1.1)
    for number in range(3):  # the others are curled
        base = palm - back * 4 + side * (5 + 5.5 * number) * look.spread
        put_finger(stage, [base, base - back * 12 + _UP * 1, base - back * 7 - _UP * 8], look, shade=0.94)
    put_finger(stage, [palm, palm - back * 6 - side * 12, palm - back * 15 - side * 9 - _UP * 4], look, width=1.12)


def _put_mask_hand(
    stage: Stage, mask: Vector, appearance: Appearance, look: Look, *, closing: tuple[Vector, float] | None
) -> None:
    """Thumb and index in a C about the port, three fingers along the jaw. `closing`: the thumb is on the hole of a T-piece
    instead, at its place and how far it is closed."""
    hand, long = look.leader, appearance.mask_length
    heel = mask + np.array([-32.0, -16, 10])
    wrist = heel + np.array([-13.0, -6, 5])
    put_arm(stage, heel + np.array([-70.0, -34, 40]), wrist, hand)
    put_palm(stage, wrist, heel, hand)
    if closing is None:
        thumb = mask + np.array([-2 * long, 11, look.dome - 3])
        arch = (heel + thumb) / 2 + np.array([-4.0, 6, 3])
    else:
        hole, closed = closing
        back = unit((heel - hole) * np.array([1.0, 1, 0]))
        thumb = hole + (back + np.array([0.0, 0.5, 0])) * (1 + 12 * (1 - closed)) + _UP * (3 + 8 * (1 - closed))
        arch = (heel + thumb) / 2 + np.array([-2.0, 4, 8])
    put_finger(stage, [heel + np.array([4.0, 6, 0]), arch, thumb], hand, width=1.12)
    index = mask + np.array([2 * long, -11, look.dome - 3])
    put_finger(
        stage, [heel + np.array([6.0, -3, 0]), (heel + index) / 2 + np.array([1.0, -6, 4]), index], hand, shade=0.95
    )
    for number in range(3):
        base = heel + np.array([3.0 - 3 * number, -6, -3])
        tip = mask + np.array([12.0 - 9 * number, -17, -9])
        put_finger(stage, [base, (base + tip) / 2 + np.array([0.0, -7, 2]), tip], hand, shade=0.9 + 0.04 * number)
