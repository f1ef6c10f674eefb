"""The appearance of a case: colours, shapes, light, camera. One draw per case, within a family of appearance.

Every property has a range that is cut into slices, and each family owns three slices of each property, chosen for that
property alone. So two families share no colour, no angle, no light and no noise level, and a model that is measured on a
family that it was not trained on has seen no value of that family.
"""

import colorsys
import zlib
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

FAMILIES: tuple[str, ...] = ("alder", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine")
"""Names without a meaning: a family is a combination of slices."""

SLICES_PER_FAMILY = 3  # one would make all cases of a family look alike


class Draw:
    """Draws properties of one case; each property by its name, so that a new one changes no other."""

    def __init__(self, family: str, seed: list[int]) -> None:
        self._family = FAMILIES.index(family)
        self._seed = seed

    def share(self, name: str) -> float:
        """[0, 1): within one of the family's slices of the property."""
        key = zlib.crc32(name.encode())
        num_slices = SLICES_PER_FAMILY * len(FAMILIES)
        owned = np.random.default_rng(key).permutation(num_slices)[self._family :: len(FAMILIES)]
        picked, within = np.random.default_rng([*self._seed, key]).random(2)
        return float((owned[int(picked * SLICES_PER_FAMILY)] + within) / num_slices)

    def between(self, name: str, low: float, high: float) -> float:
        """A value in [low, high), within the family's slices."""
        return low + (high - low) * self.share(name)

    def chance(self, name: str, probability: float) -> bool:
        """Whether something is there, by case: a property that no family owns."""
        return bool(np.random.default_rng([*self._seed, zlib.crc32(name.encode())]).random() < probability)

    def colour(self, name: str, *, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
        """A hue, saturation and value of the family's slices."""
        red, green, blue = colorsys.hsv_to_rgb(
            self.share(f"{name} hue"),
            self.between(f"{name} saturation", *saturation),
            self.between(f"{name} value", *value),
        )
        return round(255 * red), round(255 * green), round(255 * blue)


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Colours are RGB; lengths are in pixels of the 320 x 240 canvas that scenes are drawn on."""

    skin: Colour
    glove: Colour
    sleeve: Colour
    helper_glove: Colour
    helper_sleeve: Colour
    passer: Colour
    cloth: Colour
    cloth_mark: Colour  # of the pattern
    cloth_pattern: int  # 0 plain, 1 stripes, 2 checks, 3 dots
    cloth_step: float  # of the pattern
    wrap: Colour
    floor: Colour
    bag: Colour
    bag_length: float  # relative
    bag_width: float
    mask: Colour
    mask_length: float  # relative; above 1 is oval
    tube: Colour
    tube_width: float
    table_margin: float
    table_corner: float  # 0 square, 1 cut corners
    wrapped: bool  # a cloth over the legs
    size: float  # of the newborn
    head_x: float
    head_y: float
    hand_size: float
    shadow: float  # how dark
    shadow_x: float
    shadow_y: float
    texture_seed: int


@dataclass(frozen=True, kw_only=True)
class View:
    """The view of a camera on the canvas, and the noise of its sensor."""

    turn_degrees: float
    zoom: float
    shift_x: float
    shift_y: float
    squash: float  # foreshortening of an oblique view
    shear: float
    mirrored: bool
    shake_px: float
    shake_phase: float
    brightness: float
    warmth: float
    lamp_x: float
    lamp_y: float
    flicker: float  # amplitude, relative
    flicker_hz: float
    noise: float  # standard deviation of sensor noise, grey levels
    blur_px: float  # of the lens
    exposure_seconds: float  # motion blur
    crf_more: int  # compression above the config's
    drop_fraction: float  # of frames, which makes the rate variable


def drawn_appearance(family: str, seed: list[int]) -> Appearance:
    """The appearance of one case."""
    draw = Draw(family, seed)
    skin_value = draw.between("skin value", 0.42, 0.95)
    skin = colorsys.hsv_to_rgb(
        draw.between("skin hue", 0.03, 0.09), draw.between("skin saturation", 0.25, 0.55), skin_value
    )
    return Appearance(
        skin=(round(255 * skin[0]), round(255 * skin[1]), round(255 * skin[2])),
        glove=draw.colour("glove", saturation=(0.08, 0.6), value=(0.55, 0.97)),
        sleeve=draw.colour("sleeve", saturation=(0.2, 0.8), value=(0.25, 0.8)),
        helper_glove=draw.colour("helper glove", saturation=(0.08, 0.6), value=(0.55, 0.97)),
        helper_sleeve=draw.colour("helper sleeve", saturation=(0.2, 0.8), value=(0.25, 0.8)),
        passer=draw.colour("passer", saturation=(0.1, 0.7), value=(0.2, 0.75)),
        cloth=draw.colour("cloth", saturation=(0.02, 0.3), value=(0.7, 0.97)),
        cloth_mark=draw.colour("cloth mark", saturation=(0.1, 0.5), value=(0.5, 0.9)),
        cloth_pattern=int(4 * draw.share("cloth pattern")),
        cloth_step=draw.between("cloth step", 12, 34),
        wrap=draw.colour("wrap", saturation=(0.05, 0.45), value=(0.6, 0.95)),
        floor=draw.colour("floor", saturation=(0.05, 0.4), value=(0.2, 0.75)),
        bag=draw.colour("bag", saturation=(0.05, 0.75), value=(0.45, 0.9)),
        bag_length=draw.between("bag length", 0.8, 1.2),
        bag_width=draw.between("bag width", 0.85, 1.2),
        mask=draw.colour("mask", saturation=(0.0, 0.3), value=(0.7, 0.95)),
        mask_length=draw.between("mask length", 0.85, 1.3),
        tube=draw.colour("tube", saturation=(0.02, 0.45), value=(0.65, 0.97)),
        tube_width=draw.between("tube width", 2.4, 4.4),
        table_margin=draw.between("table margin", 8, 34),
        table_corner=draw.share("table corner"),
        wrapped=draw.chance("wrapped", 0.4),
        size=draw.between("size", 0.9, 1.15),
        head_x=draw.between("head x", 110, 136),
        head_y=draw.between("head y", 106, 134),
        hand_size=draw.between("hand size", 0.9, 1.15),
        shadow=draw.between("shadow", 0.0, 0.45),
        shadow_x=draw.between("shadow x", -9, 9),
        shadow_y=draw.between("shadow y", -9, 9),
        texture_seed=int(2**31 * np.random.default_rng([*seed, 1]).random()),
    )


def drawn_view(family: str, seed: list[int]) -> View:
    """One camera's view."""
    draw = Draw(family, seed)
    varies = draw.chance("variable rate", 0.3)
    return View(
        turn_degrees=draw.between("turn", -40, 40),
        zoom=draw.between("zoom", 0.9, 1.3),
        shift_x=draw.between("shift x", -14, 14),
        shift_y=draw.between("shift y", -12, 12),
        squash=draw.between("squash", 0.72, 1.0),
        shear=draw.between("shear", -0.18, 0.18),
        mirrored=draw.chance("mirrored", 0.5),
        shake_px=draw.between("shake", 0.0, 1.6),
        shake_phase=2 * np.pi * draw.share("shake phase"),
        brightness=draw.between("brightness", 0.6, 1.15),
        warmth=draw.between("warmth", -0.14, 0.14),
        lamp_x=draw.between("lamp x", -0.25, 0.25),
        lamp_y=draw.between("lamp y", -0.25, 0.25),
        flicker=draw.between("flicker", 0.0, 0.06),
        flicker_hz=draw.between("flicker rate", 0.3, 7.0),
        noise=draw.between("noise", 1.0, 7.0),
        blur_px=draw.between("lens blur", 0.0, 1.1),
        exposure_seconds=draw.between("exposure", 0.0, 0.05),
        crf_more=int(draw.between("compression", 0, 9)),
        drop_fraction=draw.between("dropped frames", 0.02, 0.3) if varies else 0.0,
    )
