"""Adapters of every vision-language model: trained, saved as peft loads them, and labelling as they were trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from nrray.models import CheckpointChoice, Execution, Pooling, resolve_checkpoint
from nrray.models.config import LoraSection
from nrray.train.run import finetune
from nrray.train.trainee.prepared import prepared_trainee
from nrray.train.training_config import HeadSection, TrainingConfig
from nrray.types import Frames
from tests.checkpoints import CHECKPOINTS
from tests.train.support import bright_job, trained_labeler, unit_of


@pytest.mark.parametrize("name", list(CHECKPOINTS))
def test_every_family_is_trained_and_labels_the_same_afterwards(
    name, tmp_path, checkpoint_of, label_set, small_sampling, accelerator
):
    job = bright_job(tmp_path, checkpoint_of(name), label_set, small_sampling, num_steps=2, validate_every_steps=1)
    job = replace(job, head=HeadSection(pooling=Pooling.ATTENTION, hidden_units=8))
    finetune(job, accelerator)
    scores = trained_labeler(job).label(unit_of(job, "c")).scores
    blank = unit_of(job, "c")
    blank = Frames(**{**vars(blank), "pixels": np.zeros_like(blank.pixels)})
    assert np.abs(trained_labeler(job).label(blank).scores - scores).max() > 1e-3
    plain = AutoModelForImageTextToText.from_pretrained(checkpoint_of(name), dtype=torch.float32)
    loaded = PeftModel.from_pretrained(plain, f"{job.output}/adapter")
    assert loaded.peft_config["default"].r == 4


@pytest.mark.parametrize(
    ("section", "parts"),
    [
        (LoraSection(rank=2, adapt_tower=True), {"adapter", "head", "tower"}),
        (LoraSection(rank=2, train_projector=True), {"adapter", "head", "projector"}),
    ],
)
def test_tower_and_projector_have_learning_rates_of_their_own(
    tmp_path, checkpoint_of, label_set, small_sampling, section, parts
):
    trainee = prepared_trainee(
        resolve_checkpoint(CheckpointChoice(path=str(checkpoint_of("qwen3_vl")))),
        execution=Execution(),
        adapter=section,
        head=HeadSection(),
        label_set=label_set,
        sampling=small_sampling,
        log_odds=torch.zeros(4),
        config=TrainingConfig(),
    )
    assert {trainee.module.part_of(name) for name in trainee.module.trained()} == parts
