"""Shared by the tests of `nrray scan`."""

import os
import shutil

import pytest


def under_permissions() -> list[str]:
    """The words before a command that make permissions hold for it: root may else read and write all."""
    if os.getuid() != 0:
        return []
    if (program := shutil.which("setpriv")) is None:
        pytest.skip("root is above permissions, and setpriv is not here to end that")
    return [program, "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
