"""No number is no label: NaN and infinite weights, scores, temperatures and looks are told, and never become a state."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nrray.config import Section
from nrray.errors import ErrorKind, ModelError, UnitError
from nrray.models import CheckpointChoice, Execution, YesNoStrategy, resolve_checkpoint
from nrray.models.engines.engine import Decoding
from nrray.models.engines.token_choice import token_choice
from nrray.models.measure import measure_labeler, synthetic_frames
from nrray.models.rules import states_from_scores
from nrray.models.strategies import resolve_strategy
from nrray.models.verify import verified_checkpoint
from nrray.types import STATE_INDEX, LabelState
from tests.model_fixtures import labeler_of
from tests.models.test_adapters import trained

ABSENT = STATE_INDEX[LabelState.ABSENT]


def damaged(file, *, value=float("nan"), name=None):
    """A file of weights with one number replaced, in the named tensor or in one that every window goes through."""
    tensors = load_file(file)
    chosen = name or next(key for key in sorted(tensors) if "norm" in key and "vis" not in key)
    tensors[chosen].view(-1)[0] = value
    save_file(tensors, file, metadata={"format": "pt"})
    return chosen


@pytest.fixture
def folder(image_folder, tmp_path):
    return shutil.copytree(image_folder, tmp_path / "model")


@pytest.fixture
def head_folder(folder, label_set, small_sampling, add_head):
    return add_head(folder, label_set=label_set, sampling=small_sampling)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_windows_whose_scores_are_no_numbers_are_never_absent(head_folder, label_set, small_sampling, value):
    damaged(head_folder / "model.safetensors", value=value)
    labels = labeler_of(head_folder, label_set).label(synthetic_frames(small_sampling, num_windows=3))
    assert labels.unscored.all()
    assert not (labels.states == ABSENT).any()


def test_an_infinite_logit_is_no_certainty(head_folder, label_set, small_sampling):
    metadata = json.loads((head_folder / "nrray.json").read_text())
    metadata["temperatures"] = dict.fromkeys(label_set.names, 1e-44)  # logits overflow in 32 bits
    (head_folder / "nrray.json").write_text(json.dumps(metadata))
    labels = labeler_of(head_folder, label_set).label(synthetic_frames(small_sampling, num_windows=2))
    assert labels.unscored.all()


def test_a_sound_model_has_no_window_without_a_score(head_folder, label_set, small_sampling):
    labels = labeler_of(head_folder, label_set).label(synthetic_frames(small_sampling, num_windows=2))
    assert not labels.unscored.any()


def test_a_score_that_is_no_number_claims_nothing(label_set):
    scores = np.full((2, 4), np.nan, np.float32)
    states = states_from_scores(scores, thresholds=np.full(4, 0.5, np.float32), label_set=label_set)
    assert set(states.ravel().tolist()) == {STATE_INDEX[LabelState.UNPARSED]}


@pytest.mark.parametrize("checkpoint", ["image_folder", "video_folder"])
@pytest.mark.parametrize("answer_tokens", [0, 4])
def test_a_model_that_is_asked_answers_nothing_from_no_numbers(
    request, checkpoint, answer_tokens, tmp_path, label_set, small_sampling
):
    folder = shutil.copytree(request.getfixturevalue(checkpoint), tmp_path / "model")
    damaged(folder / "model.safetensors")
    labeler = labeler_of(folder, label_set, strategy=YesNoStrategy(answer_tokens=answer_tokens))
    with pytest.raises(UnitError, match="NaN or infinite") as raised:
        labeler.label(synthetic_frames(small_sampling, num_windows=2))
    assert raised.value.kind is ErrorKind.NO_NUMBER


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_token_is_chosen_from_logits_that_are_no_numbers(temperature, value):
    choice = token_choice(Decoding(temperature=temperature, seed=0, vote=0), np.full((2, 1), 0.5))
    logits = torch.zeros(2, 5)
    assert choice(logits, 0).shape == (2,)
    logits[1, 3] = value
    with pytest.raises(UnitError):
        choice(logits, 0)


@pytest.mark.parametrize("strategy", ["head", "yes_no"])
def test_doctor_refuses_a_checkpoint_of_no_numbers_and_names_the_tensor(strategy, request, label_set, tmp_path):
    folder = request.getfixturevalue("head_folder" if strategy == "head" else "folder")
    name = damaged(folder / "model.safetensors")
    resolved = resolve_checkpoint(CheckpointChoice(path=str(folder)))
    assert resolve_strategy(None, resolved, label_set).kind == strategy
    with pytest.raises(ModelError, match=f"NaN or infinite weights in 1 of .*{name}"):
        measure_labeler(resolved, label_set=label_set, execution=Execution())


def test_heads_adapters_and_judges_of_no_numbers_are_refused(
    head_folder, image_folder, tmp_path, label_set, small_sampling
):
    damaged(head_folder / "head.safetensors", name="out.bias")
    with pytest.raises(ModelError, match=r"NaN or infinite weights in \['out.bias'\]"):
        labeler_of(head_folder, label_set)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    trained(image_folder, adapter, label_set, small_sampling, num_steps=1)
    matrices = adapter / "adapter_model.safetensors"
    damaged(matrices, name=sorted(load_file(matrices))[0])
    with pytest.raises(ModelError, match="NaN or infinite weights in 1 tensors"):
        labeler_of(image_folder, label_set, adapter=adapter)


@pytest.mark.parametrize("value", ["-1.0", "0.0", "NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["temperatures", "thresholds"])
def test_a_temperature_or_threshold_that_is_none_is_refused(head_folder, label_set, field, value):
    if field == "thresholds" and value == "0.0":
        pytest.skip("a threshold of 0 is one")
    text = (head_folder / "nrray.json").read_text()
    metadata = json.loads(text)
    metadata[field] = dict.fromkeys(label_set.names, 12345.0)
    (head_folder / "nrray.json").write_text(json.dumps(metadata).replace("12345.0", value))
    with pytest.raises(ModelError, match=field):
        resolve_checkpoint(CheckpointChoice(path=str(head_folder)))


def test_no_setting_is_infinite():
    class Some(Section):
        seconds: float = 1.0

    for text in ("nan", "inf", "-inf"):
        with pytest.raises(ValueError, match="finite"):
            Some(seconds=float(text))


def test_a_whole_checkpoint_with_a_manifest_is_refused_where_a_bit_is_flipped(head_folder):
    metadata = json.loads((head_folder / "nrray.json").read_text())
    weights = head_folder / "model.safetensors"
    metadata["files"] = {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()}
    (head_folder / "nrray.json").write_text(json.dumps(metadata))
    assert resolve_checkpoint(CheckpointChoice(path=str(head_folder)))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"model .*model.safetensors is not the file that was trained"):
        resolve_checkpoint(CheckpointChoice(path=str(head_folder)))


def flipped(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def sums_of(folder):
    names = ["config.json", "model.safetensors"]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def notes_of(folder):
    notes = folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    weights, config = (folder / name for name in ("model.safetensors", "config.json"))
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    (notes / "model.safetensors.metadata").write_text(f"{'0' * 40}\n{sha256}\n1.0\n")
    content = config.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    (notes / "config.json.metadata").write_text(f"{'0' * 40}\n{blob}\n1.0\n")


@pytest.mark.parametrize("state", [sums_of, notes_of])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_verify_compares_with_whatever_digest_is_stated(folder, state, name):
    state(folder)
    resolved = resolve_checkpoint(CheckpointChoice(path=str(folder)))
    verified = verified_checkpoint(resolved)
    assert verified.num_tensors == len(load_file(folder / "model.safetensors"))
    assert verified.num_files - len(verified.unvouched) == 2
    assert "tokenizer.json" in verified.unvouched
    flipped(folder / name)
    with pytest.raises(ModelError, match=f"{name} has another digest"):
        verified_checkpoint(resolved)


def test_verify_finds_a_number_that_is_none(folder):
    damaged(folder / "model.safetensors")
    with pytest.raises(ModelError, match="NaN or infinite weights"):
        verified_checkpoint(resolve_checkpoint(CheckpointChoice(path=str(folder))))
