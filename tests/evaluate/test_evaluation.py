import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nrray.errors import DataError
from tests.evaluate.archives import (
    LABELS,
    PATHS,
    TRUTH,
    archive,
    estimate,
    evaluated,
    scores_of,
    write_annotations,
    write_labels,
)


def test_a_perfect_labelling_scores_one_everywhere(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path, right=1.0))
    for name in (*LABELS.names, "macro", "micro"):
        values = document.row(name).values
        for metric in ("windows f1", "time f1", "segments f1 at tIoU 0.5", "segments edit score"):
            assert values[metric].estimate == pytest.approx(1.0), (name, metric)
        assert values["false alarms per hour"].estimate == 0
    assert document.num_cases == 8
    assert document.num_windows == 8 * 60


def test_intervals_hold_their_estimate_and_shrink_with_cases(tmp_path):
    document = evaluated(tmp_path, *archive(tmp_path))
    value = document.row("ventilation").values["windows f1"]
    assert value.low < value.estimate < value.high


def test_one_case_is_measured_and_noted(tmp_path):
    reference = write_annotations(tmp_path / "truth", {PATHS[0]: TRUTH}, {PATHS[0]: [(0, 60)]})
    labels = write_labels(tmp_path / "labels", {PATHS[0]: scores_of(TRUTH, 60)})
    document = evaluated(tmp_path, labels, reference)
    assert document.num_cases == 1
    assert any("1 case:" in note for note in document.notes)
    for row in (*document.rows, *document.onset_errors.values()):
        for metric, value in row.values.items():
            assert (value.low, value.high) == (None, None), metric
    assert estimate(document, "ventilation", "windows f1") > 0.5


def test_annotations_can_be_measured_against_annotations(tmp_path):
    shifted = {name: [(start + 1, end + 1) for start, end in spans] for name, spans in TRUTH.items()}
    first = write_annotations(
        tmp_path / "a", dict.fromkeys(PATHS, TRUTH), {key: [(0, 60)] for key in PATHS}, source="a"
    )
    second = write_annotations(
        tmp_path / "b", dict.fromkeys(PATHS, shifted), {key: [(0, 60)] for key in PATHS}, source="b"
    )
    document = evaluated(tmp_path, second, first)
    assert document.precision_recall == {}
    assert document.onset_errors["ventilation"].values["median"].estimate == 1.0
    assert 0.85 < estimate(document, "ventilation", "time f1") < 0.95


def split_of(tmp_path, train, test):
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"parts": {"train": train, "test": test}}), encoding="utf-8")
    return str(file)


def manifest_of(tmp_path, contents):
    """contents: path to content_id."""
    file = tmp_path / "manifest.parquet"
    pq.write_table(pa.table({"path": list(contents), "content_id": list(contents.values())}), file)
    return str(file)


def test_one_content_in_two_parts_of_the_split_is_refused(tmp_path):
    labels, reference = archive(tmp_path)
    split = split_of(tmp_path, PATHS[:4], PATHS[4:])
    apart = manifest_of(tmp_path, {path: f"content of {path}" for path in PATHS})
    notes = evaluated(tmp_path, labels, reference, split=split, manifest=apart).notes
    assert not any("was not checked" in note for note in notes)
    assert any("was not checked" in note for note in evaluated(tmp_path, labels, reference, split=split).notes)
    copied = manifest_of(tmp_path, {path: f"content {n % 7}" for n, path in enumerate(PATHS)})
    with pytest.raises(DataError, match="the same video content content 0 is in"):
        evaluated(tmp_path, labels, reference, split=split, manifest=copied)
