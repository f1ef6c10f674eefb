"""Where the modules of our processes come from: never from the working folder, which may be an archive that somebody else filled.

Python puts the working folder first on the path of `python -m` and `python -c`, and Ray puts the driver's on that of its workers.
"""

import os
import site
import sys
from collections.abc import Iterable
from pathlib import Path

import nrray

PACKAGE_PARENT = str(Path(nrray.__file__).parents[1])


def module_folders() -> list[str]:
    """`sys.path` as a process of ours gets it: this one's, without the working folder, unless nrray itself lies there."""
    working = _working_folder()
    kept = [folder for folder in sys.path if folder and (os.path.realpath(folder) != working or _is_ours(folder))]
    return kept if any(map(_is_ours, kept)) else [PACKAGE_PARENT, *kept]


def isolated_python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of nrray with `module_folders` alone as its path, whatever the environment says (`-I`)."""
    program = (
        f"import sys; sys.path[:] = {module_folders()!r}; from runpy import run_module; "
        f"run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-I", "-c", program, *arguments]


class FixedPath(list[str]):
    """The folders that workers of Ray put before all others: those that they would not have of themselves, whatever Ray adds."""

    def __init__(self) -> None:
        natural = {os.path.realpath(folder) for folder in (*site.getsitepackages(), site.getusersitepackages())}
        super().__init__(() if os.path.realpath(PACKAGE_PARENT) in natural else (PACKAGE_PARENT,))

    def extend(self, folders: Iterable[str], /) -> None:
        """Nothing: Ray extends the list by the working folder and by that of the script."""


def leave_working_folder_out() -> None:
    """Take the working folder out of this process's own path, where `python -m nrray` put it."""
    sys.path[:] = module_folders()


def _working_folder() -> str | None:
    try:
        return os.path.realpath(os.getcwd())
    except FileNotFoundError:  # it was deleted
        return None


def _is_ours(folder: str) -> bool:
    return os.path.realpath(folder) == os.path.realpath(PACKAGE_PARENT)
