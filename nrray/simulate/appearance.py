"""How a case looks: colours, sizes, positions. One draw per case; more families of appearance belong here."""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

SKINS: tuple[Colour, ...] = ((238, 196, 170), (224, 172, 138), (198, 140, 104), (150, 98, 70), (106, 70, 52))
GLOVES: tuple[Colour, ...] = ((90, 130, 200), (235, 235, 240), (120, 190, 215), (140, 110, 180), (225, 200, 170))
SLEEVES: tuple[Colour, ...] = ((60, 110, 120), (40, 60, 110), (150, 200, 190), (120, 40, 60), (210, 210, 215))
CLOTHS: tuple[Colour, ...] = ((225, 228, 226), (170, 205, 180), (190, 205, 230), (230, 215, 180), (240, 200, 205))
FLOORS: tuple[Colour, ...] = ((92, 96, 104), (140, 130, 118), (70, 84, 84), (168, 172, 176), (110, 92, 80))
BAGS: tuple[Colour, ...] = ((70, 110, 170), (60, 150, 120), (190, 190, 195), (160, 80, 70), (210, 170, 80))


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Colours are RGB; lengths are in pixels of the 320 x 240 canvas that scenes are drawn on."""

    skin: Colour
    glove: Colour
    sleeve: Colour
    helper_glove: Colour
    helper_sleeve: Colour
    cloth: Colour
    floor: Colour
    bag: Colour
    tube: Colour
    wrapped: bool  # a cloth over the legs
    size: float  # of the newborn
    head_x: float
    head_y: float
    brightness: float
    warmth: float
    noise: float  # standard deviation of sensor noise, grey levels
    texture_seed: int


def drawn_appearance(random: np.random.Generator) -> Appearance:
    """One appearance."""
    glove, helper_glove = _tinted(random, GLOVES), _tinted(random, GLOVES)
    return Appearance(
        skin=_tinted(random, SKINS),
        glove=glove,
        sleeve=_tinted(random, SLEEVES),
        helper_glove=helper_glove if random.random() < 0.5 else glove,
        helper_sleeve=_tinted(random, SLEEVES),
        cloth=_tinted(random, CLOTHS),
        floor=_tinted(random, FLOORS),
        bag=_tinted(random, BAGS),
        tube=_tinted(random, ((235, 240, 235), (150, 200, 160), (225, 215, 150))),
        wrapped=bool(random.random() < 0.4),
        size=random.uniform(0.92, 1.15),
        head_x=random.uniform(112, 132),
        head_y=random.uniform(108, 132),
        brightness=random.uniform(0.75, 1.12),
        warmth=random.uniform(-0.06, 0.06),
        noise=random.uniform(1.5, 5.0),
        texture_seed=int(random.integers(2**31)),
    )


def _tinted(random: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    base = np.array(colours[random.integers(len(colours))])
    red, green, blue = np.clip(base + random.integers(-14, 15, size=3), 0, 255)
    return int(red), int(green), int(blue)


@dataclass(frozen=True, kw_only=True)
class View:
    """How a camera looks at the canvas."""

    turn_degrees: float
    zoom: float
    shift_x: float
    shift_y: float
    squash: float  # foreshortening of an oblique view
    mirrored: bool
    shake_px: float
    shake_phase: float


def drawn_view(random: np.random.Generator) -> View:
    """One camera's view."""
    return View(
        turn_degrees=random.uniform(-25, 25),
        zoom=random.uniform(0.95, 1.25),
        shift_x=random.uniform(-12, 12),
        shift_y=random.uniform(-10, 10),
        squash=random.uniform(0.82, 1.0),
        mirrored=bool(random.random() < 0.5),
        shake_px=random.uniform(0.0, 1.2),
        shake_phase=random.uniform(0, 2 * np.pi),
    )
