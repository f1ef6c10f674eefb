"""Frozen encoders with a trained head: V-JEPA 2 and VideoMAE, trained, saved, loaded, exported, gone on with."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import VideoMAEConfig, VideoMAEModel, VideoMAEVideoProcessor, VJEPA2Model

from nrray.errors import ConfigError, DataError, ModelError
from nrray.models import CheckpointChoice, CheckpointKind, Execution, Pooling, resolve_checkpoint
from nrray.models.config import Dtype
from nrray.models.digests import folder_digest
from nrray.models.export import export_model
from nrray.models.head import Head
from nrray.models.metadata import read_metadata, write_metadata
from nrray.train.output import VALIDATION_FILE, read_metrics
from nrray.train.run import finetune
from nrray.train.schedule import schedule_of
from nrray.train.state import Records
from nrray.train.trainee.frozen import FrozenModel
from nrray.train.training_config import HeadSection
from tests.checkpoints import NUM_FRAMES, SIDE_PX
from tests.model_fixtures import labeler_of, loaded
from tests.train.support import NUM_STARTS, bright_job, history_of, model_of, trained_labeler, unit_of, validations_of

ENCODERS = ("videomae", "vjepa2")
HEADS = {
    "videomae": HeadSection(pooling=Pooling.MEAN_FRAMES, hidden_units=8),
    "vjepa2": HeadSection(pooling=Pooling.ATTENTION),
}
encoders = pytest.mark.parametrize("name", ENCODERS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, checkpoint_of, label_set, small_sampling, accelerator):
    """Name of an encoder to the job of its training."""
    jobs = {}
    for name in ENCODERS:
        folder = tmp_path_factory.mktemp(name)
        job = bright_job(folder, checkpoint_of(name), label_set, small_sampling, num_steps=20)
        jobs[name] = replace(job, head=HEADS[name])
        finetune(jobs[name], accelerator)
    return jobs


def adapter_of(job):
    return model_of(job)


def resolved(job):
    return resolve_checkpoint(CheckpointChoice(path=job.start.path, adapter=str(adapter_of(job))))


@encoders
def test_the_head_learns_what_can_be_seen(name, trained):
    found = validations_of(trained[name])
    assert min(event.validation_loss for event in found[1:]) < 0.9 * found[0].validation_loss


@encoders
def test_the_loaded_head_scores_as_it_was_measured(name, trained):
    job = trained[name]
    with np.load(Path(job.output) / VALIDATION_FILE) as measured:
        logits = measured["logits"]
    metadata = resolved(job).metadata
    temperatures = np.array([metadata.temperatures[activity] for activity in job.label_set.names])
    scores = trained_labeler(job).label(unit_of(job, "c", NUM_STARTS)).scores[:: job.sampling.frames_per_stride]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits[: len(scores)] / temperatures)), atol=1e-5)


@encoders
def test_an_adapter_of_a_head_alone_is_left(name, trained, checkpoint_of):
    job = trained[name]
    checkpoint = resolved(job)
    assert checkpoint.kind is CheckpointKind.ADAPTED
    assert not checkpoint.metadata.has_matrices
    assert checkpoint.metadata.base.digest == folder_digest(checkpoint_of(name))
    assert checkpoint.metadata.files.keys() == {"head.safetensors", "looks.safetensors", "metrics.json", "split.json"}
    assert set(load_file(adapter_of(job) / "head.safetensors")) >= {"out.weight", "out.bias"}
    assert not (Path(job.output) / "model").exists()


@encoders
def test_the_card_says_that_the_encoder_is_frozen(name, trained, checkpoint_of):
    card = (adapter_of(trained[name]) / "model_card.md").read_text()
    assert f"A classification head for the frozen encoder `{checkpoint_of(name)}`, made by" in card
    assert "learning rate 0.02 of the head, objective" in card


@encoders
def test_the_learning_rate_that_is_reported_is_the_head_s(name, trained):
    job = trained[name]
    steps = [event for event in history_of(job) if hasattr(event, "learning_rate")]
    assert steps[0].learning_rate == pytest.approx(
        job.training.head_learning_rate * schedule_of(job.training, stuck_at=None).share(steps[0].step - 1)
    )


@encoders
def test_the_merged_checkpoint_gives_the_same_scores(name, trained, label_set, tmp_path):
    job = trained[name]
    exported = export_model(resolved(job), tmp_path / "merged", label_set)
    assert exported.max_difference < 1e-6
    unit = unit_of(job, "c")
    found = labeler_of(exported.folder, label_set).label(unit)
    np.testing.assert_allclose(found.scores, trained_labeler(job).label(unit).scores, atol=1e-6)
    assert resolve_checkpoint(CheckpointChoice(path=exported.folder)).kind is CheckpointKind.TRAINED
    plain = VJEPA2Model if name == "vjepa2" else VideoMAEModel
    assert plain.from_pretrained(exported.folder).num_parameters() == exported.parameter_count


def test_a_merged_head_learns_on(trained, label_set, tmp_path, accelerator):
    job = trained["vjepa2"]
    exported = export_model(resolved(job), tmp_path / "merged", label_set)
    further = bright_job(tmp_path, Path(exported.folder), label_set, job.sampling, num_steps=2)
    further = replace(further, head=job.head)
    finetune(further, accelerator)
    best_step = read_metrics(adapter_of(job)).best_step
    kept = next(event for event in validations_of(job) if event.step == best_step)
    assert validations_of(further)[0].validation_loss == pytest.approx(kept.validation_loss, abs=1e-5)


class StoppedError(Exception):
    pass


@encoders
def test_a_stopped_training_goes_on_to_the_same_end(name, trained, tmp_path, accelerator, monkeypatch):
    job = trained[name]
    (tmp_path / "out").mkdir()
    again = replace(job, output=str(tmp_path / "out"))
    write_state = Records.write_state

    def stopping(self, state):
        write_state(self, state)
        if state.progress.step >= 3:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Records, "write_state", stopping)
        with pytest.raises(StoppedError):
            finetune(again, accelerator)
    finetune(again, accelerator)
    losses = [[(e.step, e.validation_loss) for e in validations_of(one)] for one in (again, job)]
    assert losses[0] == losses[1]
    other = replace(again, training=again.training.model_copy(update={"seed": 7}))
    with pytest.raises(DataError, match="other settings"):
        finetune(other, accelerator)


@encoders
def test_another_encoder_or_another_head_is_refused(name, trained, checkpoint_of, label_set, tmp_path):
    job = trained[name]
    other = checkpoint_of(next(one for one in ENCODERS if one != name))
    with pytest.raises(ModelError, match=rf"was trained on .*{name}"):
        labeler_of(other, label_set, adapter=adapter_of(job))
    changed = shutil.copytree(adapter_of(job), tmp_path / "adapter")
    (changed / "head.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"head\.safetensors is not the file that was trained"):
        labeler_of(job.start.path, label_set, adapter=changed)


def test_matrices_that_a_description_vouches_for_must_be_there(trained, label_set, tmp_path):
    changed = shutil.copytree(adapter_of(trained["vjepa2"]), tmp_path / "adapter")
    metadata = read_metadata(changed)
    files = {**metadata.files, "adapter_model.safetensors": "0" * 64}
    write_metadata(metadata.model_copy(update={"files": files}), changed)
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is missing"):
        labeler_of(trained["vjepa2"].start.path, label_set, adapter=changed)


def test_the_encoder_stays_as_it_labels_while_its_head_learns(tmp_path, label_set, small_sampling):
    size = {"height": SIDE_PX, "width": SIDE_PX}
    config = VideoMAEConfig(
        image_size=SIDE_PX,
        num_frames=NUM_FRAMES,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=0.5,
        use_mean_pooling=False,
    )
    VideoMAEModel(config).save_pretrained(tmp_path)
    VideoMAEVideoProcessor(size={"shortest_edge": SIDE_PX}, crop_size=size).save_pretrained(tmp_path)
    checkpoint = loaded(tmp_path)
    trainee = FrozenModel(checkpoint, Head(hidden_size=16, num_activities=4, pooling=Pooling.ATTENTION))
    assert {trainee.part_of(name) for name in trainee.trained()} == {"head"}
    inputs = {"pixel_values": torch.rand(2, NUM_FRAMES, 3, SIDE_PX, SIDE_PX)}
    found = [trainee.train(mode)(inputs) for mode in (True, False)]
    torch.testing.assert_close(*found)
    found[0].sum().backward()
    assert all(parameter.grad is not None for parameter in trainee.trained().values())
    assert all(parameter.grad is None for parameter in checkpoint.model.parameters())


def test_a_window_of_another_length_is_refused_before_training(
    tmp_path, checkpoint_of, label_set, small_sampling, accelerator
):
    longer = small_sampling.model_copy(update={"window_seconds": 4.0})
    job = bright_job(tmp_path, checkpoint_of("videomae"), label_set, longer)
    with pytest.raises(ModelError, match="found windows of 8 frames, expected the 6 that its positions"):
        finetune(job, accelerator)


@encoders
def test_an_encoder_has_no_prompt_to_read(name, tmp_path, checkpoint_of, label_set, small_sampling, accelerator):
    job = bright_job(tmp_path, checkpoint_of(name), label_set, small_sampling)
    with pytest.raises(ConfigError, match=r"head.pooling: found last, expected one of mean_frames, attention for a"):
        finetune(replace(job, head=HeadSection(pooling=Pooling.LAST)), accelerator)


def test_a_frozen_encoder_computes_in_sixteen_bits_where_it_is_asked_to(
    tmp_path, checkpoint_of, label_set, accelerator, small_sampling
):
    job = bright_job(tmp_path, checkpoint_of("vjepa2"), label_set, small_sampling, num_steps=5)
    job = replace(job, head=HEADS["vjepa2"], execution=Execution(dtype=Dtype.BFLOAT16))
    finetune(job, accelerator)
    labeler = trained_labeler(job)
    assert labeler.info.dtype == "bfloat16"
    assert load_file(adapter_of(job) / "head.safetensors")["out.weight"].dtype == torch.float32
    with np.load(Path(job.output) / VALIDATION_FILE) as measured:
        logits = measured["logits"]
    temperatures = np.array([resolved(job).metadata.temperatures[name] for name in label_set.names])
    scores = labeler.label(unit_of(job, "c", NUM_STARTS)).scores[:: job.sampling.frames_per_stride]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits[: len(scores)] / temperatures)), atol=0.03)
