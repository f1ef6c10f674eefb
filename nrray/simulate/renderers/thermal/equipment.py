"""The equipment of the airway and the hands that hold it: bag or T-piece with a mask, suction tube or bulb syringe."""

from math import cos, sin

import numpy as np

from nrray.simulate.renderers.thermal.casting import Bodies, Vector
from nrray.simulate.renderers.thermal.choreography import Act
from nrray.simulate.renderers.thermal.hands import UP, Hand, gripping_hand, hand_bodies, pinching_hand, unit
from nrray.simulate.renderers.thermal.looks import Looks, head_end
from nrray.simulate.renderers.thermal.newborn import Lie
from nrray.simulate.scenario import Airway

_ON_FACE = (Airway.VENTILATION, Airway.MASK_STILL)
_MASK_HELD = (*_ON_FACE, Airway.MASK_BESIDE, Airway.BAG_TESTED)
_TUBE_HELD = (Airway.SUCTION, Airway.TUBE_STILL, Airway.TUBE_WAVED)
_BREATH_WARMS = 1.6  # degrees: a mask that is breathed through


def airway_bodies(bodies: Bodies, looks: Looks, lie: Lie, act: Act) -> None:
    """Mask and tube, in hands or on the table."""
    if act.kind in _MASK_HELD:
        _held_mask(bodies, looks, lie, act)
    else:
        place = np.array([-11.0, -looks.side * 15.0, 1.0])
        axis = head_end(0.5 * looks.bag_angle)
        _mask(bodies, looks, place, UP, looks.device)
        if looks.has_bag:
            _bag(bodies, looks, place + 2.5 * UP, unit(axis - 0.12 * UP), 0.0)
        else:
            _t_piece(bodies, looks, place, UP, axis)
    if act.kind in _TUBE_HELD:
        _held_tube(bodies, looks, lie, act)
    else:
        beside = act.kind is Airway.TUBE_BESIDE
        tip = (
            np.array([3.0, looks.side * (9.5 + 2.5 * act.variant), 1.0])
            if beside
            else np.array([-13.0, looks.side * 17.0, 1.0])
        )
        toward = unit(np.array([-0.75, looks.side * 0.65, 0.0]))
        if looks.has_suction_tube:
            _tube(bodies, looks, tip, toward, toward)
        else:
            _bulb(bodies, looks, tip + 1.6 * UP, toward, 0.0)


def _held_mask(bodies: Bodies, looks: Looks, lie: Lie, act: Act) -> None:
    helper = head_end(looks.airway_angle)
    aside = np.array([-helper[1], helper[0], 0.0])  # to the helper's left
    sway = 0.18 * act.sway * aside
    if act.kind in _ON_FACE:
        mask, normal = lie.faced(2.4, 0, 10.4) + sway, lie.facing(-0.1, 0, 1)
    else:
        mask = np.array([1.0 + 2 * act.variant, -looks.side * (10.5 + 2.5 * act.variant), 8.5]) * lie.size + sway
        normal = unit(np.array([0.0, 0.15, 1.0]))
    warm = looks.device + _BREATH_WARMS * (0.4 + 0.6 * act.squeeze if act.kind in _ON_FACE else 0.0)
    _mask(bodies, looks, mask, normal, warm)
    axis = head_end(looks.bag_angle + 0.35 * (act.variant - 0.5))
    # The bag, or the hose, goes to one side of the helper, the hand on the mask comes from the other.
    hand_side = -1.0 if aside @ axis > 0 else 1.0
    away = unit(helper + 0.45 * hand_side * aside + 0.3 * UP)
    wrist = mask + looks.hand_size * (7.6 * unit(away * np.array([1, 1, 0.0])) + 2.0 * hand_side * aside) + 0.8 * UP
    thumb = mask + 0.6 * looks.mask_radius * hand_side * aside + 1.5 * normal
    if looks.has_bag:
        top = mask + 4.6 * normal
        axis = unit(axis - 0.1 * UP)
        centre, half_width, half_height = _bag(bodies, looks, top, axis, act.squeeze)
        grip_away = unit(helper - 0.7 * hand_side * aside + 0.35 * UP)
        grip = gripping_hand(
            centre + 0.45 * looks.bag_length * axis,
            axis,
            grip_away,
            half_width=half_width,
            half_height=half_height,
            is_right=hand_side > 0,
        )
        hand_bodies(bodies, looks, grip)
    else:
        hole = _t_piece(bodies, looks, mask, normal, axis)
        lifted = 1 - act.squeeze
        thumb = hole + 0.8 * normal + lifted * (2.5 * normal + 5.2 * hand_side * aside + 3.6 * helper)
        wrist = wrist + lifted * (0.6 * UP + 1.2 * away)
    hand_bodies(
        bodies,
        looks,
        Hand(
            wrist=wrist,
            pointing=mask - wrist - 1.5 * UP,
            back=unit(UP + 0.5 * hand_side * aside),
            away=away,
            curl=0.5,
            spread=0.3,
            is_right=hand_side < 0,
            thumb_tip=thumb,
        ),
    )


