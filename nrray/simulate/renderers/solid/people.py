"""Hands, forearms, and people who pass."""

from math import atan2, cos, pi, sin

import numpy as np

from nrray.simulate.appearance import Appearance
from nrray.simulate.pose import Hand, Passer
from nrray.simulate.renderers.solid.look import HandLook, Look
from nrray.simulate.renderers.solid.newborn import Hump, surface
from nrray.simulate.renderers.solid.stage import Stage, Vector, unit, world


def put_arm(stage: Stage, elbow: Vector, wrist: Vector, look: HandLook) -> None:
    """From beyond the elbow to the wrist: a sleeve and its cuff, or a bare forearm."""
    size, wide = look.size, look.arm_width
    way = unit(wrist - elbow)
    cuff = wrist - 15 * size * way
    middle = (elbow + cuff) / 2
    beyond = elbow - 160 * way  # the arm goes on out of the picture
    stage.limb(beyond, middle, 13 * size * wide, look.arm_tint, look.arm_material)
    stage.limb(middle, cuff, 11.5 * size * wide, look.arm_tint, look.arm_material)
    stage.limb(cuff, wrist, 9 * size, look.tint, look.material)


def put_palm(stage: Stage, wrist: Vector, palm: Vector, look: HandLook, *, up: Vector | None = None) -> None:
    """The wrist and the back of the hand."""
    size = look.size
    stage.limb(wrist, palm, 8.5 * size, look.tint, look.material)
    stage.ball(palm, (12.5 * size, 11.5 * size, 6.8 * size), look.tint, look.material, axis=palm - wrist, up=up)


def put_finger(stage: Stage, points: list[Vector], look: HandLook, *, width: float = 1.0, shade: float = 1.0) -> None:
    """Phalanges through `points`; a bare finger ends in a nail."""
    radius = 3.6 * look.size * look.finger * width
    tint = np.array(look.tint) * shade
    radii = [radius * (1 - 0.07 * number) for number in range(len(points) - 1)]
    stage.chain(points, radii, tint, look.material)
    if look.nails:
        end = points[-1] + np.array([0, 0, 0.75 * radii[-1]])
        radius = radii[-1]
        stage.ball(
            end,
            (0.75 * radius, 0.6 * radius, 0.45 * radius),
            np.minimum(tint * (1.12, 1.0, 1.0) + 14, 255),
            "plain",
            axis=points[-1] - points[-2],
        )


def put_flat_hand(stage: Stage, hand: Hand, look: HandLook, humps: list[Hump]) -> None:
    """A hand that lies on what is below it; its fingers follow the surface."""
    size = look.size
    x, y = hand.at
    turn = atan2(y - hand.elbow[1], x - hand.elbow[0]) + hand.bend
    z = surface(humps, x, y) + 7 * size
    palm = world(x, y, z)
    wrist = world(x - 19 * size * cos(turn), y - 19 * size * sin(turn), z + 8)
    put_arm(stage, world(*hand.elbow, 62), wrist, look)
    put_palm(stage, wrist, palm, look)
    for number in range(4):
        angle = turn + (number - 1.5) * 0.24 * look.spread
        points = []
        for along in (8.0, 19.0, 28 * look.reach - (3 if number in (0, 3) else 0)):
            px, py = x + along * size * cos(angle), y + along * size * sin(angle)
            points.append(world(px, py, max(surface(humps, px, py) + 3.4, z - 0.55 * along) if along > 8 else z))
        put_finger(stage, points, look, shade=0.94 + 0.04 * (number % 2))
    side = turn + 1.15
    tx, ty = x + 20 * size * cos(side), y + 20 * size * sin(side)
    thumb = world(tx, ty, max(surface(humps, tx, ty) + 3.5, z - 6))
    put_finger(stage, [palm, (palm + thumb) / 2 + np.array([0, 0, 2.0]), thumb], look, width=1.12)


def put_passer(stage: Stage, passer: Passer, appearance: Appearance, look: Look) -> None:
    """Shoulders, head and, where they lean over the table, an arm."""
    x, y = passer.at
    c, s = cos(passer.facing + pi / 2), sin(passer.facing + pi / 2)
    tint = np.array(appearance.passer, float)
    z = 42.0
    one, two = world(x - 30 * c, y - 30 * s, z), world(x + 30 * c, y + 30 * s, z)
    stage.limb(one, two, 15, tint, "passer")
    stage.ball(world(x, y, z - 30), (28, 19, 42), tint * 0.95, "passer", axis=two - one)
    stage.ball(world(x, y, z + 24), (15, 17, 18), appearance.skin, "adult")
    stage.ball(world(x, y, z + 29), (16.5, 18, 16), tint * 1.2, "passer")
    if passer.arm is not None:
        hand = world(*passer.arm, 40)
        shoulder = min(one, two, key=lambda end: float(np.linalg.norm(end - hand)))
        elbow = (shoulder + hand) / 2 + np.array([0, 0, 8.0])
        stage.chain([shoulder, elbow, hand], [12, 9.5], tint * 0.92, "passer")
        stage.ball(hand, (12, 9, 6), look.helper.tint, look.helper.material, axis=hand - shoulder)
