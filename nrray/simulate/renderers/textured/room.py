"""The room around: table and cloth, floor, wall, monitor, trolley, lamp, cables; shadows on the cloth."""

import cv2
import numpy as np
from numpy.typing import NDArray

from nrray.simulate.appearance import Appearance
from nrray.simulate.renderers.textured.geometry import (
    Image,
    Mesh,
    aimed,
    box,
    flat,
    merged,
    smooth_path,
    surface,
    swept,
    turned,
)
from nrray.simulate.renderers.textured.look import Look
from nrray.simulate.renderers.textured.stage import Finish, Stage
from nrray.simulate.renderers.textured.textures import Noise, painted, planks, shades, terrazzo, trace, woven

_MATT = Finish(ambient=0.35, diffuse=0.7, gloss=0.0)
_HARD = Finish(ambient=0.3, diffuse=0.7, gloss=0.3, polish=30)
_CLEAR = Finish(ambient=0.3, diffuse=0.5, gloss=0.9, polish=60, opacity=0.3)
_GLOW = Finish(ambient=1.0, diffuse=0.0, gloss=0.0)
_SHADOW_SIZE = (112, 88)  # pixels
_CURVES = ((90, 230, 110), (90, 200, 240), (240, 220, 90))
_SCREEN_HZ = 10  # a monitor draws no oftener


class Room:
    """Everything that stands still, the monitor's picture and the shadows."""

    def __init__(self, stage: Stage, look: Look, appearance: Appearance, noise: Noise) -> None:
        random = np.random.default_rng([appearance.texture_seed, 0x4007])
        self._half, self._look = look.table_half, look
        self._lamp_slope = np.array(look.lamp[:2]) / look.lamp[2]
        half_x, half_y = look.table_half
        angle = look.wall_side * np.pi / 2
        out, along = np.array([np.cos(angle), np.sin(angle), 0]), np.array([-np.sin(angle), np.cos(angle), 0])
        towel = woven(
            random, appearance.wrap, appearance.cloth_mark, int(random.integers(4)), count=int(random.integers(2, 7))
        )
        stage.add(_towel(random, noise), _MATT, towel)
        cloth = woven(
            random, appearance.cloth, appearance.cloth_mark, appearance.cloth_pattern,
            count=round(140 / appearance.cloth_step),
        )  # fmt: skip
        stage.add(_mattress(half_x, half_y, noise), _MATT, cloth)
        stage.add(self._furniture(random, out, along, noise), _HARD)
        stage.add(self._cables(random), _HARD)
        screen_side = float(random.choice([-1.0, 1.0]))
        at = np.array([half_x - 4.0, screen_side * (half_y + 4), 13.0])
        normal = np.array([-0.55, -0.4 * screen_side, 0.75])
        screen = aimed(at, np.cross((0, 0, 1), normal), normal)
        stage.add(box((0, 0, -1.7), (23, 18, 3)).coloured(np.array([60, 64, 70], np.uint8)), _HARD).place(screen)
        self._screen = stage.add(flat((-9.6, -7, 0.1), (19.2, 0, 0), (0, 14, 0)), _GLOW, trace(0.0, 2.0, _CURVES))
        self._screen.place(screen)
        wood = look.table[0] > 1.25 * look.table[2]
        board = flat(
            (-half_x - 5, -half_y - 5, -3.0), (2 * half_x + 10, 0, 0), (0, 2 * half_y + 10, 0), repeat=(1.5, 1)
        )
        stage.add(board, _HARD, planks(random, look.table) if wood else painted(random, look.table))
        floor = flat((-260, -260, -95), (520, 0, 0), (0, 520, 0), repeat=(9, 9))
        make = planks if random.random() < 0.25 else terrazzo
        stage.add(floor, _MATT, make(random, appearance.floor))
        wall = 105.0 * out
        stage.add(
            flat(wall - 260 * along + (0, 0, -95), 520 * along, (0, 0, 300), repeat=(4, 2)),
            _MATT,
            painted(random, look.wall),
        )
        self._beat_hz = float(random.uniform(1.2, 2.6))
        for side in (-1, 1):  # low walls of clear plastic
            rail = flat((-half_x, side * (half_y + 1), -2), (2 * half_x, 0, 0), (0, 0, 8))
            stage.add(rail.coloured(np.array([205, 225, 235], np.uint8)), _CLEAR)
        veil = surface(
            *np.meshgrid(np.linspace(-half_x, half_x, 2), np.linspace(-half_y, half_y, 2)), np.full((2, 2), 0.7)
        )
        self._veil = stage.add(veil, _GLOW, np.zeros((*_SHADOW_SIZE[::-1], 4), np.uint8))
        self._shown: int | None = None

    def _furniture(
        self, random: np.random.Generator, out: NDArray[np.float64], along: NDArray[np.float64], noise: Noise
    ) -> Mesh:
        half_x, half_y = self._half
        metal, dark = np.array([190, 194, 198], np.uint8), np.array([70, 76, 84], np.uint8)
        tone = np.asarray(self._look.wall, np.uint8)
        parts = [
            box((0, 0, -7.5), (2 * half_x + 12, 2 * half_y + 12, 8)).coloured(np.asarray(self._look.table, np.uint8))
        ]
        parts += [box((sx * half_x, sy * half_y, -50), (5, 5, 84)).coloured(metal) for sx in (-1, 1) for sy in (-1, 1)]
        for k in (-1, 1):
            centre = 82 * out + k * random.uniform(48, 70) * along + (0, 0, -55)
            parts.append(
                box(centre, (38, 38, 80)).coloured(np.asarray(shades(tone, np.array([0.15 * k]))[0], np.uint8))
            )
            parts += [box(centre + (0, 0, z) - 19.5 * out, (10, 10, 3)).coloured(dark) for z in (-20.0, 0.0, 20.0)]
            jar = turned(((0, 0.1), (0, 5), (16, 5), (17, 3.5), (19, 3.5), (19, 0.1)), 16)
            stood = aimed(centre + (4 * k, 0, 40), (0, 0, 1), (1, 0, 0))
            points = jar.points @ stood[:3, :3].T.astype(np.float32) + stood[:3, 3].astype(np.float32)
            bottle = Mesh(
                points=points, triangles=jar.triangles, normals=jar.normals @ stood[:3, :3].T.astype(np.float32)
            )
            parts.append(bottle.coloured(shades((225, 230, 235), 0.1 * noise.at(points, 2.0))))
        rail = swept([tuple(98 * out + s * along + (0, 0, 12.0)) for s in (-120, 0, 120)], 3.0, 8)
        parts.append(rail.coloured(metal))
        for _ in range(3):  # small things at the table's edge: swabs, syringes, a packet
            at = (random.uniform(-half_x + 4, half_x - 12), random.choice([-1, 1]) * (half_y - 3.0), 0.8)
            size = (random.uniform(2, 7), random.uniform(1.2, 4), random.uniform(0.8, 2))
            colour = np.asarray(random.integers(90, 245, 3), np.uint8)
            parts.append(box(at, size, edge=0.3).coloured(colour))
        return merged(*parts)

    def _cables(self, random: np.random.Generator) -> Mesh:
        """From the monitor to the newborn's side, and a coil on the cloth."""
        half_x, half_y = self._half
        parts = []
        for _ in range(3):
            side = random.choice([-1.0, 1.0])
            corners = [
                (half_x + 4, side * half_y, 4.0),
                (half_x - 9, side * random.uniform(12, half_y - 2), 0.9),
                (random.uniform(-4, 12), side * random.uniform(12, 20), 0.9),
                (random.uniform(-14, 0), side * random.uniform(7, 10), 1.2),
            ]
            colour = np.asarray(random.integers(60, 220, 3), np.uint8)
            parts.append(swept(smooth_path(corners, 30), 0.38, 6).coloured(colour))
        return merged(*parts)

    def pose(self, t: float, balls: NDArray[np.float64]) -> None:
        """The monitor at time `t`, and the shadows of (N, 4) balls on the cloth."""
        tick = int(t * _SCREEN_HZ)
        if tick != self._shown:
            self._shown = tick
            self._screen.paint(trace(tick / _SCREEN_HZ, self._beat_hz, _CURVES))
        self._veil.paint(self._shadows(balls))

    def _shadows(self, balls: NDArray[np.float64]) -> Image:
        """(H, W, 4): soft dark spots where the lamp does not reach."""
        width, height = _SHADOW_SIZE
        mask = np.zeros((height, width), np.uint8)
        centres = balls[:, :2] - np.maximum(balls[:, 2:3] - 0.5, 0) * self._lamp_slope
        per_cm = np.array([width / (2 * self._half[0]), height / (2 * self._half[1])])
        for (x, y), radius in zip((centres + self._half) * per_cm, balls[:, 3], strict=True):
            axes = (round(16 * radius * per_cm[0]), round(16 * radius * per_cm[1]))
            cv2.circle(mask, (round(16 * x), round(16 * (height - y))), max(axes), 255, -1, cv2.LINE_8, 4)
        soft = cv2.GaussianBlur(mask, (0, 0), 2.2)
        veil = np.zeros((height, width, 4), np.uint8)
        veil[..., 3] = np.asarray(soft * self._look.shadow, np.uint8)
        return veil


