"""Modules in a folder that note, when one of them is imported, who did it: code that came with an archive."""

from pathlib import Path

STANDARD = ("json", "logging", "multiprocessing", "sitecustomize", "usercustomize")
NAMES = ("numpy", "torch", "ray", "av", "psutil", "transformers", *STANDARD)
_MODULE = """
import os, sys
with open({mark!r}, "a") as file:
    file.write(" ".join([__name__, *sys.orig_argv])[:400] + "\\n")
raise ImportError("a module of the archive was imported")
"""


def lay_markers(folder: Path) -> None:
    """Write a module of each name into the folder."""
    for name in NAMES:
        (folder / f"{name}.py").write_text(_MODULE.format(mark=str(folder / "marks.txt")))


def left_marks(folder: Path) -> list[str]:
    """What the modules noted."""
    marks = folder / "marks.txt"
    return marks.read_text().splitlines() if marks.exists() else []
