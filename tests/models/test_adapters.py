"""Adapters on every family: trained a little, saved, loaded in another process, refused where they do not fit."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from nrray.errors import ModelError
from nrray.models import Pooling
from nrray.models.adapters import add_adapter, with_adapter
from nrray.models.config import LanguageModelLearning, LoraSection, LoraTargets, ResolvedParts, TowerLearning
from nrray.models.digests import folder_digest
from nrray.models.families.family import WindowRunner
from nrray.models.head import Head, add_query, save_head
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import MATRICES_FILE, Base, CheckpointMetadata, trained_labels, write_metadata
from tests.checkpoints import CHECKPOINTS, HIDDEN_SIZE
from tests.model_fixtures import labeler_of, loaded

LANGUAGE_MODEL = ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER)
SCORES = """
import json, sys
from nrray.labels import read_label_set
from nrray.models import HeadStrategy, ModelConfig, resolve_checkpoint
from nrray.models.measure import synthetic_frames
found = []
for base, adapter in zip(sys.argv[1::2], sys.argv[2::2]):
    config = ModelConfig(path=base, adapter=adapter)
    labeler = HeadStrategy().labeler(resolve_checkpoint(config), label_set=read_label_set(), execution=config)
    found.append(labeler.label(synthetic_frames(labeler.info.sampling, num_windows=3)).scores.tolist())
print(json.dumps(found))
"""


def logits_of(runner, head, unit):
    forward = runner.unit_forward(unit, question="Well?", micro_batch_windows=len(unit.window_frames))
    return head(forward(slice(0, len(unit.window_frames))))


def trained(
    base, folder, label_set, sampling, *, section=None, parts=LANGUAGE_MODEL, pooling=Pooling.QUERY, num_steps=3
):
    """An adapter and a head after some steps, saved with their description, and their scores of three windows."""
    torch.manual_seed(0)
    unit = synthetic_frames(sampling, num_windows=3)
    checkpoint = loaded(base)
    adapted = add_adapter(checkpoint, parts, section or LoraSection(rank=4, dropout=0.0))
    head = Head(hidden_size=HIDDEN_SIZE, num_activities=4, pooling=pooling)
    if pooling is Pooling.QUERY:
        add_query(checkpoint.model, head)
    runner = WindowRunner(checkpoint)
    parameters = [*(p for p in adapted.parameters() if p.requires_grad), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.05)
    for _ in range(num_steps):
        optimizer.zero_grad()
        logits = logits_of(runner, head, unit)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.eye(4)[:3]).backward()
        assert all(parameter.grad is not None for parameter in parameters)
        optimizer.step()
    with torch.inference_mode():
        scores = torch.sigmoid(logits_of(runner, head, unit)).numpy()
    adapted.save_pretrained(folder)
    save_head(head, folder)
    metadata = CheckpointMetadata(
        name="tuned",
        base=Base(path=str(base), digest=folder_digest(base)),
        labels=trained_labels(label_set),
        sampling=sampling,
        prompt="Well?",
        pooling=pooling,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )
    write_metadata(metadata, folder)
    return scores


def test_adapters_of_all_families_score_the_same_in_another_process(checkpoint_of, tmp_path, label_set, small_sampling):
    expected, folders = {}, []
    for name in CHECKPOINTS:
        (tmp_path / name).mkdir()
        expected[name] = trained(checkpoint_of(name), tmp_path / name, label_set, small_sampling)
        folders += [str(checkpoint_of(name)), str(tmp_path / name)]
    command = [sys.executable, "-c", SCORES, *folders]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout
    for name, found in zip(expected, json.loads(printed.splitlines()[-1]), strict=True):
        np.testing.assert_allclose(found, expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "section",
    [
        {"rank_stabilized": True},
        {"weight_decomposed": True},
        {"targets": LoraTargets.QUERY_VALUE},
    ],
)
def test_what_may_be_chosen_survives_saving(section, checkpoint_of, tmp_path, label_set, small_sampling):
    base = checkpoint_of("smolvlm")
    chosen = LoraSection(rank=4, dropout=0.0, **section)
    expected = trained(base, tmp_path, label_set, small_sampling, section=chosen, pooling=Pooling.MEAN_FRAMES)
    labeler = labeler_of(base, label_set, adapter=tmp_path)
    found = labeler.label(synthetic_frames(small_sampling, num_windows=3)).scores
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture
def tuned(checkpoint_of, tmp_path, label_set, small_sampling):
    """(base, adapter folder)."""
    base = checkpoint_of("llava_next_video")
    trained(base, tmp_path / "tuned", label_set, small_sampling, num_steps=1)
    return base, tmp_path / "tuned"


def test_plain_peft_loads_it_with_no_key_left_over(tuned):
    base, folder = tuned
    adapted = PeftModel.from_pretrained(loaded(base).model, folder)
    saved = set(load_file(folder / MATRICES_FILE))
    placed = {name.replace(".default", "") for name, _ in adapted.named_parameters() if "lora_" in name}
    assert saved == placed


def damaged(folder, change):
    tensors = load_file(folder / MATRICES_FILE)
    change(tensors)
    save_file(tensors, folder / MATRICES_FILE, metadata={"format": "pt"})


def test_a_missing_renamed_or_truncated_tensor_is_refused(tuned, label_set):
    base, folder = tuned
    whole = (folder / MATRICES_FILE).read_bytes()
    damaged(folder, lambda tensors: tensors.pop(next(iter(tensors))))
    with pytest.raises(ModelError, match="1 tensors are missing"):
        labeler_of(base, label_set, adapter=folder)
    damaged(folder, lambda tensors: tensors.update({"base_model.model.other.lora_A.weight": torch.zeros(4, 4)}))
    with pytest.raises(ModelError, match="have no place"):
        labeler_of(base, label_set, adapter=folder)
    (folder / MATRICES_FILE).write_bytes(whole[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        labeler_of(base, label_set, adapter=folder)


def test_another_base_is_refused(tuned, checkpoint_of, label_set):
    _, folder = tuned
    other = checkpoint_of("smolvlm")
    with pytest.raises(ModelError, match=r"was trained on .*llava_next_video"):
        labeler_of(other, label_set, adapter=folder)


def test_an_adapter_is_no_checkpoint_and_a_checkpoint_no_adapter(tuned, label_set):
    base, folder = tuned
    with pytest.raises(ModelError, match="found an adapter, expected a whole checkpoint"):
        labeler_of(folder, label_set)
    with pytest.raises(ModelError, match=r"found no nrray\.json that names its base"):
        labeler_of(base, label_set, adapter=base)


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        (ResolvedParts(tower=TowerLearning.LAST_BLOCKS, tower_blocks=1), r"visual\.blocks\.2\."),
        (ResolvedParts(tower=TowerLearning.ADAPTER), r"visual\.blocks\.2\..*lora_A"),
    ],
)
def test_an_adapter_of_a_part_that_its_base_lacks_is_refused_by_name(parts, missing, checkpoint_of, tmp_path):
    checkpoint, other = loaded(checkpoint_of("qwen3_vl")), loaded(checkpoint_of("qwen3_vl"))
    add_adapter(checkpoint, parts, LoraSection(rank=4)).save_pretrained(tmp_path)
    del other.model.model.visual.blocks[2]  # another version of the family has a shorter tower
    with pytest.raises(
        ModelError, match=rf"tensors are missing, have no place or another shape in its base.*{missing}"
    ):
        with_adapter(other.model, tmp_path)
