"""Text of unknown origin (file names) as matplotlib can draw it: one line, no markup, no missing glyph. Knows no plot."""

from functools import lru_cache

from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

BASE_FAMILY = "DejaVu Sans"  # ships with matplotlib; has Latin, Greek, Cyrillic, Hebrew, Arabic

# Families that systems bring for the scripts that the base lacks; those that are installed are used.
SCRIPT_FAMILIES = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)

MISSING = "\u25a1"  # a hollow square, where no installed font has the glyph


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """Font families to draw with, in order of preference."""
    installed = {entry.name for entry in fontManager.ttflist}
    return (BASE_FAMILY, *(name for name in SCRIPT_FAMILIES if name in installed))


def legible(text: str, *, max_chars: int) -> str:
    """`text` on one line: control and direction characters spelt out, unknown glyphs as squares, the middle of a text
    longer than `max_chars` left out, `$` escaped so that matplotlib does not read it as mathematics."""
    spelt = "".join(_spelt(character) for character in text)
    if len(spelt) > max_chars:
        head = max_chars // 3
        spelt = f"{spelt[:head]} ... {spelt[head + 5 - max_chars :]}"
    return spelt.replace("$", r"\$")


def _spelt(character: str) -> str:
    if not character.isprintable():
        return character.encode("unicode_escape").decode("ascii")
    return character if ord(character) in _drawable() else MISSING


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    found: set[int] = set()
    for family in families():
        found.update(FT2Font(findfont(FontProperties(family=[family]))).get_charmap())
    return frozenset(found)
