"""The textured renderer: the case's choreography on a VTK stage, before one camera."""

from math import asin, cos, radians, sin, tan

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.simulate.case import SimulatedCase
from nrray.simulate.renderers.textured.choreography import Moment, moment_at
from nrray.simulate.renderers.textured.equipment import Sucker, Ventilator
from nrray.simulate.renderers.textured.geometry import Image, Matrix, applied, unit
from nrray.simulate.renderers.textured.look import drawn_look, stations_of
from nrray.simulate.renderers.textured.newborn import HEAD, NewbornBody
from nrray.simulate.renderers.textured.people import People
from nrray.simulate.renderers.textured.room import Room
from nrray.simulate.renderers.textured.stage import Stage
from nrray.simulate.renderers.textured.textures import Noise

_SAMPLES = 120_000  # small pictures are drawn finer and shrunk, as far as 20 frames/s allow: smooth edges
VIEW_CM = 57.0  # of the smaller side of a picture, at zoom 1
_BODY_BALLS = ((*HEAD, 5.4), (4.0, 0, 4.5, 5.8), (-2.0, 0, 4.5, 5.6), (-8.0, 0, 4.2, 4.6), (4.0, 9, 3, 3), (4.0, -9, 3, 3),
               (-14.0, 7, 4, 3), (-14.0, -7, 4, 3), (-19.0, 6, 2, 2.2), (-19.0, -6, 2, 2.2))  # fmt: skip


class TexturedScene:
    """The pictures of one camera of a case. Raises ConfigError where nothing draws OpenGL without a display."""

    def __init__(self, case: SimulatedCase, camera_index: int) -> None:
        self._case, self._view = case, case.cameras[camera_index].view
        appearance, look = case.appearance, drawn_look(case.appearance)
        self._stations = stations_of(look, stays=case.scenario.departure_s >= case.config.case_seconds)
        self._size = (case.config.width_px, case.config.height_px)
        finer = min(max((_SAMPLES / (self._size[0] * self._size[1])) ** 0.5, 1.0), 2.0)
        self._stage = Stage((round(finer * self._size[0]), round(finer * self._size[1])))
        noise = Noise([appearance.texture_seed, 3])
        self._aim(look.turn, camera_index)
        self._stage.background((look.wall[0] / 300, look.wall[1] / 300, look.wall[2] / 300))
        self._stage.lamp(look.lamp, look.light, look.key)
        self._stage.lamp((-look.lamp[0], -look.lamp[1] - 30, 80), (0.9, 0.95, 1.0), 0.22)
        # Near things first, so that what they hide costs nothing; the clear mask after the shadows that it stands on.
        self._people = People(self._stage, look, noise, unit((self._away[0], self._away[1], 0)))
        self._newborn = NewbornBody(self._stage, look.newborn, noise)
        self._room = Room(self._stage, look, appearance, noise)
        self._sucker = Sucker(self._stage, look, appearance.tube_width)
        proportions = (appearance.bag_length, appearance.bag_width, appearance.mask_length)
        self._ventilator = Ventilator(self._stage, look, noise, proportions)

    def _aim(self, around: float, camera_index: int) -> None:
        """Where the camera stands, from the view and, for what the view leaves open, from the case's texture seed."""
        view = self._view
        random = np.random.default_rng([self._case.appearance.texture_seed, camera_index, 0xCA3])
        turn = around + radians(view.turn_degrees) + (random.uniform(0.8, 5.4) if camera_index else 0.0)
        rise = asin(min(max(view.squash, 0.66), 0.995))
        width, height = self._size
        extent = VIEW_CM / view.zoom * height / min(width, height)
        self._angle = float(random.uniform(20, 40))
        distance = extent / (2 * tan(radians(self._angle) / 2))
        self._away = np.array([cos(turn) * cos(rise), sin(turn) * cos(rise), sin(rise)])
        right = np.array([-sin(turn), cos(turn), 0.0])
        per_px = extent / 240
        self._target = np.array([9.0, 0.0, 5.5]) + per_px * (
            view.shift_x * right + view.shift_y * np.array([cos(turn), sin(turn), 0.0])
        )
        self._eye = self._target + distance * self._away
        roll = view.shear
        self._up = np.array([-cos(turn), -sin(turn), 0.35]) + roll * right
        self._right, self._per_px = right, per_px

    def _pose(self, case_s: float, moment: Moment) -> None:
        view, per_px = self._view, self._per_px
        shake_x = view.shake_px * sin(2.3 * case_s + view.shake_phase) * cos(0.7 * case_s)
        shake_y = view.shake_px * sin(1.9 * case_s + 3 * view.shake_phase)
        shake = per_px * (shake_x * self._right + shake_y * np.cross(self._away, self._right))
        self._stage.look(self._eye + 0.6 * shake, self._target + shake, self._up, angle=self._angle)
        place = self._newborn.pose(moment.newborn)
        device = self._ventilator.pose(moment.mask)
        self._sucker.pose(moment.suction)
        balls = [self._people.pose(moment, device), np.array([[*moment.mask.at, 3.2]])]
        if place is not None:
            balls.append(_placed(place, np.array(_BODY_BALLS)))
        if not self._stations.has_t_piece:
            balls.append(np.array([[*applied(device, (x, 0, 0)), 4.3] for x in (4.5, 9.5)]))
        self._room.pose(case_s, np.concatenate(balls))

    def picture(self, case_s: float) -> Image:
        """(H, W, 3) uint8 RGB at `case_s` seconds of the case."""
        self._pose(case_s, moment_at(self._case.scenario, self._stations, case_s))
        picture = self._stage.picture()
        if picture.shape[1::-1] != self._size:
            picture = np.asarray(cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        return np.ascontiguousarray(picture[:, ::-1]) if self._view.mirrored else picture

    def passers_share(self, case_s: float) -> float:
        """Share in [0, 1] of the picture that people who pass or lean over the table cover: where depths change without
        them."""
        moment = moment_at(self._case.scenario, self._stations, case_s)
        if not moment.passers:
            return 0.0
        self._pose(case_s, moment)
        depth = self._stage.depth()
        self._people.hide_passers()
        return float((self._stage.depth() != depth).mean())

    def close(self) -> None:
        """Free the window."""
        self._stage.close()


def _placed(place: Matrix, balls: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) balls under a matrix."""
    return np.concatenate([balls[:, :3] @ place[:3, :3].T + place[:3, 3], balls[:, 3:]], axis=1)
