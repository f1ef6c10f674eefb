"""Devices at the face: mask with self-inflating bag or T-piece, suction by catheter or bulb."""

import numpy as np
from numpy.typing import NDArray

from nrray.simulate.renderers.textured.choreography import MaskMoment, SuctionMoment, Vector
from nrray.simulate.renderers.textured.geometry import (
    Matrix,
    Mesh,
    aimed,
    merged,
    moved,
    scale,
    shift,
    smooth_path,
    swept,
    turned,
    unit,
)
from nrray.simulate.renderers.textured.look import Look
from nrray.simulate.renderers.textured.stage import Finish, Piece, Stage
from nrray.simulate.renderers.textured.textures import Noise, shades

_CLEAR = Finish(ambient=0.3, diffuse=0.6, gloss=0.8, polish=45, opacity=0.62)
_PLASTIC = Finish(ambient=0.28, diffuse=0.7, gloss=0.55, polish=35)
_RUBBER = Finish(ambient=0.28, diffuse=0.75, gloss=0.3, polish=25)
BAG_MIDDLE = 7.2  # cm from the bag's neck
_BAG = ((0, 1.1), (1, 1.4), (1.7, 2.3), (2.6, 3.5), (4.4, 4.5), (7, 4.8), (9.6, 4.4), (11.4, 3.3), (12.2, 2.2), (12.6, 1.9),
        (14.2, 1.9), (14.4, 1.2), (15.6, 1.1), (15.6, 0.02))  # fmt: skip
_MASK = ((1.0, 2.9), (1.6, 2.8), (2.5, 2.2), (3.1, 1.4), (3.4, 1.15), (5.2, 1.15))
_RIM = ((0.0, 2.6), (0.05, 3.1), (0.35, 3.45), (0.8, 3.4), (1.1, 2.95), (0.9, 2.5))
_T_PIECE = (
    (4.6, 1.35),
    (6.0, 1.35),
    (6.2, 1.0),
    (7.6, 1.0),
    (7.7, 1.5),
    (8.5, 1.5),
    (8.6, 1.2),
    (8.6, 0.35),
    (8.2, 0.3),
)
T_TOP = 8.6
_BULB = (
    (-1.2, 0.05),
    (-1.0, 0.9),
    (0, 2.0),
    (1.4, 2.6),
    (2.8, 2.5),
    (4.0, 1.8),
    (4.8, 1.0),
    (6.4, 0.6),
    (9.4, 0.3),
    (9.5, 0.02),
)
BULB_BEHIND = 9.0  # cm from the tip to the middle of the bulb
CATHETER_BEHIND = 10.0  # cm from the tip to the fingers


class Hose:
    """A tube whose ends move: few points, swept anew."""

    def __init__(
        self, stage: Stage, colour: tuple[int, int, int], radius: float, finish: Finish, *, num_points: int = 22
    ) -> None:
        self._radius, self._num_points = radius, num_points
        first = swept(smooth_path([(0, 0, 0), (1, 0, 0), (2, 1, 0)], num_points), radius, 7)
        self._piece: Piece = stage.add(first.coloured(np.asarray(colour, np.uint8)), finish)

    def lay(self, *corners: Vector | tuple[float, float, float]) -> None:
        """Through these corners."""
        mesh = swept(smooth_path(corners, self._num_points), self._radius, 7)
        self._piece.reshape(mesh.points, mesh.normals)


