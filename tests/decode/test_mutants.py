"""Damaged copies of videos: nothing crashes, and what is served as sound is what was filmed."""

from collections import Counter

import pytest

from tests.decode.mutants import run


def assert_served_rightly(num: int) -> None:
    counts = sum(run(num).values(), Counter())
    assert counts["mutants"] == num
    assert "refused decoder_crashed" not in counts
    assert "refused decoder_timeout" not in counts
    assert "refused decoder_memory" not in counts
    assert counts["sound"] > 5 * num
    # Arithmetic codes have no checksums: one picture in two hundred is damaged without a sign.
    assert counts["wrong"] <= 0.01 * counts["sound"], counts


def test_damage_is_told():
    assert_served_rightly(66)


@pytest.mark.slow
def test_damage_of_a_thousand_files_is_told():
    assert_served_rightly(1000)
