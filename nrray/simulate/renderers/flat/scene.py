"""The flat renderer: shapes of one colour each, from above, through an affine camera."""

from dataclasses import replace
from math import sin

import cv2
import numpy as np

from nrray.simulate.appearance import Appearance, View
from nrray.simulate.case import SimulatedCase
from nrray.simulate.pose import Point, pose_at
from nrray.simulate.renderers.flat.shapes import Brush, Matrix, Picture, draw_passer, draw_pose, shaded

CANVAS = (320, 240)


class FlatScene:
    """The pictures of one camera of a case, drawn on a canvas of `CANVAS` pixels."""

    def __init__(self, case: SimulatedCase, camera_index: int) -> None:
        self._case = case
        self._view = case.cameras[camera_index].view
        self._size = (case.config.width_px, case.config.height_px)
        self._matrix = view_matrix(self._view, self._size)
        ground = _ground(case.appearance, np.random.default_rng(case.appearance.texture_seed))
        self._ground: Picture = np.asarray(
            cv2.warpAffine(ground, self._matrix, self._size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            np.uint8,
        )

    def picture(self, case_s: float) -> Picture:
        """(H, W, 3) uint8 RGB at `case_s` seconds of the case."""
        view = self._view
        matrix = self._matrix.copy()
        matrix[0, 2] += view.shake_px * sin(2.1 * case_s + view.shake_phase) * sin(0.6 * case_s)
        matrix[1, 2] += view.shake_px * sin(1.7 * case_s + 2 * view.shake_phase)
        picture: Picture = self._ground.copy()
        appearance = self._case.appearance
        draw_pose(Brush(picture, matrix), pose_at(self._case.scenario, appearance, case_s), appearance)
        return picture

    def passers_share(self, case_s: float) -> float:
        """Share in [0, 1] of the picture that people who pass or lean over the table cover."""
        passers = pose_at(self._case.scenario, self._case.appearance, case_s).passers
        if not passers:
            return 0.0
        width, height = self._size
        picture: Picture = np.zeros((height // 4, width // 4, 3), np.uint8)
        brush = Brush(picture, self._matrix / 4)
        white = replace(self._case.appearance, passer=(255, 255, 255), helper_glove=(255, 255, 255))
        for passer in passers:
            draw_passer(brush, passer, white)
        brush.flush()
        return float((picture[..., 0] > 127).mean())

    def close(self) -> None:
        """Nothing is held."""


def view_matrix(view: View, size: tuple[int, int]) -> Matrix:
    """(2, 3) canvas to picture: turned, squashed and zoomed about the newborn, mirrored for some cameras."""
    width, height = size
    scale = min(width / CANVAS[0], height / CANVAS[1]) * view.zoom
    angle = np.deg2rad(view.turn_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, view.shear], [0, 1]]
    linear = np.diag([-scale if view.mirrored else scale, scale * view.squash]) @ turn
    centre = np.array([CANVAS[0] / 2, CANVAS[1] / 2])
    target = np.array([width / 2 + view.shift_x, height / 2 + view.shift_y])
    return np.concatenate([linear, (target - linear @ centre)[:, None]], axis=1)


def _ground(appearance: Appearance, random: np.random.Generator) -> Picture:
    """Floor, table and cloth, with a pattern, folds and grain."""
    picture = np.empty((CANVAS[1], CANVAS[0], 3), np.uint8)
    picture[:] = appearance.floor
    brush = Brush(picture, np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    brush.polygon(_plate(appearance.table_margin, appearance.table_corner), shaded(appearance.cloth, 0.7))
    brush.polygon(_plate(appearance.table_margin + 8, appearance.table_corner), appearance.cloth)
    _pattern(brush, appearance)
    for _ in range(7):  # folds
        x, y = random.uniform(30, 290), random.uniform(36, 208)
        brush.stroke(
            [(x, y), (x + random.uniform(-50, 50), y + random.uniform(-24, 24))],
            random.uniform(1.5, 4),
            shaded(appearance.cloth, random.uniform(0.88, 1.06)),
        )
    brush.flush()
    grain = cv2.GaussianBlur(random.normal(0, 9, picture.shape).astype(np.float32), (0, 0), 1.2)
    ground: Picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    return ground


def _plate(margin: float, corner: float) -> list[Point]:
    """The table's outline, with cut corners."""
    left, top, right, bottom, cut = margin, margin + 4, 320 - margin, 236 - margin, 26 * corner
    upper = [(left + cut, top), (right - cut, top), (right, top + cut), (right, bottom - cut)]
    return [*upper, (right - cut, bottom), (left + cut, bottom), (left, bottom - cut), (left, top + cut)]


def _pattern(brush: Brush, appearance: Appearance) -> None:
    left, top, right, bottom = 46.0, 50.0, 274.0, 190.0
    steps_x = np.arange(left, right, appearance.cloth_step)
    steps_y = np.arange(top, bottom, appearance.cloth_step)
    if appearance.cloth_pattern in (1, 2):
        for x in steps_x:
            brush.stroke([(x, top), (x, bottom)], 2.0, appearance.cloth_mark)
    if appearance.cloth_pattern == 2:
        for y in steps_y:
            brush.stroke([(left, y), (right, y)], 2.0, appearance.cloth_mark)
    if appearance.cloth_pattern == 3:
        for x in steps_x:
            for y in steps_y:
                brush.ellipse((x, y), (2.4, 2.4), appearance.cloth_mark)
