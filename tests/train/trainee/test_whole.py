"""Encoders that are trained whole."""

from dataclasses import replace

import pytest
import torch

from nrray.errors import ConfigError, ModelError
from nrray.models import CheckpointChoice, Execution, Pooling, resolve_checkpoint
from nrray.models.config import Dtype, LoraSection, ResolvedParts, TowerLearning
from nrray.models.head import Head
from nrray.train.run import finetune
from nrray.train.trainee.prepared import prepared_trainee
from nrray.train.trainee.whole import WholeEncoder
from nrray.train.training_config import HeadSection, TrainingConfig
from tests.checkpoints import HIDDEN_SIZE
from tests.model_fixtures import labeler_of, loaded
from tests.train.support import bright_job, model_of


def test_a_timesformer_checkpoint_is_trained_from_its_last_layer_down(
    tmp_path, checkpoint_of, label_set, small_sampling, accelerator
):
    job = bright_job(tmp_path, checkpoint_of("timesformer"), label_set, small_sampling, num_steps=5)
    finetune(job, accelerator)
    labeler = labeler_of(str(model_of(job)), label_set)
    assert labeler.info.parameter_count > 0
    checkpoint = loaded(checkpoint_of("timesformer"))
    head = Head(hidden_size=HIDDEN_SIZE, num_activities=4, pooling=Pooling.MEAN_FRAMES)
    module = WholeEncoder(checkpoint, head, unfreezing=0.5)
    starts = {name: module.start_of(name) for name in module.trained()}
    assert starts["model.encoder.layer.1.attention.attention.qkv.weight"] == 0.0
    assert starts["model.encoder.layer.0.attention.attention.qkv.weight"] == 0.25
    assert starts["model.embeddings.cls_token"] == 0.5
    assert starts["model.layernorm.weight"] == starts["head.out.weight"] == 0.0


def test_a_timesformer_has_no_prompt_to_read(tmp_path, checkpoint_of, label_set, small_sampling, accelerator):
    job = bright_job(tmp_path, checkpoint_of("timesformer"), label_set, small_sampling)
    with pytest.raises(ConfigError, match=r"head.pooling: found query, expected one of mean_frames, attention"):
        finetune(replace(job, head=HeadSection(pooling=Pooling.QUERY)), accelerator)


def test_a_language_model_is_not_trained_whole(image_folder):
    head = Head(hidden_size=HIDDEN_SIZE, num_activities=4, pooling=Pooling.MEAN_FRAMES)
    with pytest.raises(ModelError, match="found no video encoder"):
        WholeEncoder(loaded(image_folder), head, unfreezing=0.5)


def test_what_is_trained_whole_keeps_32_bit_weights(checkpoint_of, label_set, small_sampling):
    trainee = prepared_trainee(
        resolve_checkpoint(CheckpointChoice(path=str(checkpoint_of("timesformer")))),
        execution=Execution(dtype=Dtype.BFLOAT16),
        parts=ResolvedParts(tower=TowerLearning.WHOLE),
        adapter=LoraSection(),
        head=HeadSection(),
        label_set=label_set,
        sampling=small_sampling,
        log_odds=torch.zeros(4),
        config=TrainingConfig(),
    )
    assert {parameter.dtype for parameter in trainee.module.parameters()} == {torch.float32}
    assert (trainee.dtype, trainee.base) == (torch.bfloat16, None)
