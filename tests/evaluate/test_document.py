"""evaluation.json and comparison.json: written from a type, read back as the same."""

import json

import pytest

from nrray.errors import DataError
from nrray.evaluate.comparison import Comparison, compare
from nrray.evaluate.config import CompareConfig
from nrray.evaluate.document import read_evaluation
from tests.evaluate.archives import archive, evaluated

# What programs of users read: a key is only ever added.
KEYS = (
    "schema_version candidate reference settings num_cases num_videos num_windows hours activities macro_leaves_out rows "
    "baselines alpha onset_errors precision_recall reliability instead unparsed hallucination balanced clinical cases "
    "left_out notes"
)


@pytest.fixture
def document(tmp_path):
    return evaluated(tmp_path, *archive(tmp_path), balanced_windows=40)


def edited(folder, change):
    """The document in `folder`, changed."""
    file = folder / "evaluation.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")
    return str(folder)


def test_an_evaluation_is_read_as_it_was_written(tmp_path, document):
    assert read_evaluation(str(tmp_path / "out")) == document


def test_the_keys_of_an_evaluation_stay(tmp_path, document):
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert list(content) == KEYS.split()
    assert list(content["rows"][0]) == [
        *("name", "values", "support_windows", "support_us", "num_segments", "num_cases_with")
    ]
    assert content["rows"][1]["values"]["windows f1"].keys() == {"estimate", "low", "high"}
    assert list(content["instead"]["suction"]) == ["claimed wrongly, there was", "missed, it claimed"]
    assert list(content["baselines"]["suction"]) == ["always yes", "always no", "at random by prevalence"]
    assert content["balanced"]["rows"]["suction"].keys() == {"precision", "recall", "f1", "support"}
    assert content["clinical"]["cases"].keys() == content["clinical"]["zeros"].keys() == {"candidate", "reference"}
    assert content["settings"]["balanced_windows"] == 40


def test_a_file_with_intervals_of_another_kind_is_refused(tmp_path, document):
    folder = edited(tmp_path / "out", lambda content: content.update(schema_version=1))
    with pytest.raises(DataError, match="has schema_version 1; expected at least 2"):
        read_evaluation(folder)


def test_a_file_of_a_newer_version_is_refused(tmp_path, document):
    folder = edited(tmp_path / "out", lambda content: content.update(schema_version=4))
    with pytest.raises(DataError, match="has schema_version 4; expected at most 3"):
        read_evaluation(folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda content: content.pop("left_out"), "lacks left_out; "),
        (
            lambda content: content["rows"][0].update(support_us="many"),
            "has rows.0.support_us: found 'many', expected a whole number",
        ),
        (lambda content: content["settings"].update(colour="red"), "unknown keys settings.colour"),
        (
            lambda content: content.update(schema_version=None),
            "has schema_version: found nothing, expected a whole number",
        ),
    ],
)
def test_a_file_of_another_shape_is_refused_with_the_key(tmp_path, document, change, named):
    folder = edited(tmp_path / "out", change)
    with pytest.raises(DataError, match=named):
        read_evaluation(folder)


def test_a_folder_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"found no evaluation.json"):
        read_evaluation(str(tmp_path))


def test_the_macro_row_is_without_the_excluded_activities(document):
    assert document.excluded_from_macro == ("baby_visible",)
    assert document.macro_row.name == "macro without baby_visible"
    assert [row.name for row in document.activity_rows] == list(document.activities)


def test_a_comparison_is_read_as_it_was_written(tmp_path):
    good, reference = archive(tmp_path, right=0.97, name="good", seed=1)
    bad, _ = archive(tmp_path, right=0.7, name="bad", seed=2)
    output = str(tmp_path / "out")
    found = compare(CompareConfig(candidates=(good, bad), reference=reference, output=output))
    content = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert Comparison.model_validate(content) == found
    assert set(content) == {
        *("schema_version", "settings", "metric", "num_cases", "hours", "values", "differences", "notes", "sentences"),
        *("baselines", "alpha"),
    }
    assert content["differences"][0].keys() == {"first", "second", "what", "value", "num_adjusted_for"}
