import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nrray.errors import ModelError
from nrray.models import Device
from nrray.models.config import Dtype
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from tests.checkpoints import wide_qwen3_vl
from tests.model_fixtures import labeler_of


@pytest.fixture
def folder(image_folder, tmp_path, label_set, small_sampling, add_head):
    return add_head(shutil.copytree(image_folder, tmp_path / "model"), label_set=label_set, sampling=small_sampling)


def load(folder, label_set):
    return labeler_of(folder, label_set)


def test_a_path_that_is_not_there_is_a_model_error(tmp_path, label_set):
    with pytest.raises(ModelError, match="found nothing, expected a checkpoint folder"):
        load(tmp_path / "nowhere", label_set)


def test_an_empty_folder_says_which_files_are_missing(tmp_path, label_set):
    with pytest.raises(ModelError, match=r"config\.json and model\*\.safetensors"):
        load(tmp_path, label_set)


def test_pickled_weights_are_refused_unopened(folder, label_set):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(ModelError, match="pickled weights"):
        load(folder, label_set)


def test_truncated_weights_are_a_model_error(folder, label_set):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder, label_set)


def test_weights_that_are_not_there_would_be_random_and_are_refused(folder, label_set):
    tensors = load_file(folder / "model.safetensors")
    removed = next(name for name in tensors if "multi_modal_projector" in name)
    save_file(
        {name: tensor for name, tensor in tensors.items() if name != removed},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ModelError, match="missing keys"):
        load(folder, label_set)


def test_a_missing_head_is_a_model_error(folder, label_set):
    (folder / "head.safetensors").unlink()
    with pytest.raises(ModelError, match=r"head\.safetensors cannot be read"):
        load(folder, label_set)


def test_a_head_of_another_number_of_activities_is_refused(folder, label_set, small_sampling, add_head):
    add_head(folder, label_set=label_set, sampling=small_sampling, num_outputs=3)
    with pytest.raises(ModelError, match=r"\(3, 32\).*expected.*\(4, 32\)"):
        load(folder, label_set)


def test_another_label_set_is_refused(folder, label_set):
    fewer = label_set.model_copy(update={"activities": label_set.activities[:3]})
    with pytest.raises(ModelError, match="its head was trained for"):
        load(folder, fewer)


def test_other_definitions_under_the_same_names_are_refused(folder, label_set):
    first = label_set.activities[0].model_copy(update={"definition": "Something else."})
    other = label_set.model_copy(update={"activities": (first, *label_set.activities[1:])})
    with pytest.raises(ModelError, match="other definitions"):
        load(folder, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "found schema_version 99, expected 1"),
        ({"pooling": "sideways"}, "cannot be used"),
        ({"surprise": 1}, "cannot be used"),
        ({"thresholds": {"ventilation": 0.5}}, "expected one for each"),
    ],
)
def test_a_description_that_does_not_fit_is_a_model_error(folder, label_set, change, message):
    file = folder / "nrray.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        load(folder, label_set)


def test_cuda_that_is_not_there_is_a_model_error(folder, label_set):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match="no CUDA device"):
        labeler_of(folder, label_set, device=Device.CUDA)


def test_four_bits_take_less_memory_and_score_about_the_same(tmp_path, label_set):
    base = wide_qwen3_vl(tmp_path / "base", label_set)
    labelers = [labeler_of(base, label_set, device=Device.CPU, dtype=dtype) for dtype in (Dtype.BFLOAT16, Dtype.NF4)]
    full, small = (labeler.info for labeler in labelers)
    assert (full.dtype, small.dtype) == ("bfloat16", "nf4")
    assert full.parameter_count == small.parameter_count
    assert full.memory_bytes - small.memory_bytes > full.memory_bytes / 4  # half of this one is its vocabulary
    frames = synthetic_frames(
        Sampling(frames_per_second=2.0, window_seconds=2.0, stride_seconds=1.0, frame_width_px=64, frame_height_px=64),
        num_windows=2,
    )
    scores = [labeler.label(frames).scores for labeler in labelers]
    np.testing.assert_allclose(scores[1], scores[0], atol=0.2)


def test_four_bits_without_bitsandbytes_are_a_model_error(folder, label_set, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'nrray\[nf4\]'"):
        labeler_of(folder, label_set, dtype=Dtype.NF4)


def test_importing_the_package_loads_neither_torch_nor_transformers():
    code = "import sys, nrray.models; sys.exit(bool({'torch', 'transformers', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
