"""What everybody does at one instant of a case: a pure function of the scenario and time, without geometry.

A look-alike without motion stands at one point of the very path that the activity takes, drawn by its episode's phase, so
that no single picture tells the two apart.
"""

from dataclasses import dataclass
from math import cos, exp, pi, sin

from nrray.simulate.scenario import CARRY_SECONDS, Airway, Body, Episode, Scenario, episode_at

_WARMING_SECONDS, _COOLING_SECONDS = 25.0, 18.0  # of the cloth below the newborn


@dataclass(frozen=True, kw_only=True)
class Act:
    """One track at one instant."""

    kind: Airway | Body
    variant: float
    squeeze: float = 0.0  # 0 full to 1 empty: of bag or bulb, or how far the thumb covers the hole
    along: float = 0.0  # -1 to 1: a stroke
    across: float = 0.0  # -1 to 1
    sway: float = 0.0  # -1 to 1: hands are never quite still


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The whole case at one instant. `carried` is 1 at the edge of the table and 0 on it."""

    is_present: bool
    carried: float
    lift: float  # of the chest, 0 to 1
    stir: tuple[float, float]  # of the limbs, each -1 to 1
    airway: Act
    body: Act
    print: float  # how warm the cloth is where the newborn lies or lay, 0 to 1


def moment_at(scenario: Scenario, t: float) -> Moment:
    """The case at `t` seconds of its clock."""
    airway = _airway(episode_at(scenario.airway, t), t)
    is_inflated = airway.kind in (Airway.VENTILATION, Airway.MASK_STILL)
    return Moment(
        is_present=scenario.arrival_s <= t < scenario.departure_s,
        carried=_carried(scenario, t),
        lift=airway.squeeze if is_inflated else 0.0,
        stir=(sin(0.61 * t + 0.4), sin(0.43 * t + 2.0)),
        airway=airway,
        body=_body(episode_at(scenario.body, t), t),
        print=_print(scenario, t),
    )


def _turns(episode: Episode, t: float, *, moves: bool) -> float:
    """How many cycles of its motion an episode has gone through, of a hand that keeps no perfect beat."""
    before = int(100 * episode.variant) + episode.phase / (2 * pi)  # whole cycles shift what does not repeat with them
    if not moves:
        return before
    return before + episode.rate_hz * (t - episode.start_s) + 0.05 * sin(0.35 * t + episode.phase)


def _airway(episode: Episode | None, t: float) -> Act:
    if episode is None:
        return Act(kind=Airway.NOTHING, variant=0.0)
    moves = episode.kind in (Airway.VENTILATION, Airway.BAG_TESTED, Airway.SUCTION, Airway.TUBE_WAVED)
    turns = _turns(episode, t, moves=moves)
    is_tube = episode.kind in (Airway.SUCTION, Airway.TUBE_STILL, Airway.TUBE_WAVED)
    return Act(
        kind=episode.kind,
        variant=episode.variant,
        squeeze=0.5 - 0.5 * cos(2 * pi * turns) if is_tube else _breath(turns),
        along=sin(2 * pi * turns),
        across=cos(1.26 * pi * turns),
        sway=sin(0.9 * t + 6 * episode.variant),
    )


def _breath(turns: float) -> float:
    """Quick in, a short hold, slower out, a pause."""
    share = turns % 1.0
    if share < 0.18:
        return _eased(share / 0.18)
    if share < 0.34:
        return 1.0
    return 1 - _eased((share - 0.34) / 0.32) if share < 0.66 else 0.0


def _eased(x: float) -> float:
    return x * x * (3 - 2 * x)


def _body(episode: Episode | None, t: float) -> Act:
    if episode is None:
        return Act(kind=Body.NOTHING, variant=0.0)
    moves = episode.kind in (Body.STIMULATION, Body.LIMB_RUBBED, Body.HAND_HOVERING)
    turns = _turns(episode, t, moves=moves)
    return Act(
        kind=episode.kind,
        variant=episode.variant,
        along=sin(2 * pi * turns),
        across=sin(1.1 * pi * turns),
        sway=sin(0.7 * t + 6 * episode.variant),
    )


def _carried(scenario: Scenario, t: float) -> float:
    brought = 1 - (t - scenario.arrival_s) / CARRY_SECONDS
    taken = 0.0
    if all(episode.end_s <= scenario.departure_s - CARRY_SECONDS / 2 for episode in scenario.airway):
        taken = 1 - (scenario.departure_s - t) / CARRY_SECONDS
    return min(max(brought, taken, 0.0), 1.0)


def _print(scenario: Scenario, t: float) -> float:
    lain_s = min(t, scenario.departure_s) - scenario.arrival_s - CARRY_SECONDS
    if lain_s <= 0:
        return 0.0
    cooled_s = max(t - scenario.departure_s, 0.0)
    return (1 - exp(-lain_s / _WARMING_SECONDS)) * exp(-cooled_s / _COOLING_SECONDS)
