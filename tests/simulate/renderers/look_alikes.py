"""Scenarios of one episode each, and the pairs of an activity and what shows the same things without its motion."""

from nrray.simulate.scenario import Airway, Body, Episode, Passing, Scenario

MOVING_AND_STILL = [
    ({"airway": Airway.VENTILATION}, {"airway": Airway.MASK_STILL}),
    ({"airway": Airway.BAG_TESTED}, {"airway": Airway.MASK_BESIDE}),
    ({"airway": Airway.SUCTION}, {"airway": Airway.TUBE_STILL}),
    ({"airway": Airway.TUBE_WAVED}, {"airway": Airway.TUBE_BESIDE}),
    ({"body": Body.STIMULATION}, {"body": Body.HAND_RESTING}),
    ({"body": Body.LIMB_RUBBED}, {}),
    ({"body": Body.HAND_HOVERING}, {}),
]
PASSINGS = tuple(
    Passing(start_s=8.0 * side, end_s=8.0 * side + 4.0, side=side, reach=reach, forward=side % 2 == 0)
    for side, reach in enumerate((0.6, 0.9, 1.0, 0.7))
)


def scenario_of(
    airway: Airway = Airway.NOTHING,
    body: Body = Body.NOTHING,
    *,
    phase: float = 0.3,
    variant: float = 0.4,
    passings: tuple[Passing, ...] = (),
) -> Scenario:
    """One episode of each track, from 2 s on."""
    episode = {"start_s": 2.0, "end_s": 40.0, "rate_hz": 1.0, "phase": phase, "variant": variant}
    return Scenario(
        arrival_s=0.0,
        departure_s=40.0,
        airway=(Episode(kind=airway, **episode),),
        body=(Episode(kind=body, **episode),),
        passings=passings,
    )
