"""Every file of configs/ is read by the verb of its name; the label set there is the package's own file."""

from pathlib import Path

import pytest

import nrray
from nrray.config import Section, load_config
from nrray.evaluate.config import EvaluateConfig
from nrray.labels import read_label_set
from nrray.pipelines.finetune.job import FinetuneConfig
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.scan.run import ScanConfig
from nrray.pipelines.study.job import StudyConfig
from nrray.pipelines.tune.job import TuneConfig
from nrray.project import Project, verb_settings
from nrray.simulate import SimulateConfig

CONFIGS = Path(__file__).parents[1] / "configs"
LABEL_SET = "labels.yaml"
SECTIONS: dict[str, type[Section]] = {
    "evaluate.yaml": EvaluateConfig,
    "finetune.yaml": FinetuneConfig,
    "relabel.yaml": RelabelConfig,
    "scan.yaml": ScanConfig,
    "study.yaml": StudyConfig,
    "simulate.yaml": SimulateConfig,
    "tune.yaml": TuneConfig,
}


def test_every_file_is_read_by_one_of_these_tests():
    assert {file.name for file in CONFIGS.iterdir()} == {*SECTIONS, LABEL_SET}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_config_is_read_by_its_verb_and_says_so(name):
    file = CONFIGS / name
    places = verb_settings(Project(archive="videos"), file.stem)
    settings = load_config(SECTIONS[name], file, defaults=places)
    assert set(settings.model_dump(exclude_unset=True)) > set(places)  # it sets something
    assert file.read_text(encoding="utf-8").startswith(f"# nrray {file.stem} configs/{name}: ")


def test_the_label_set_is_the_package_s_own_file():
    shipped = Path(nrray.__file__).parent / "data" / LABEL_SET
    assert (CONFIGS / LABEL_SET).samefile(shipped)
    assert read_label_set(CONFIGS / LABEL_SET) == read_label_set()
