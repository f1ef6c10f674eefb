"""The description of a head: what is read is what was written, and other label sets are refused."""

import json

import pytest

from nrray.errors import ModelError
from nrray.models import CheckpointChoice, Pooling, read_metadata, resolve_checkpoint
from nrray.models.frame_stacking import FrameStacking
from nrray.models.metadata import CheckpointMetadata, trained_labels, vouched_files, write_metadata


@pytest.fixture
def metadata(label_set, small_sampling):
    return CheckpointMetadata(
        name="tiny",
        labels=trained_labels(label_set),
        sampling=small_sampling,
        prompt="Well?",
        frame_stacking=FrameStacking.LUMA_TRIPLETS,
        pooling=Pooling.LAST,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )


def test_a_description_reads_back_as_it_was_written(metadata, tmp_path):
    write_metadata(metadata, tmp_path)
    assert read_metadata(tmp_path) == metadata
    assert (
        json.loads((tmp_path / "nrray.json").read_text())["pictures"] == "luma_triplets"
    )  # as the release before wrote


def test_the_embedded_description_would_be_written_as_it_is(tmp_path):
    checkpoint = resolve_checkpoint(CheckpointChoice())
    write_metadata(checkpoint.metadata, tmp_path)
    assert (tmp_path / "nrray.json").read_bytes() == (checkpoint.folder / "nrray.json").read_bytes()


def test_a_folder_without_a_description_has_no_head(tmp_path):
    assert read_metadata(tmp_path) is None


def test_a_description_vouches_for_all_files_but_itself_and_texts_for_people(metadata, tmp_path):
    write_metadata(metadata, tmp_path)
    for name in ("head.safetensors", "split.json", "model_card.md", ".hidden"):
        (tmp_path / name).write_text(name)
    assert vouched_files(tmp_path).keys() == {"head.safetensors", "split.json"}


def test_a_description_that_vouches_for_files_vouches_for_itself(metadata, tmp_path):
    (tmp_path / "head.safetensors").write_text("weights")
    file = write_metadata(metadata.model_copy(update={"files": vouched_files(tmp_path)}), tmp_path)
    assert read_metadata(tmp_path).files.keys() == {"head.safetensors"}
    file.write_text(file.read_text().replace('"suction": 0.5', '"suction": 0.7'))
    with pytest.raises(ModelError, match=r"nrray.json is not the file that was written"):
        read_metadata(tmp_path)
