import pytest

from nrray.config import validate_mapping
from nrray.errors import ConfigError
from nrray.pipelines.study.job import StudyConfig, folder_name
from nrray.pipelines.study.run import told_together

PLACES = {"manifest": "m.parquet", "annotations": "truth", "split": "split.json", "output": "/out"}


def config(*rows, **changed) -> StudyConfig:
    return validate_mapping(StudyConfig, {**PLACES, "rows": list(rows), **changed}, where="test")


@pytest.mark.parametrize(
    ("rows", "changed", "said"),
    [
        ([{"name": "a"}, {"name": "a"}], {}, "rows 'a', 'a': expected names that differ"),
        ([{"name": "a b"}, {"name": "A-b"}], {}, "rows 'a b', 'A-b': expected names that differ"),
        ([{"name": "..."}], {}, "expected a name with letters or digits"),
        ([{"name": "x" * 81}], {}, "of 80 characters at most"),
        ([{"name": "x", "finetune": {}, "strategy": {"kind": "yes_no"}}], {}, "found strategy and finetune"),
        ([], {}, "expected a row"),
        ([{"name": "x"}], {"seeds": [1, 1]}, "expected different ones"),
        ([{"name": "x"}], {"seeds": []}, "expected different ones"),
        ([{"name": "x", "finetune": {"trainings": {}}}], {}, "training"),
        ([{"name": "x", "strategy": {"kind": "guess"}}], {}, "multiple_choice"),
    ],
)
def test_rows_that_cannot_be_run_or_told_apart_are_refused(rows, changed, said):
    with pytest.raises(ConfigError) as caught:
        config(*rows, **changed)
    assert said in str(caught.value)


def test_a_row_is_trained_with_every_seed_or_not_at_all():
    study = config({"name": "asked"}, {"name": "Fine-tuned!", "finetune": {}}, seeds=[4, 2])
    asked, tuned = study.rows
    assert (study.seeds_of(asked), study.seeds_of(tuned)) == ((None,), (4, 2))
    assert study.labels(asked, None) == "/out/rows/asked/labels"
    assert study.labels(tuned, 2) == "/out/rows/fine-tuned/seed-2/labels"
    training = study.finetune_config(tuned, 2, output="/out/rows/fine-tuned/seed-2/training")
    assert (training.training.seed, training.store.folder) == (2, "/out/frames")


def test_names_of_folders_have_letters_digits_and_hyphens():
    assert folder_name("LLaVA 7B, LoRA + head / tower") == "llava-7b-lora-head-tower"
    assert folder_name("../..") == ""


def test_a_note_that_holds_for_several_rows_is_told_once():
    notes = ["a, seed 0: 1 of 4 is odd.", "One case is short.", "b: 2 of 4 are odd.", "a, seed 1: 1 of 4 is odd."]
    assert told_together([*notes, "One case is short."], ["a, seed 0", "a, seed 1", "b"]) == (
        "a, seed 0; a, seed 1: 1 of 4 is odd.",
        "One case is short.",
        "b: 2 of 4 are odd.",
    )