class Ventilator:
    """The mask and what blows: bag or T-piece."""

    def __init__(self, stage: Stage, look: Look, noise: Noise, proportions: tuple[float, float, float]) -> None:
        long, wide, oval = proportions
        self._t_piece, self._side = look.has_t_piece, look.airway_side
        self._oval = scale(1, 1 / np.sqrt(oval), np.sqrt(oval))
        rim = turned(_RIM, 22)
        self._rim = stage.add(rim.coloured(shades(look.clear, np.array([-0.12]))), _RUBBER)
        self._joint: Hose | None = None
        if look.has_t_piece:
            body = turned(_T_PIECE, 18).coloured(shades((225, 232, 236), np.array([-0.05])))
            arm = swept([(5.3, 0, 0), (5.3, 0, 2.6), (5.3, 0, 3.6)], [0.8, 0.8, 0.7], 10).coloured(
                np.array([90, 140, 190], np.uint8)
            )
            ring = moved(turned(((7.7, 1.6), (8.1, 1.62), (8.3, 1.55)), 18), np.eye(4))
            self._blower = stage.add(merged(body, arm, ring.coloured(np.array([60, 110, 60], np.uint8))), _RUBBER)
            self._bag: Mesh | None = None
        else:
            bag = turned(np.asarray(_BAG) * (long, wide), 22)
            ribs = 0.08 * np.sin(bag.points[:, 0] * 5) * (np.abs(bag.points[:, 0] - BAG_MIDDLE) < 4)
            tone = shades(look.plastic, ribs + 0.04 * noise.at(bag.points, 2.0))
            ends = (bag.points[:, 0] < 1.6) | (bag.points[:, 0] > 12.1 * long)
            self._bag = bag.coloured(np.where(ends[:, None], np.array([228, 230, 232]), tone))
            self._blower = stage.add(self._bag, _PLASTIC)
            self._joint = Hose(stage, (215, 225, 230), 1.25, _RUBBER, num_points=9)
        self._mask = stage.add(turned(_MASK, 26).coloured(np.asarray(look.clear, np.uint8)), _CLEAR)
        self._gas = Hose(stage, (150, 205, 160) if look.has_t_piece else (170, 215, 205), 0.6, _RUBBER)
        self._effort = -1.0

    def pose(self, moment: MaskMoment) -> Matrix:
        """Place it; returns the place of the bag (x along it) or of the T-piece (x out of the face)."""
        mask = aimed(moment.at, moment.axis, moment.way)
        self._rim.place(mask @ self._oval)
        self._mask.place(mask @ self._oval)
        source = np.array([52.0, 30.0 * self._side, 4.0])
        if self._bag is None:
            self._blower.place(mask)
            start = mask[:3, 3] + 5.3 * moment.axis
            out = mask[:3, 2]
            self._gas.lay(start + 3.2 * out, start + 8 * out, start + 17 * out + (0, 0, -6), source)
            return mask
        neck = moment.at + 5.6 * moment.axis + 1.8 * moment.way
        if not moment.held:  # lies on the table
            neck = moment.at + (2.6, -1.5 * self._side, 3.0)
        place = aimed(neck, moment.way, (0, 0, 1))
        assert self._joint is not None
        self._joint.lay(
            moment.at + 3.6 * moment.axis, moment.at + 5.4 * moment.axis + 0.3 * moment.way, neck + 0.5 * moment.way
        )
        self._blower.place(place)
        if moment.effort != self._effort:
            self._blower.reshape(_squeezed(self._bag, moment.effort), self._bag.normals)
            self._effort = moment.effort
        end = neck + 15.2 * moment.way
        self._gas.lay(end, end + 6 * moment.way + (0, 0, -2), 0.5 * (end + source) + (0, 0, -4), source)
        return place


def _squeezed(bag: Mesh, effort: float) -> NDArray[np.float32]:
    share = effort * np.exp(-(((bag.points[:, 0] - BAG_MIDDLE) / 3.8) ** 2))
    shrunk = np.stack([np.ones_like(share), 1 - 0.66 * share, 1 - 0.36 * share], axis=1)
    return np.asarray(bag.points * shrunk, np.float32)


class Sucker:
    """The catheter with its hose, or the bulb."""

    def __init__(self, stage: Stage, look: Look, tube_width: float) -> None:
        self._side, self._is_bulb = look.airway_side, look.has_bulb
        if look.has_bulb:
            self._shape = turned(_BULB, 18)
            blue = np.asarray(look.rubber, np.float32) * 0.5 + np.array([30, 70, 110])
            self._tool = stage.add(self._shape.coloured(np.asarray(blue, np.uint8)), _RUBBER)
            self._hose: Hose | None = None
        else:
            radius = 0.11 * tube_width
            stiff = swept([(0, 0, 0), (5, 0, 0.1), (9, 0, 0), (12, 0, 0)], [0.8 * radius, radius, radius, radius], 9)
            handle = turned(((8.2, 0.02), (8.3, 0.7), (11.6, 0.85), (13.2, 0.6), (13.3, 0.02)), 12)
            dark = np.array([40, 120, 150], np.uint8)
            self._tool = stage.add(
                merged(stiff.coloured(np.asarray(look.rubber, np.uint8)), handle.coloured(dark)), _RUBBER
            )
            self._hose = Hose(stage, look.rubber, 1.25 * radius, _RUBBER, num_points=26)

    def pose(self, moment: SuctionMoment) -> None:
        """Place it; the tip is local x = 0 of the catheter."""
        if self._is_bulb:
            press = scale(1, 1 - 0.35 * moment.effort, 1 - 0.15 * moment.effort)
            tip = aimed(moment.tip + (0, 0, 0.9 if not moment.held else 0), -moment.way, (0, 0, 1))
            self._tool.place(tip @ press @ shift(-9.5, 0, 0))
            return
        self._tool.place(aimed(moment.tip, moment.way, (0, 0, 1)))
        assert self._hose is not None
        end = moment.tip + 13 * moment.way
        low = end + 8 * unit((moment.way[0], moment.way[1], -0.5))
        sink = np.array([-8.0, 50.0 * self._side, 0.5])
        turnback = np.array([0.5 * (low[0] + sink[0]) + 3, 31.0 * self._side, 2.0])
        self._hose.lay(end, np.array([low[0], low[1], max(low[2], 2.0)]), turnback, sink)
