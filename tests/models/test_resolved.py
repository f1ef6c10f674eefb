"""A checkpoint is found and hashed once; another node knows an unchanged copy without reading it, and refuses another."""

import os
import pickle
import shutil

import pytest
from transformers import AutoModelForImageTextToText

from nrray.errors import ModelError
from nrray.models import CheckpointChoice, CheckpointKind, resolve_checkpoint
from nrray.models.config import PACKAGED_FOLDERS
from nrray.models.digests import folder_digest
from nrray.models.folders import checkpoint_folder
from nrray.models.resolved import check_same_here
from tests.models.test_adapters import trained


def resolved(folder, adapter=None):
    return resolve_checkpoint(CheckpointChoice(path=str(folder), adapter=None if adapter is None else str(adapter)))


@pytest.fixture
def folder(image_folder, tmp_path, label_set, small_sampling, add_head):
    return add_head(shutil.copytree(image_folder, tmp_path / "model"), label_set=label_set, sampling=small_sampling)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, checkpoint_of, label_set, small_sampling):
    """(base, adapter folder)."""
    base, adapter = checkpoint_of("fast_vlm"), tmp_path_factory.mktemp("run") / "adapter"
    adapter.mkdir()
    trained(base, adapter, label_set, small_sampling, num_steps=1)
    return base, adapter


def test_folders_say_what_they_are(folder, image_folder, tuned):
    base, adapter = tuned
    plain, whole, adapted = resolved(image_folder), resolved(folder), resolved(base, adapter)
    assert [one.kind for one in (plain, whole, adapted)] == [
        CheckpointKind.PLAIN,
        CheckpointKind.TRAINED,
        CheckpointKind.ADAPTED,
    ]
    assert [one.name for one in (plain, whole, adapted)] == [image_folder.name, "tiny", "tuned"]
    assert [one.model_type for one in (plain, whole, adapted)] == ["fast_vlm"] * 3
    assert plain.metadata is None
    assert whole.metadata.name == "tiny"
    assert (adapted.folder, adapted.head_folder) == (base, adapter)


def test_the_digest_changes_with_any_file_that_code_reads_and_with_nothing_else(folder):
    before = resolved(folder).digest
    (folder / "model_card.md").write_text("For people.")
    (folder / ".hidden").write_text("For nobody.")
    (folder / "head.safetensors").touch()
    assert resolved(folder).digest == before == folder_digest(folder)
    (folder / "nrray.json").write_text((folder / "nrray.json").read_text() + " ")
    assert resolved(folder).digest != before


def test_the_digest_of_the_embedded_model_is_the_one_that_outputs_are_bound_to():
    assert resolve_checkpoint(CheckpointChoice()).digest == (
        "9746c255e3ff1a59aa95d3ee00c2c5d0745e60edbc12c78fad4f5eb907bd7dcb"
    )


def test_the_models_of_the_package_are_named_as_they_are_asked_for():
    for path in ("embedded", "embedded-base"):
        assert resolve_checkpoint(CheckpointChoice(path=path)).name == path


def test_the_digest_of_an_adapted_checkpoint_has_both_folders(tuned):
    base, adapter = tuned
    adapted = resolved(base, adapter)
    assert adapted.base_digest == resolved(base).digest == folder_digest(base)
    assert adapted.digest not in (adapted.base_digest, folder_digest(adapter))


