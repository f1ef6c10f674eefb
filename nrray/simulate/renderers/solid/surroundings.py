"""What does not move: floor and walls, the table and its cloth, things on it and around it."""

from math import cos, sin

import numpy as np

from nrray.simulate.appearance import Appearance
from nrray.simulate.renderers.solid.look import Furniture, Look
from nrray.simulate.renderers.solid.stage import Stage, Vector, world

_ROOM = 700.0  # half the room's width


def put_surroundings(stage: Stage, appearance: Appearance, look: Look) -> None:
    """The room, the table, the things."""
    ground = -look.table_height
    stage.box(world(160, 120, ground - 2), (_ROOM, _ROOM, 2), appearance.floor, "floor", emission=0.12)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        at = np.array([x * _ROOM, y * _ROOM, ground + 250])
        halves = (4 if x else _ROOM, 4 if y else _ROOM, 250)
        stage.box(at, halves, look.wall, "wall", emission=0.3)
    for furniture in look.furniture:
        _put_furniture(stage, furniture, ground)
    half_x, half_y = 160 - appearance.table_margin, 116 - appearance.table_margin
    stage.box(world(160, 120, -10), (half_x, half_y, 4), look.table)
    stage.box(world(160, 120, ground / 2 - 8), (0.6 * half_x, 0.5 * half_y, -ground / 2), np.array(look.table) * 0.6)
    stage.box(world(160, 120, -3), (half_x - 8, half_y - 8, 3), appearance.cloth, "cloth")
    if look.rail:
        for side in (-1, 1):
            stage.box(
                world(160, 120 + side * (half_y + 1), look.rail / 2 - 8), (half_x, 1.4, 8 + look.rail / 2), look.accent
            )
    for thing in look.things:
        at = world(thing.x, thing.y, 3)
        way = np.array([cos(thing.turn), sin(thing.turn), 0.0])
        if thing.kind == 0:
            stage.limb(at - 14 * way, at + 14 * way, 2.2, thing.tint)
        elif thing.kind == 1:
            stage.box(at, (9, 6, 3), thing.tint, axis=way)
        else:
            stage.disc(at, 7, 3, thing.tint)
    if look.towel is not None:
        way = np.array([cos(look.towel_turn), sin(look.towel_turn), 0.0])
        at = world(appearance.head_x + 55, appearance.head_y, 0.6)
        stage.box(at, (92, 58, 0.7), look.towel, "wrap", axis=way)


def _put_furniture(stage: Stage, furniture: Furniture, ground: float) -> None:
    size, at = furniture.size, world(furniture.x, furniture.y, ground)
    towards = np.array([-at[0], -at[1], 0.0])
    up: Vector = np.array([0.0, 0.0, 1.0])
    tint = np.array(furniture.tint, float)
    if furniture.kind == 0:
        stage.box(at + 35 * size * up, (45 * size, 32 * size, 35 * size), tint, axis=towards)
        stage.box(at + 71 * size * up, (47 * size, 34 * size, 1.5), tint * 0.8, axis=towards)
    elif furniture.kind == 1:
        stage.limb(at, at + 170 * size * up, 3, (190, 195, 200))
        stage.ball(at + 150 * size * up, (12 * size, 7 * size, 20 * size), tint, "clear", alpha=0.8)
        stage.disc(at, 24 * size, 3, (90, 92, 96))
    elif furniture.kind == 2:
        stage.limb(at, at + 80 * size * up, 5, (120, 124, 130))
        stage.box(at + 80 * size * up, (5, 36 * size, 25 * size), tint * 0.5, axis=towards)
        tilt = towards / np.linalg.norm(towards)
        stage.box(
            at + 80 * size * up + 5 * tilt,
            (32 * size, 21 * size, 1),
            (255, 255, 255),
            "screen",
            axis=np.cross(up, tilt),
            up=tilt,
            emission=0.9,
        )
    else:
        stage.disc(at + 20 * size * up, 20 * size, 20 * size, tint)
        stage.disc(at + 40 * size * up, 17 * size, 0.6, tint * 0.4)