def _mattress(half_x: float, half_y: float, noise: Noise) -> Mesh:
    """Cloth that lies on the table and hangs over its edge."""
    along, across = np.linspace(-half_x - 3, half_x + 3, 30), np.linspace(-half_y - 3, half_y + 3, 24)
    x, y = np.meshgrid(along, across)
    over = np.maximum(np.abs(x) - half_x, 0) + np.maximum(np.abs(y) - half_y, 0)
    folds = noise.at(np.stack([x, y, 0 * x], -1).reshape(-1, 3).astype(np.float32), 9.0, 3).reshape(x.shape)
    return surface(x, y, -0.6 * over + 0.35 * np.minimum(folds, 0.2) - 0.2, repeat=(1.4, 1.1))


def _towel(random: np.random.Generator, noise: Noise) -> Mesh:
    """A smaller one below the newborn, turned a little, with folds."""
    half_x, half_y, turned_by = random.uniform(22, 30), random.uniform(15, 20), random.uniform(-0.3, 0.3)
    u, v = np.meshgrid(np.linspace(-half_x, half_x, 36), np.linspace(-half_y, half_y, 28))
    points = np.stack([u, v, 0 * u + 7], -1).reshape(-1, 3).astype(np.float32)
    wavy = noise.at(points, 8.0, 2).reshape(u.shape)
    folds = noise.at(points, 4.0, 3).reshape(u.shape)
    u, v = u + 1.2 * wavy * (np.abs(u) / half_x) ** 4, v + 1.2 * wavy * (np.abs(v) / half_y) ** 4
    x = u * np.cos(turned_by) - v * np.sin(turned_by)
    y = u * np.sin(turned_by) + v * np.cos(turned_by)
    return surface(x, y, 0.25 + 0.4 * np.clip(folds, -0.5, 1), repeat=(2, 1.4))