def test_paths_are_absolute_but_the_package_s_own(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert resolved(folder.name).path == str(folder)
    assert resolve_checkpoint(CheckpointChoice()).path == "embedded"


def test_it_can_be_sent_to_another_process(tuned):
    checkpoint = resolved(*tuned)
    assert pickle.loads(pickle.dumps(checkpoint)) == checkpoint


def test_a_copy_of_the_same_content_is_the_same_model(folder):
    checkpoint = resolved(folder)
    for file in folder.iterdir():
        os.utime(file, ns=(1, 1))
    check_same_here(checkpoint)


def test_other_content_on_a_node_is_another_model(folder):
    checkpoint = resolved(folder)
    (folder / "nrray.json").write_text((folder / "nrray.json").read_text() + " ")
    with pytest.raises(ModelError, match=r"is another model \(digest \w{12}\) than on the node that planned this run"):
        check_same_here(checkpoint)


def test_files_of_the_very_size_and_time_are_not_read_again(folder):
    checkpoint, file = resolved(folder), folder / "head.safetensors"
    before = file.stat()
    file.write_bytes(b"\0" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    check_same_here(checkpoint)


def test_a_folder_that_a_node_lacks_is_named(folder):
    checkpoint = resolved(folder)
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match="found nothing, expected a checkpoint folder"):
        check_same_here(checkpoint)


@pytest.mark.parametrize("named", ["", "adapter"])
def test_a_training_that_left_a_whole_model_is_no_adapter(named, checkpoint_of, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/nrray.json").write_text("{}")
    with pytest.raises(
        ModelError, match=r"left a whole model. Set model.path to .*/model, and leave model.adapter out"
    ):
        resolve_checkpoint(CheckpointChoice(path=str(checkpoint_of("fast_vlm")), adapter=str(tmp_path / named)))


def test_an_adapter_that_is_not_there_is_said_to_be_none(checkpoint_of, tmp_path):
    base = str(checkpoint_of("fast_vlm"))
    with pytest.raises(ModelError, match="none: found nothing, expected a folder that `nrray finetune` leaves"):
        resolve_checkpoint(CheckpointChoice(path=base, adapter=str(tmp_path / "none")))
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="file: found a file, expected a folder"):
        resolve_checkpoint(CheckpointChoice(path=base, adapter=str(tmp_path / "file")))


def test_the_output_of_a_training_is_not_taken_for_its_adapter(tuned):
    base, adapter = tuned
    with pytest.raises(ModelError, match=r"found an output of `nrray finetune`. Set model.adapter to .*adapter\."):
        resolved(base, adapter.parent)


def test_a_config_that_is_no_json_is_a_model_error(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config.json cannot be read"):
        resolved(folder)


def test_a_packaged_model_that_is_not_there_is_said_with_what_is(monkeypatch):
    monkeypatch.setitem(PACKAGED_FOLDERS, "embedded-base", "not_shipped")
    with pytest.raises(
        ModelError, match=r"model path embedded-base: .*expected a model that this installation does not have"
    ):
        checkpoint_folder("embedded-base")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "is no checkpoint: found an empty folder"),
        ({"a.mp4": "", "b.mp4": ""}, r"is no checkpoint: found a.mp4, b.mp4, a folder of videos, expected also config.json"),
        ({"manifest.parquet": "", "cases.parquet": ""}, "is no checkpoint: found cases.parquet, manifest.parquet"),
        ({"model_index.json": "{}"}, "found a pipeline of diffusers"),
        ({"weights.gguf": ""}, "found weights.gguf, which other programs run"),
        ({"config.json": "{}", "pytorch_model.bin": ""}, "found pickled weights"),
        (
            {"adapter_config.json": '{"base_model_name_or_path": "org/base"}', "adapter_model.safetensors": ""},
            r"found an adapter of peft without its base \(org/base\).*merge",
        ),
        ({"snapshots/abc/config.json": "{}"}, r"found a cache folder of the model hub.*Set model.path to .*snapshots/abc"),
        ({"adapter/nrray.json": "{}"}, r"found an output of `nrray finetune`.*Set model.adapter to .*adapter"),
        (
            {"config.json": '{"_class_name": "Unet"}', "model.safetensors": "x"},
            r"is no checkpoint of transformers: its config.json has no model_type, but \['_class_name'\]",
        ),
        (
            {"config.json": "{}", "model.safetensors": "version https://git-lfs.github.com/spec/v1"},
            r"found model.safetensors with the text of a Git LFS pointer.*git lfs pull",
        ),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_checkpoint_is_said_to_be_none_with_what_was_found(files, said, tmp_path):
    for name, text in files.items():
        file = tmp_path / "found" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "found").mkdir(exist_ok=True)
    with pytest.raises(ModelError, match=said):
        resolved(tmp_path / "found")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_adapter_files_among_whole_weights_are_refused_with_the_way_out(name, folder):
    (folder / name).write_text("{}")
    with pytest.raises(ModelError, match=rf"found {name} beside whole weights.*model.adapter=FOLDER.*merged first"):
        resolved(folder)


def test_a_loader_lays_adapter_files_over_the_weights_in_silence(tuned, tmp_path):
    """The reason why they are refused."""
    base, adapter = tuned
    mixed = shutil.copytree(base, tmp_path / "mixed")
    plain = AutoModelForImageTextToText.from_pretrained(mixed)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(adapter / name, mixed / name)
    laid_over = AutoModelForImageTextToText.from_pretrained(mixed)
    assert len(laid_over.state_dict()) > len(plain.state_dict())
