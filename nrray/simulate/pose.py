"""Positions of newborn, hands and devices at one instant of a case: a pure function of scenario and time, in canvas pixels.

The canvas is 320 x 240, the newborn lies with its head to the left, face up, its trunk to the right.
"""

from dataclasses import dataclass
from math import cos, pi, sin

from nrray.simulate.appearance import Appearance
from nrray.simulate.scenario import CARRY_SECONDS, LEANING_REACH, Airway, Body, Episode, Passing, Scenario, episode_at

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Newborn:
    """Head centre and size factor; `lift` is how far the chest has risen, 0 to 1; `stir` moves the limbs."""

    x: float
    y: float
    size: float
    lift: float
    stir: float


@dataclass(frozen=True, kw_only=True)
class BagMask:
    """Mask and bag; `squeeze` is 0 (full) to 1 (empty); `held` says whether hands hold it."""

    mask: Point
    bag: Point
    squeeze: float
    held: bool


@dataclass(frozen=True, kw_only=True)
class Tube:
    """Suction tube from hand to tip; without a hand it lies on the table."""

    tip: Point
    grip: Point
    held: bool


@dataclass(frozen=True, kw_only=True)
class Hand:
    """A helper's hand; the forearm comes from `elbow`."""

    at: Point
    elbow: Point
    bend: float


@dataclass(frozen=True, kw_only=True)
class Passer:
    """Somebody seen from above: head, and shoulders across the way they look; `arm` reaches over the table."""

    at: Point
    facing: float  # radians
    arm: Point | None


@dataclass(frozen=True, kw_only=True)
class Pose:
    """All positions at one instant."""

    newborn: Newborn | None
    bag_mask: BagMask
    tube: Tube
    helper: Hand | None
    passers: tuple[Passer, ...]


def pose_at(scenario: Scenario, appearance: Appearance, t: float) -> Pose:
    """The scene at case time `t` seconds."""
    airway, body = episode_at(scenario.airway, t), episode_at(scenario.body, t)
    squeeze = _squeeze(airway, t)
    is_ventilated = airway is not None and airway.kind is Airway.VENTILATION
    newborn = _newborn(scenario, appearance, t, lift=squeeze if is_ventilated else 0.0)
    return Pose(
        newborn=newborn,
        bag_mask=_bag_mask(airway, appearance, t, squeeze),
        tube=_tube(airway, appearance, t),
        helper=_carrier(scenario, newborn, t) or _helper(body, appearance, t),
        passers=tuple(_passer(passing, t) for passing in scenario.passings if passing.start_s <= t < passing.end_s),
    )


def mouth_of(appearance: Appearance) -> Point:
    """Position of the lying newborn's mouth."""
    return appearance.head_x + 9 * appearance.size, appearance.head_y


def _newborn(scenario: Scenario, appearance: Appearance, t: float, *, lift: float) -> Newborn | None:
    if not scenario.arrival_s <= t < scenario.departure_s:
        return None
    carried = max(1 - (t - scenario.arrival_s) / CARRY_SECONDS, 0.0)
    if scenario.departure_s - t < CARRY_SECONDS and any(
        e.end_s < scenario.departure_s - 0.5 for e in scenario.airway[-1:]
    ):
        carried = max(carried, 1 - (scenario.departure_s - t) / CARRY_SECONDS)
    return Newborn(
        x=appearance.head_x,
        y=appearance.head_y + 130 * carried * carried,
        size=appearance.size,
        lift=lift,
        stir=0.5 * sin(0.9 * t) + 0.5 * sin(0.37 * t + 1.3),
    )


def _squeeze(airway: Episode | None, t: float) -> float:
    """A quick squeeze, a slow refill: the bag's cycle, peak once per breath. A still hand may press the bag too."""
    if airway is None:
        return 0.0
    if airway.kind in (Airway.MASK_STILL, Airway.MASK_BESIDE):
        return max(0.0, 1.6 * airway.variant - 0.6)
    if airway.kind not in (Airway.VENTILATION, Airway.BAG_TESTED):
        return 0.0
    wobble = 0.35 * sin(0.23 * t + airway.phase)  # nobody keeps a perfect beat
    cycle = (airway.rate_hz * (t - airway.start_s) + 0.15 * wobble) % 1.0
    return 0.5 - 0.5 * cos(2 * pi * cycle / 0.45) if cycle < 0.45 else 0.0


def _bag_mask(airway: Episode | None, appearance: Appearance, t: float, squeeze: float) -> BagMask:
    mouth_x, mouth_y = mouth_of(appearance)
    kind = airway.kind if airway is not None else Airway.NOTHING
    variant = airway.variant if airway is not None else 0.0
    if kind in (Airway.VENTILATION, Airway.MASK_STILL):
        sway = 0.6 * sin(1.1 * t + variant * 6)
        mask = (mouth_x - 2 + sway, mouth_y + 0.5 * sway)
        bag = (mask[0] - 52 + 6 * variant, mask[1] - 42 + 16 * variant + sway)
        return BagMask(mask=mask, bag=bag, squeeze=squeeze, held=True)
    if kind in (Airway.MASK_BESIDE, Airway.BAG_TESTED):
        sway = 1.2 * sin(0.7 * t + variant * 6)
        mask = (mouth_x - 6 + sway, mouth_y - 40 - 8 * variant)
        return BagMask(mask=mask, bag=(mask[0] - 44, mask[1] - 22 + sway), squeeze=squeeze, held=True)
    return BagMask(mask=(60, 40), bag=(28, 28), squeeze=0.0, held=False)


