"""What everybody does at one instant of a case, in centimetres: a pure function of scenario and time.

The lying newborn's chest is the origin, its head towards x, its face up (z), the table at z = 0. Still look-alikes are moving
episodes whose clock stands at a random moment, so that one picture cannot tell them apart.
"""

from dataclasses import dataclass
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from nrray.simulate.scenario import (
    CARRY_SECONDS,
    LEANING_REACH,
    Airway,
    Body,
    Episode,
    Passing,
    Scenario,
    episode_at,
)

Vector = NDArray[np.float64]

STILL = {Airway.MASK_STILL, Airway.MASK_BESIDE, Airway.TUBE_STILL}
ON_FACE = {Airway.VENTILATION, Airway.MASK_STILL}
OFF_FACE = {Airway.MASK_BESIDE, Airway.BAG_TESTED}
TUBE_HELD = {Airway.SUCTION, Airway.TUBE_STILL, Airway.TUBE_WAVED}
SQUEEZED_SHARE = 0.5  # of a breath's cycle
CARRY_WAY_CM, CARRY_HEIGHT_CM = 62.0, 14.0


@dataclass(frozen=True, kw_only=True)
class NewbornMoment:
    """Where the newborn is, shifted from where it lies, and how it moves."""

    shift: Vector  # (3,) cm
    carried: bool
    lift: float  # of the chest, 0 to 1
    breath: float  # its own, -1 to 1
    stir: Vector  # (4,) both arms, both legs, -1 to 1
    leg_rub: float  # of the leg that is rubbed, -1 to 1


@dataclass(frozen=True, kw_only=True)
class MaskMoment:
    """The mask: rim and axis; `way` is where bag or gas tube lead; `effort` is how far bag or hole are pressed, 0 to 1."""

    at: Vector
    axis: Vector
    way: Vector
    effort: float
    held: bool


@dataclass(frozen=True, kw_only=True)
class SuctionMoment:
    """Tip of the tube or bulb, direction to the hand."""

    tip: Vector
    way: Vector
    effort: float  # how far a bulb is pressed, 0 to 1
    held: bool


@dataclass(frozen=True, kw_only=True)
class HelperMoment:
    """A hand at the trunk: the middle of its palm, direction of its fingers, how much they are curled (radians per cm)."""

    palm: Vector
    fingers: Vector
    curl: float


