"""Learned weights of two trainings, compared."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


def assert_same_weights(found: Path, expected: Path) -> None:
    """All weights that were learned are equal, bit for bit."""
    files = sorted(file.relative_to(expected) for file in expected.rglob("*.safetensors"))
    assert files
    for file in files:
        ours, theirs = load_file(found / file), load_file(expected / file)
        assert ours.keys() == theirs.keys()
        for name, weights in theirs.items():
            np.testing.assert_array_equal(ours[name], weights, err_msg=f"{file} {name}")