def _tube(airway: Episode | None, appearance: Appearance, t: float) -> Tube:
    mouth_x, mouth_y = mouth_of(appearance)
    kind = airway.kind if airway is not None else Airway.NOTHING
    variant = airway.variant if airway is not None else 0.0
    direction = (-0.55 + 0.3 * variant, 0.8)  # from the mouth to the hand
    if airway is not None and kind in (Airway.SUCTION, Airway.TUBE_STILL, Airway.TUBE_WAVED):
        angle = 2 * pi * airway.rate_hz * (t - airway.start_s) + airway.phase
        along, across = 8.0 * sin(angle), 6.0 * cos(0.6 * angle)
        if kind is Airway.TUBE_STILL:  # stands where a moving one might stand
            sway = 0.5 * sin(0.8 * t + variant * 6)
            along, across = 8.0 * sin(airway.phase) + sway, 6.0 * cos(0.6 * airway.phase)
        from_x, from_y = (mouth_x, mouth_y) if kind is not Airway.TUBE_WAVED else (mouth_x - 20 * variant, mouth_y + 44)
        depth = along / 4 + (3.0 if kind is Airway.TUBE_STILL else -2.0)  # below 0 in the mouth, above at the lips
        tip = (from_x + direction[0] * depth + across / 4, from_y + direction[1] * depth)
        grip = (from_x + direction[0] * (30 + along) + across, from_y + direction[1] * (30 + along) + 0.4 * across)
        return Tube(tip=tip, grip=grip, held=True)
    if kind is Airway.TUBE_BESIDE:
        tip = (mouth_x - 4, mouth_y + 30 + 5 * variant)
        return Tube(tip=tip, grip=(tip[0] - 28, tip[1] + 22), held=False)
    return Tube(tip=(88, 214), grip=(52, 222), held=False)


def _helper(body: Episode | None, appearance: Appearance, t: float) -> Hand | None:
    if body is None or body.kind is Body.NOTHING:
        return None
    size = appearance.size
    place_x, place_y = 52 + 10 * body.variant, -4 + 8 * body.variant
    if body.kind is Body.LIMB_RUBBED:
        place_x, place_y = 112, 16
    elif body.kind is Body.HAND_HOVERING:
        place_x, place_y = 60, 46 if body.variant > 0.5 else -46
    base_x, base_y = appearance.head_x + place_x * size, appearance.head_y + place_y * size
    wobble = 0.5 * sin(0.31 * t + body.phase)  # the rate drifts, as hands do
    stroke = sin(2 * pi * body.rate_hz * (t - body.start_s) + wobble + body.phase)
    if body.kind is Body.HAND_RESTING:  # lies where a rubbing one might be
        stroke = sin(body.phase) + 0.04 * sin(0.6 * t)
    reach = 8.0 if body.kind is Body.LIMB_RUBBED else 11.0
    tilt = 0.9 * body.variant
    shift_x, shift_y = reach * stroke * cos(tilt), reach * stroke * sin(tilt) * 0.7
    from_above = body.variant > 0.5
    elbow = (base_x + 30, -40.0 if from_above else 280.0)
    return Hand(at=(base_x + shift_x, base_y + shift_y), elbow=elbow, bend=0.4)


def _passer(passing: Passing, t: float) -> Passer:
    done = (t - passing.start_s) / (passing.end_s - passing.start_s)
    along = done if passing.forward else 1 - done
    near = 16 - 70 * passing.reach * sin(pi * done)  # in from beyond the edge, and back
    at, facing = {
        0: ((340 * along - 10, -near), 0.0),
        1: ((340 * along - 10, 240 + near), 0.0),
        2: ((-near, 260 * along - 10), pi / 2),
        3: ((320 + near, 260 * along - 10), pi / 2),
    }[passing.side]
    arm = None
    if passing.reach > LEANING_REACH:  # to take something
        arm = (at[0] + 0.55 * (160 - at[0]), at[1] + 0.55 * (120 - at[1]))
    return Passer(at=at, facing=facing, arm=arm)


def _carrier(scenario: Scenario, newborn: Newborn | None, t: float) -> Hand | None:
    """The hand that brings the newborn to the table."""
    if newborn is None or t - scenario.arrival_s >= CARRY_SECONDS:
        return None
    return Hand(at=(newborn.x + 50, newborn.y + 12), elbow=(newborn.x + 70, 290.0), bend=0.2)