@dataclass(frozen=True, kw_only=True)
class PasserMoment:
    """Somebody at the table's edge: feet below `at`, walking along `facing`; `arm` is a hand over the table."""

    at: Vector
    inward: Vector  # unit vector to the table
    lean: float  # radians, towards the table
    arm: Vector | None


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Everything that moves."""

    newborn: NewbornMoment | None
    mask: MaskMoment
    suction: SuctionMoment
    helper: HelperMoment | None
    helper_side: float  # -1 or 1, along y
    passers: tuple[PasserMoment, ...]


@dataclass(frozen=True, kw_only=True)
class Stations:
    """Where things are in this case."""

    mouth: Vector
    face: Vector  # unit vector out of the face
    size: float  # of the newborn
    airway_side: float  # -1 or 1: where devices lie and suction comes from
    has_t_piece: bool
    stays: bool  # to the end


def moment_at(scenario: Scenario, stations: Stations, t: float) -> Moment:
    """The scene at case time `t` seconds."""
    airway, body = episode_at(scenario.airway, t), episode_at(scenario.body, t)
    mask = _mask(airway, stations, t)
    ventilated = airway is not None and airway.kind in ON_FACE
    side = 1.0 if body is not None and body.variant > 0.5 else -1.0
    return Moment(
        newborn=_newborn(scenario, stations, body, t, lift=mask.effort if ventilated else 0.0),
        mask=mask,
        suction=_suction(airway, stations, t),
        helper=_helper(body, stations, side, t),
        helper_side=side,
        passers=tuple(_passer(p, t) for p in scenario.passings if p.start_s <= t < p.end_s),
    )


def _clock(episode: Episode, t: float) -> float:
    """Cycles since the episode began; a still one stands at a moment of its own, drawn from its variant and phase."""
    if episode.kind in STILL or episode.kind is Body.HAND_RESTING:
        return (episode.phase / (2 * pi) + 7 * episode.variant) % 1.0
    drift = 0.12 * sin(0.29 * t + 3 * episode.phase)  # nobody keeps a perfect beat
    return episode.rate_hz * (t - episode.start_s) + episode.phase / (2 * pi) + drift


def _pressed(cycle: float) -> float:
    """One breath: pressed quickly, let go, pause."""
    share = (cycle % 1.0) / SQUEEZED_SHARE
    return sin(pi * share) ** 2 * (2 - sin(pi * share) ** 2) if share < 1 else 0.0


def _unit(x: float, y: float, z: float) -> Vector:
    length = sqrt(x * x + y * y + z * z)
    return np.array([x / length, y / length, z / length])


def _sway(t: float, episode: Episode, amount: float) -> Vector:
    """A held thing is never quite still."""
    a, b = 0.9 * t + 6 * episode.variant, 1.3 * t + episode.phase
    return amount * np.array([sin(a), sin(b), 0.5 * sin(a + b)])


def _newborn(
    scenario: Scenario, stations: Stations, body: Episode | None, t: float, *, lift: float
) -> NewbornMoment | None:
    if not scenario.arrival_s <= t < scenario.departure_s:
        return None
    ahead = 1 - (t - scenario.arrival_s) / CARRY_SECONDS
    if not stations.stays:
        ahead = max(ahead, 1 - (scenario.departure_s - t) / CARRY_SECONDS)
    ahead = max(ahead, 0.0)
    way = ahead * ahead * (3 - 2 * ahead) if ahead < 1 else 1.0
    shift = np.array(
        [-8 * way, -stations.airway_side * CARRY_WAY_CM * way, CARRY_HEIGHT_CM * sin(pi / 2 * min(1.6 * way, 1))]
    )
    rub = 0.0
    if body is not None and body.kind is Body.STIMULATION:
        stroke = sin(2 * pi * _clock(body, t))
        shift = shift + np.array([0.5 * stroke, 0.0, 0.0])
    if body is not None and body.kind is Body.LIMB_RUBBED:
        rub = sin(2 * pi * _clock(body, t))
    return NewbornMoment(
        shift=shift,
        carried=ahead > 0,
        lift=lift,
        breath=sin(4.4 * t),
        stir=np.array([sin(0.8 * t), sin(0.61 * t + 2.0), sin(0.7 * t + 4.0), sin(0.53 * t + 1.0)]),
        leg_rub=rub,
    )


def _mask(airway: Episode | None, stations: Stations, t: float) -> MaskMoment:
    side = stations.airway_side
    if airway is None or airway.kind not in ON_FACE | OFF_FACE:
        lying = np.array([17.0, -23.0 * side, 2.2])
        return MaskMoment(
            at=lying, axis=_unit(-0.5, 0.2 * side, 0.85), way=_unit(1, -0.1 * side, 0), effort=0.0, held=False
        )
    effort = _pressed(_clock(airway, t))
    spread = 1.5 * (airway.variant - 0.5)  # radians to either side of the head
    way = _unit(cos(spread), sin(spread), 0.12)
    if airway.kind in ON_FACE:
        at = (
            stations.mouth
            + np.array([0.7, 0.0, 0.0])
            + 0.2 * stations.face
            + _sway(t, airway, 0.15)
            - 0.25 * effort * stations.face
        )
        return MaskMoment(at=at, axis=stations.face, way=way, effort=effort, held=True)
    beside = stations.mouth + np.array([2.0 + 4 * airway.variant, -side * (12.0 + 2 * airway.variant), 2.0])
    axis = _unit(0.25, -0.35 * side, 0.9)
    return MaskMoment(at=beside + _sway(t, airway, 0.35), axis=axis, way=way, effort=effort, held=True)


def _suction(airway: Episode | None, stations: Stations, t: float) -> SuctionMoment:
    side = stations.airway_side
    if airway is None or airway.kind not in TUBE_HELD | {Airway.TUBE_BESIDE}:
        return SuctionMoment(
            tip=np.array([-4.0, 25.5 * side, 1.2]), way=_unit(-1, 0.1 * side, 0.0), effort=0.0, held=False
        )
    if airway.kind is Airway.TUBE_BESIDE:
        tip = stations.mouth + np.array([1.0, side * (9.5 + 2 * airway.variant), 0.0])
        tip[2] = 1.2
        return SuctionMoment(tip=tip, way=_unit(0.5 + airway.variant, side, 0.0), effort=0.0, held=False)
    spread = 0.2 + 0.9 * airway.variant
    angle = 2 * pi * _clock(airway, t)
    along, across = 1.9 * sin(angle), 0.30 * cos(0.6 * angle if airway.kind is not Airway.TUBE_STILL else angle)
    way = _unit(cos(spread + across), side * sin(spread + across), 0.62 + 0.5 * across)
    if airway.kind is Airway.TUBE_STILL:  # at the lips, where a moving one is when it comes out
        along = 0.8 + 0.9 * abs(sin(angle))
    base = stations.mouth + (along - 0.7) * way
    if airway.kind is Airway.TUBE_WAVED:
        base = base + np.array([3.0 - 8 * airway.variant, side * 13.0, 3.0])
    return SuctionMoment(tip=base + _sway(t, airway, 0.12), way=way, effort=_pressed(angle / (2 * pi)), held=True)


def _helper(body: Episode | None, stations: Stations, side: float, t: float) -> HelperMoment | None:
    if body is None or body.kind is Body.NOTHING:
        return None
    stroke = sin(2 * pi * _clock(body, t))
    second = cos(2 * pi * 0.5 * _clock(body, t))
    sway = _sway(t, body, 0.12)
    tilt = 1.2 * (body.variant % 0.5) - 0.3  # of the fingers from straight across
    fingers = _unit(sin(tilt), -side * cos(tilt), 0.0)
    if body.kind is Body.LIMB_RUBBED:  # the leg on the helper's side
        leg = np.array([-15.0, 7.5 * side, 8.6]) * stations.size
        along = _unit(-0.75, -0.25 * side, -0.5)
        return HelperMoment(palm=leg + 2.6 * stroke * along + sway, fingers=_unit(0.35, -side, -0.1), curl=0.2)
    if body.kind is Body.HAND_HOVERING:
        base = np.array([-3.0 + 6 * (body.variant % 0.5), 17.5 * side, 4.5])
        reach = np.array([4.2 * stroke, 1.6 * second, 1.0 * second])
        return HelperMoment(palm=base + reach + sway, fingers=fingers, curl=0.06)
    base = np.array([0.5 - 5 * (body.variant % 0.5), 2.0 * side, 11.2]) * stations.size
    rub = np.array([3.7 * stroke, 1.3 * side * stroke, -0.012 * (3.7 * stroke) ** 2])
    return HelperMoment(palm=base + rub + sway, fingers=fingers, curl=0.085)


def _passer(passing: Passing, t: float) -> PasserMoment:
    done = (t - passing.start_s) / (passing.end_s - passing.start_s)
    along = 2 * done - 1 if passing.forward else 1 - 2 * done
    out, ahead = [((1, 0), (0, 1)), ((-1, 0), (0, 1)), ((0, 1), (1, 0)), ((0, -1), (1, 0))][passing.side]
    near = sin(pi * done)
    distance = 56.0 if passing.side < 2 else 47.0
    at = distance * np.array([*out, 0.0]) + 46.0 * along * np.array([*ahead, 0.0])
    arm = None
    if passing.reach > LEANING_REACH:  # to take something
        arm = np.array([*(at[:2] * (1 - 0.68 * near)), 13.0])
    inward = -np.array([*out, 0.0])
    return PasserMoment(at=at, inward=inward, lean=0.8 * passing.reach * near, arm=arm)
