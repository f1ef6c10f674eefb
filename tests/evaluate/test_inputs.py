import json

import pytest

from nrray.archive.splits import num_reads
from nrray.errors import DataError
from nrray.evaluate.comparison import compare
from nrray.evaluate.config import CompareConfig
from tests.evaluate.archives import (
    PATHS,
    archive,
    evaluated,
    sidecar_of,
)


def test_a_sidecar_that_lacks_videos_is_noted_and_one_of_another_archive_refused(tmp_path):
    labels, reference = archive(tmp_path)
    half = evaluated(tmp_path, labels, reference, cases=sidecar_of(tmp_path, PATHS[:4]))
    assert half.num_cases == 5  # one of four videos, and four of one
    assert any(f"4 of 8 videos are not in {tmp_path}/cases.csv, such as {PATHS[4]}" in note for note in half.notes)
    with pytest.raises(DataError, match="none of the 8 videos here"):
        evaluated(tmp_path, labels, reference, cases=sidecar_of(tmp_path, ["other.mp4"]))


def test_a_split_of_cases_that_are_not_here_is_refused_and_no_read_is_noted(tmp_path):
    labels, reference = archive(tmp_path)
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"parts": {"train": PATHS[:4], "test": [*PATHS[4:], "gone"]}}), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"1 of 5 cases of part 'test' are of no video here, such as 'gone'.*cases=FILE"
    ):
        evaluated(tmp_path, labels, reference, split=str(file))
    assert num_reads(str(file)) == 0
    file.write_text(json.dumps({"parts": {"train": PATHS[:4], "test": PATHS[4:]}}), encoding="utf-8")
    assert evaluated(tmp_path, labels, reference, split=str(file)).num_cases == 4
    compared = compare(
        CompareConfig(
            candidates=(labels, reference),
            reference=reference,
            output=str(tmp_path / "out"),
            split=str(file),
        )
    )
    assert any("has been read 2 times" in note for note in compared.notes)
