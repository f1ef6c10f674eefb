"""The study of docs/results.md is asked for by configs that the verbs take."""

from argparse import Namespace

from nrray.config import validate_mapping
from nrray.evaluate.config import SplitConfig
from nrray.pipelines.scan.run import ScanConfig
from nrray.pipelines.study.job import StudyConfig
from nrray.pipelines.study.quick import ROWS
from nrray.simulate import SimulateConfig
from tests.benchmarks import study_tables

CONFIGS = {"simulate": SimulateConfig, "scan": ScanConfig, "split": SplitConfig}
ASKED = Namespace(
    train=24, validation=8, test=44, seconds=40.0, steps=150, seeds=[0, 1], rows=[row["name"] for row in ROWS[2:]]
)


def test_verbs_take_the_configs_and_parts_have_the_cases_asked_for(tmp_path):
    found = study_tables.archive_configs(tmp_path, "textured", ASKED)
    read = {verb: validate_mapping(CONFIGS[verb], config, where=verb) for verb, config in found.items()}
    assert list(read) == ["simulate", "scan", "split"]
    assert read["simulate"].num_cases == 76
    assert {part: round(share * 76) for part, share in read["split"].fractions.items()} == {
        "train": 24,
        "validation": 8,
        "test": 44,
    }


def test_the_study_has_the_rows_asked_for_and_their_trainings_the_steps(tmp_path):
    study = validate_mapping(StudyConfig, study_tables.study_config(tmp_path, ASKED), where="study")
    assert [row.name for row in study.rows] == ASKED.rows
    assert study.seeds == (0, 1)
    trained = [row for row in study.rows if row.finetune is not None]
    assert [row.finetune.training.num_steps for row in trained] == [150] * 4
    assert [row.finetune.parts.tower for row in trained] == ["frozen", "frozen", "auto", "auto"]
