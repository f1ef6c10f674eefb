"""The thermal scene of one camera: bodies of an instant, cast into the surroundings, coloured as its palette says."""

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.simulate.case import SimulatedCase
from nrray.simulate.renderers.thermal.casting import Array, Bodies, Plate, cast
from nrray.simulate.renderers.thermal.choreography import Moment, moment_at
from nrray.simulate.renderers.thermal.equipment import airway_bodies
from nrray.simulate.renderers.thermal.looks import drawn_looks, drawn_sensor
from nrray.simulate.renderers.thermal.newborn import lie_of, newborn_bodies
from nrray.simulate.renderers.thermal.palettes import palette_table
from nrray.simulate.renderers.thermal.people import carrier_bodies, helper_bodies, passer_bodies
from nrray.simulate.renderers.thermal.surroundings import surroundings_of


class ThermalScene:
    """The pictures of one camera of a case, cast on the grid of its sensor and enlarged."""

    def __init__(self, case: SimulatedCase, camera_index: int) -> None:
        seed = case.appearance.texture_seed
        self._scenario = case.scenario
        self._size = (case.config.width_px, case.config.height_px)
        self._looks = drawn_looks(case.family, seed)
        self._sensor = drawn_sensor(case.family, [seed, 1 + camera_index], self._looks, self._size)
        self._surroundings = surroundings_of(self._looks, self._sensor.eye)
        self._pattern = self._fixed_pattern(np.random.default_rng([seed, camera_index, 3]))
        self._colours = palette_table(self._looks.palette)

    def picture(self, case_s: float) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB at `case_s` seconds of the case."""
        plate = self._without_passers(case_s)
        passers = self._passers(case_s)
        cast(passers, self._sensor.eye, plate, self._looks.floor)
        eye, looks = self._sensor.eye, self._looks
        share = (plate.heat + self._pattern - looks.coldest) * (1 / (looks.hottest - looks.coldest))
        level = np.power(np.clip(share, 0, 1), looks.gamma, dtype=np.float32).reshape(eye.height, eye.width)
        enlarged = cv2.resize(
            level * 255, self._size, interpolation=cv2.INTER_LINEAR if self._sensor.is_smooth else cv2.INTER_NEAREST
        )
        return np.asarray(self._colours[enlarged.astype(np.uint8)])

    def passers_share(self, case_s: float) -> float:
        """Share in [0, 1] of the picture that people who pass or lean over the table cover."""
        passers = self._passers(case_s)
        if not passers.capsules:
            return 0.0
        plate = self._without_passers(case_s)
        before = plate.depth.copy()
        cast(passers, self._sensor.eye, plate, self._looks.floor)
        return float((plate.depth < before).mean())

    def close(self) -> None:
        """Nothing is held outside Python's memory."""

    def _passers(self, case_s: float) -> Bodies:
        bodies = Bodies()
        passer_bodies(bodies, self._looks, self._sensor, self._scenario.passings, case_s)
        return bodies

    def _without_passers(self, case_s: float) -> Plate:
        moment = moment_at(self._scenario, case_s)
        plate = self._surroundings.plate.copy()
        if moment.print > 0:
            plate.heat += np.float32(moment.print) * self._surroundings.warmed
        cast(self._bodies(moment), self._sensor.eye, plate, self._looks.floor)
        return plate

    def _bodies(self, moment: Moment) -> Bodies:
        bodies, looks = Bodies(), self._looks
        lie = lie_of(looks, carried=moment.carried if moment.is_present else 0.0)
        if moment.is_present:
            newborn_bodies(bodies, looks, lie, lift=moment.lift, stir=moment.stir)
            if moment.carried > 0:
                carrier_bodies(bodies, looks, lie)
        airway_bodies(bodies, looks, lie, moment.airway)
        helper_bodies(bodies, looks, lie, moment.body)
        return bodies

    def _fixed_pattern(self, random: np.random.Generator) -> Array:
        """(H * W,) degrees by which each detector errs, and each column's amplifier."""
        eye, sensor = self._sensor.eye, self._sensor
        single = random.normal(0, sensor.unevenness, (eye.height, eye.width))
        column = random.normal(0, sensor.column_unevenness, (1, eye.width))
        return (single + column).astype(np.float32).ravel()
