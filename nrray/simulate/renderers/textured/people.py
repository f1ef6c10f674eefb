"""Caregivers' arms and bodies, and people who pass."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from nrray.simulate.appearance import Colour
from nrray.simulate.renderers.textured.choreography import Moment, PasserMoment, Vector
from nrray.simulate.renderers.textured.equipment import BAG_MIDDLE, BULB_BEHIND, CATHETER_BEHIND, T_TOP
from nrray.simulate.renderers.textured.geometry import (
    Matrix,
    Mesh,
    Points,
    Values,
    aimed,
    blend,
    capsule,
    ellipsoid,
    shift,
    solid,
    turn,
    unit,
)
from nrray.simulate.renderers.textured.hands import Arm, HandLook, straight_hand
from nrray.simulate.renderers.textured.look import Look
from nrray.simulate.renderers.textured.stage import Finish, Stage
from nrray.simulate.renderers.textured.textures import Noise, shades, skin

_CLOTH = Finish(ambient=0.28, diffuse=0.78, gloss=0.0)
_UP = np.array([0.0, 0.0, 1.0])


def _torso(p: Points) -> Values:
    parts = [
        capsule(p, (0, -14, 27), (0, 14, 27), 7.0, 7.0),
        ellipsoid(p, (0, 0, 6), (10, 16, 28)),
        capsule(p, (1, 0, 30), (3, 0, 42), 5.5, 5.0),
        ellipsoid(p, (4, 0, 48), (9.5, 7.6, 11)),
    ]
    return blend(parts, 0.9)


@cache
def torso() -> Mesh:
    """Somebody from the hip up."""
    return solid(_torso, (-12, -23, -24), (15, 23, 61), 2.6)


class Figure:
    """A body at the table in scrubs with a cap; x looks at the table, z = 0 is the hip."""

    def __init__(self, stage: Stage, mesh: Mesh, cloth: Colour, tone: Colour, noise: Noise) -> None:
        folds = noise.at(mesh.points * np.array([1, 1, 0.5], np.float32), 6.0, 3)
        colours = shades(cloth, 0.2 * folds + 0.05 * noise.at(mesh.points, 1.0))
        bare = skin(mesh.points, tone, noise, blotches=0.3)
        colours = np.where((mesh.points[:, 2] > 36)[:, None], bare, colours)
        cap = shades(cloth, 0.15 * noise.at(mesh.points, 2.0) - 0.1)
        on_top = mesh.points[:, 2] - 0.5 * mesh.points[:, 0] > 49
        self._piece = stage.add(mesh.coloured(np.where(on_top[:, None], cap, colours)), _CLOTH)

    def place(self, matrix: Matrix) -> None:
        """Stand it somewhere."""
        self._piece.show(True)
        self._piece.place(matrix)

    def hide(self) -> None:
        """It is not there."""
        self._piece.show(False)


class People:
    """Everybody but the newborn."""

    def __init__(self, stage: Stage, look: Look, noise: Noise, camera_from: Vector) -> None:
        hand, figure = straight_hand(), torso()
        self._side, self._t_piece, self._is_bulb = look.airway_side, look.has_t_piece, look.has_bulb
        self._camera_from = camera_from  # unit vector, horizontal
        self._hold = Arm(stage, hand, look.provider, noise, left=look.airway_side > 0)
        self._work = Arm(stage, hand, look.provider, noise, left=look.airway_side < 0)
        self._help = [Arm(stage, hand, look.helper, noise, left=left) for left in (False, True)]
        passer = HandLook(
            colour=look.passer_skin,
            gloved=False,
            forearm=look.passer_skin,
            sleeve=look.passer,
            short_sleeve=True,
            size=0.95,
        )
        self._pass_arm = Arm(stage, hand, passer, noise, left=False)
        self._provider = Figure(stage, figure, look.provider.sleeve, look.provider.forearm, noise)
        self._helper = Figure(stage, figure, look.helper.sleeve, look.helper.forearm, noise)
        self._passers = [Figure(stage, figure, look.passer, look.passer_skin, noise) for _ in range(2)]

    def pose(self, moment: Moment, device: Matrix) -> NDArray[np.float64]:
        """Move everybody; returns (N, 4) balls (centre, radius) about the arms over the table, for their shadows."""
        for arm in (self._hold, self._work, *self._help):
            arm.show(False)
        balls: list[NDArray[np.float64]] = []
        if moment.mask.held:
            balls += self._ventilate(moment, device)
        elif moment.suction.held:
            balls += self._suck(moment)
        self._stand(self._provider, np.array([60.0, 0.0, -14.0]), shown=moment.mask.held or moment.suction.held)
        side = moment.helper_side
        carried = moment.newborn is not None and moment.newborn.carried
        if carried:
            balls += self._carry(moment)
            side = -self._side
        elif moment.helper is not None:
            balls += self._rub(moment)
        self._stand(self._helper, np.array([-4.0, 56.0 * side, -14.0]), shown=carried or moment.helper is not None)
        self._pass(moment.passers)
        return np.array(balls).reshape(-1, 4)

    def _stand(self, figure: Figure, at: Vector, *, shown: bool) -> None:
        """Beside the table, unless that would be in front of the camera."""
        inward = -unit((at[0], at[1], 0))
        if not shown or float(-inward @ self._camera_from) > 0.2:
            figure.hide()
            return
        figure.place(aimed(at, inward, _UP) @ turn((0, 1, 0), 0.15))

    def _ventilate(self, moment: Moment, device: Matrix) -> list[NDArray[np.float64]]:
        side, mask = self._side, moment.mask
        across = np.array([0.0, side, 0.0])
        palm = mask.at + 3.4 * mask.axis + (4.8, -3.7 * side, 0.4)
        elbow = np.array([44.0, -19.0 * side, 21.0])
        self._hold.reach(
            palm,
            (-0.85, 0.42 * side, -0.32),
            0.75 * _UP - 0.6 * across,
            elbow,
            (60, -17 * side, 26),
            curl=0.13,
            thumb=0.25,
        )
        shoulder = np.array([60.0, 17.0 * side, 26.0])
        if self._t_piece:
            top = device[:3, 3] + T_TOP * device[:3, 0]
            open_ = 1 - mask.effort
            at = top + (1.7, 2.2 * side, -4.4) + open_ * np.array([1.7, 1.3 * side, 0.9])
            self._work.reach(
                at, (-1.0, -0.15 * side, -0.1), (0.1, side, 0.35), (43, 21 * side, 19), shoulder,
                curl=0.27, thumb=-0.12 + 1.15 * open_,
            )  # fmt: skip
        else:
            along, upward = device[:3, 0], device[:3, 2]
            beside = np.cross(upward, along)
            beside = beside * np.sign(beside @ across + 1e-9)
            radius = 5.2 - 2.6 * mask.effort
            out = unit(0.6 * beside + 0.8 * upward)
            over = unit(np.cross(np.cross(out, -beside + 0.2 * along), out))
            at = device[:3, 3] + (BAG_MIDDLE + 0.4) * along + radius * out
            self._work.reach(
                at, over, out, at + (24, 12 * side, 4), shoulder, curl=0.15 + 0.17 * mask.effort, thumb=-0.3
            )
        return [*_along(palm, elbow), *_along(at, at + (24, 12 * side, 4)), np.array([*at, 5.0])]

    def _suck(self, moment: Moment) -> list[NDArray[np.float64]]:
        side, tool = self._side, moment.suction
        behind = BULB_BEHIND if self._is_bulb else CATHETER_BEHIND
        grip = tool.tip + behind * tool.way
        fingers = unit(-tool.way + 0.75 * np.cross(tool.way, _UP) * -side)
        back = unit(_UP + 0.5 * tool.way)
        curl = 0.24 + 0.07 * tool.effort if self._is_bulb else 0.2
        at = grip + (2.2 * back - 2.2 * fingers if self._is_bulb else 1.2 * back - 5.6 * fingers)
        elbow = at + 24 * unit(tool.way * (1, 1, 0.2) + np.array([0.8, 0.0, 0.25]))
        self._work.reach(at, fingers, back, elbow, (60, 17 * side, 26), curl=curl, thumb=-0.35)
        return _along(at, elbow)

    def _rub(self, moment: Moment) -> list[NDArray[np.float64]]:
        helper = moment.helper
        assert helper is not None
        side = moment.helper_side
        elbow = helper.palm * (0.8, 0.5, 1.0) + np.array([-3.0, 27.0 * side, 9.0])
        self._help[0 if side > 0 else 1].reach(
            helper.palm,
            helper.fingers,
            (0.0, 0.25 * side, 1.0),
            elbow,
            (6, 52 * side, 26),
            curl=helper.curl,
            thumb=0.15,
        )
        return _along(helper.palm, elbow)

    def _carry(self, moment: Moment) -> list[NDArray[np.float64]]:
        newborn = moment.newborn
        assert newborn is not None
        side = -self._side
        balls: list[NDArray[np.float64]] = []
        for arm, x in zip(self._help, (11.0, -8.0), strict=True):
            palm = newborn.shift + (x, 5.4 * side, 3.0)
            elbow = palm + (2.0 * np.sign(x), 26.0 * side, 5.0)
            arm.reach(palm, (0.1, -side, -0.15), (0.0, 0.9 * side, 0.6), elbow, palm + (0, 46 * side, 22), curl=0.09)
            balls += _along(palm, elbow)
        return balls

    def hide_passers(self) -> None:
        """Nobody passes."""
        self._pass_arm.show(False)
        for figure in self._passers:
            figure.hide()

    def _pass(self, passers: tuple[PasserMoment, ...]) -> None:
        self.hide_passers()
        for figure, passer in zip(self._passers, passers, strict=False):
            lean = turn((0, 1, 0), passer.lean)
            place = aimed(passer.at + (0, 0, -12), passer.inward, _UP) @ lean
            figure.place(place)
            if passer.arm is not None:
                shoulder = (place @ shift(0, -14, 27))[:3, 3]
                reach = unit(passer.arm - shoulder)
                elbow = passer.arm - 26 * unit(reach * (1, 1, 0.6))
                self._pass_arm.reach(passer.arm, reach * (1, 1, 0.3), _UP, elbow, shoulder, curl=0.1)


def _along(palm: Vector, elbow: Vector) -> list[NDArray[np.float64]]:
    """Balls from a palm to an elbow."""
    return [np.array([*(palm + (elbow - palm) * share), 4.2 + share]) for share in np.linspace(0, 1, 7)]
