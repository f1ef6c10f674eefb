"""Where everything is at one instant of a case: a pure function of course and time, in canvas pixels.

The canvas is 320 x 240, the newborn lies with its head to the left, face up, its trunk to the right.
"""

from dataclasses import dataclass
from math import cos, pi, sin

from nrray.simulate.appearance import Appearance
from nrray.simulate.course import CARRY_SECONDS, Airway, Body, Course, Episode, episode_at

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
class Pose:
    """One instant."""

    newborn: Newborn | None
    bag_mask: BagMask
    tube: Tube
    helper: Hand | None


def pose_at(course: Course, appearance: Appearance, t: float) -> Pose:
    """The scene at case time `t` seconds."""
    airway, body = episode_at(course.airway, t), episode_at(course.body, t)
    squeeze = _squeeze(airway, t)
    newborn = _newborn(course, appearance, t, lift=squeeze)
    return Pose(
        newborn=newborn,
        bag_mask=_bag_mask(airway, appearance, t, squeeze),
        tube=_tube(airway, appearance, t),
        helper=_carrier(course, newborn, t) or _helper(body, appearance, t),
    )


def mouth_of(appearance: Appearance) -> Point:
    """Where the mouth of the lying newborn is."""
    return appearance.head_x + 9 * appearance.size, appearance.head_y


def _newborn(course: Course, appearance: Appearance, t: float, *, lift: float) -> Newborn | None:
    if not course.arrival_s <= t < course.departure_s:
        return None
    carried = max(1 - (t - course.arrival_s) / CARRY_SECONDS, 0.0)
    if course.departure_s - t < CARRY_SECONDS and any(e.end_s < course.departure_s - 0.5 for e in course.airway[-1:]):
        carried = max(carried, 1 - (course.departure_s - t) / CARRY_SECONDS)
    return Newborn(
        x=appearance.head_x,
        y=appearance.head_y + 130 * carried * carried,
        size=appearance.size,
        lift=lift,
        stir=0.5 * sin(0.9 * t) + 0.5 * sin(0.37 * t + 1.3),
    )


def _squeeze(airway: Episode | None, t: float) -> float:
    """A quick squeeze, a slow refill: the bag's cycle, peak once per breath."""
    if airway is None or airway.kind is not Airway.VENTILATION:
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
    if kind is Airway.MASK_BESIDE:
        sway = 1.2 * sin(0.7 * t + variant * 6)
        mask = (mouth_x - 6 + sway, mouth_y - 40 - 8 * variant)
        return BagMask(mask=mask, bag=(mask[0] - 44, mask[1] - 22 + sway), squeeze=0.0, held=True)
    return BagMask(mask=(60, 40), bag=(28, 28), squeeze=0.0, held=False)


def _tube(airway: Episode | None, appearance: Appearance, t: float) -> Tube:
    mouth_x, mouth_y = mouth_of(appearance)
    kind = airway.kind if airway is not None else Airway.NOTHING
    variant = airway.variant if airway is not None else 0.0
    direction = (-0.55 + 0.3 * variant, 0.8)  # from the mouth to the hand
    if airway is not None and kind is Airway.SUCTION:
        stroke = sin(2 * pi * airway.rate_hz * (t - airway.start_s) + airway.phase)
        along, across = 4.5 * stroke, 3.0 * cos(2 * pi * 0.6 * airway.rate_hz * t)
        tip = (mouth_x - direction[0] * 2, mouth_y - direction[1] * 2)
        grip = (mouth_x + direction[0] * (30 + along) + across, mouth_y + direction[1] * (30 + along) + 0.4 * across)
        return Tube(tip=tip, grip=grip, held=True)
    if kind is Airway.TUBE_NEAR:
        away = 15 + 5 * variant
        sway = 0.7 * sin(0.8 * t + variant * 6)
        tip = (mouth_x + direction[0] * away + sway, mouth_y + direction[1] * away)
        return Tube(tip=tip, grip=(tip[0] + direction[0] * 30, tip[1] + direction[1] * 30), held=True)
    if kind is Airway.TUBE_BESIDE:
        tip = (mouth_x - 4, mouth_y + 30 + 5 * variant)
        return Tube(tip=tip, grip=(tip[0] - 28, tip[1] + 22), held=False)
    return Tube(tip=(88, 214), grip=(52, 222), held=False)


def _helper(body: Episode | None, appearance: Appearance, t: float) -> Hand | None:
    if body is None or body.kind is Body.NOTHING:
        return None
    size = appearance.size
    on_limb = body.kind is Body.LIMB_RUBBED
    base_x = appearance.head_x + (112 if on_limb else 52 + 10 * body.variant) * size
    base_y = appearance.head_y + (16 if on_limb else -4 + 8 * body.variant) * size
    shift_x, shift_y = 0.5 * sin(0.6 * t), 0.5 * cos(0.5 * t)
    if body.kind in (Body.STIMULATION, Body.LIMB_RUBBED):
        reach = 11.0 if body.kind is Body.STIMULATION else 8.0
        wobble = 0.5 * sin(0.31 * t + body.phase)  # the rate drifts, as hands do
        stroke = sin(2 * pi * body.rate_hz * (t - body.start_s) + wobble + body.phase)
        tilt = 0.9 * body.variant
        shift_x, shift_y = reach * stroke * cos(tilt), reach * stroke * sin(tilt) * 0.7
    from_above = body.variant > 0.5
    elbow = (base_x + 30, -40.0 if from_above else 280.0)
    return Hand(at=(base_x + shift_x, base_y + shift_y), elbow=elbow, bend=0.4)


def _carrier(course: Course, newborn: Newborn | None, t: float) -> Hand | None:
    """The hand that brings the newborn to the table."""
    if newborn is None or t - course.arrival_s >= CARRY_SECONDS:
        return None
    return Hand(at=(newborn.x + 50, newborn.y + 12), elbow=(newborn.x + 70, 290.0), bend=0.2)