def _mask(bodies: Bodies, looks: Looks, at: Vector, normal: Vector, heat: float) -> None:
    bodies.ellipsoid(at, _flat(normal, looks.mask_radius, 0.8), heat)
    bodies.ellipsoid(at + 0.9 * normal, _flat(normal, 0.7 * looks.mask_radius, 1.7), heat)
    bodies.capsule(at + 1.8 * normal, at + 4.4 * normal, 1.15, 0.5 * (heat + looks.device), looks.device)


def _flat(normal: Vector, radius: float, half_height: float) -> Vector:
    """Semi-axes of an ellipsoid that is round across `normal`."""
    side = unit(np.array([normal[2], 0.0, -normal[0]]))
    return np.stack([radius * side, radius * np.cross(normal, side), half_height * normal])


def _bag(bodies: Bodies, looks: Looks, top: Vector, axis: Vector, squeeze: float) -> tuple[Vector, float, float]:
    """A bag that goes away from a connector; gives its middle, half of its width and of its height."""
    centre = top + (looks.bag_length + 1.2) * axis
    half_width, half_height = looks.bag_radius * (1 - 0.6 * squeeze), looks.bag_radius * (1 + 0.08 * squeeze)
    across = unit(np.cross(UP, axis))
    up = np.cross(axis, across)
    bodies.capsule(top, top + 2.5 * axis, 1.3, looks.device)
    bodies.ellipsoid(
        centre, np.stack([looks.bag_length * axis, half_width * across, half_height * up]), looks.device + 0.4
    )
    end = centre + looks.bag_length * axis
    bodies.capsule(end - 1.0 * axis, end + 1.6 * axis, 1.5, looks.device - 0.3)
    return centre, half_width, half_height


def _t_piece(bodies: Bodies, looks: Looks, mask: Vector, normal: Vector, axis: Vector) -> Vector:
    """A T on the mask with a hose along `axis`; gives its hole."""
    middle = mask + 5.2 * normal
    bodies.capsule(mask + 3.0 * normal, middle + 0.4 * normal, 1.3, looks.device)
    bodies.ellipsoid(middle + 0.6 * normal, _flat(normal, 2.2, 0.7), looks.device - 0.6)  # the rim of its hole
    bend = middle + 5.0 * axis - 0.5 * UP
    floor = np.array([1.0, 1.0, 0.0])
    bodies.chain(
        [
            middle,
            bend,
            (bend + 11 * axis) * floor + 2.0 * UP,
            (bend + 26 * axis) * floor + 1.0 * UP,
            (bend + 60 * axis) * floor,
        ],
        0.95,
        looks.device - 0.6,
    )
    return middle + 1.2 * normal


def _held_tube(bodies: Bodies, looks: Looks, lie: Lie, act: Act) -> None:
    helper = head_end(looks.airway_angle)
    aside = np.array([-helper[1], helper[0], 0.0])
    angle = 0.9 * (act.variant - 0.5)
    toward = unit(cos(angle) * helper + sin(angle) * aside + 0.75 * UP)  # from the mouth to the hand
    across = np.cross(toward, UP)
    mouth = lie.mouth + 0.15 * act.sway * aside
    if act.kind is Airway.TUBE_WAVED:
        mouth = np.array([2.0 + 5 * act.variant, looks.side * (12.0 + 2 * act.variant), 7.0]) * lie.size
    is_right = act.variant > 0.5
    if looks.has_suction_tube:
        tip = mouth + (0.3 + 3.2 * act.along) * toward + 0.9 * act.across * across
        grip = tip + 6.0 * toward
        away = unit(helper + 0.5 * sin(angle) * aside + 0.35 * UP)
        _tube(bodies, looks, tip, toward, unit(toward + 0.5 * helper))
        hand_bodies(bodies, looks, pinching_hand(grip, away, is_right=is_right))
        return
    tip = mouth + (0.3 + 2.0 * act.along) * toward + 0.7 * act.across * across
    centre, half_width, half_height = _bulb(bodies, looks, tip, toward, act.squeeze)
    away = unit(0.8 * helper + (0.9 if is_right else -0.9) * aside + 0.3 * UP)
    hand_bodies(
        bodies,
        looks,
        gripping_hand(
            centre + 2.6 * toward, toward, away, half_width=half_width, half_height=half_height, is_right=is_right
        ),
    )


def _tube(bodies: Bodies, looks: Looks, tip: Vector, toward: Vector, later: Vector) -> None:
    hold = tip + 8.0 * toward
    fall = np.array([1.0, 1.0, 0.0])
    far = hold + 12 * later
    points = [tip, hold, far * fall + max(0.5 * hold[2], 0.6) * UP, (far + 14 * later) * fall + 0.6 * UP]
    bodies.chain([*points, (far + 60 * later) * fall], looks.tube_radius, looks.device)


def _bulb(bodies: Bodies, looks: Looks, tip: Vector, toward: Vector, squeeze: float) -> tuple[Vector, float, float]:
    """A bulb behind its nozzle; gives its middle, half of its width and of its height."""
    centre = tip + 7.6 * toward
    half_width, half_height = 2.9 * (1 - 0.5 * squeeze), 2.9 * (1 + 0.1 * squeeze)
    across = unit(np.cross(UP, toward))
    bodies.capsule(tip, tip + 5.0 * toward, 0.55, looks.device)
    up = np.cross(toward, across)
    bodies.ellipsoid(centre, np.stack([4.4 * toward, half_width * across, half_height * up]), looks.device)
    return centre, half_width, half_height
