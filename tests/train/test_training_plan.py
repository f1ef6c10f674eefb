"""The plan: each rule by the facts that it is made from, and nothing that a config sets is planned over."""

import json
from dataclasses import replace

import pytest

from nrray.errors import ResourcesError
from nrray.models.config import (
    CheckpointChoice,
    LanguageModelLearning,
    PartsSection,
    ProjectorLearning,
    ResolvedParts,
    TowerLearning,
)
from nrray.models.resolved import resolve_checkpoint
from nrray.storage import Folder
from nrray.train.training_config import TimesformerSection, TrainingConfig
from nrray.train.training_plan import (
    FAR,
    PLAN_FILE,
    PartSizes,
    TrainingFacts,
    needed_bytes,
    planned_training,
    read_plan,
    write_plan,
)

SIZES = PartSizes(tower=3_400_000, last_blocks=1_900_000, projector=280_000, language_model=2_000_000)
LARGE = PartSizes(tower=400_000_000, last_blocks=35_000_000, projector=20_000_000, language_model=2_000_000_000)
GIB = 2**30
EMBEDDED = resolve_checkpoint(CheckpointChoice())


def facts(**changes):
    values = {
        "has_own_head": True,
        "sizes": SIZES,
        "bytes_per_weight": 4,
        "activation_bytes": 8_000_000,
        "num_windows": 1044,
        "num_cases": 18,
        "num_validation_cases": 6,
        "looks_distance": None,
        "memory_bytes": None,
    }
    return TrainingFacts(**{**values, **changes})


def planned(parts=None, training=None, *, start=EMBEDDED, **changes):
    return planned_training(parts or PartsSection(), training or TrainingConfig(), facts(**changes), start=start)


def test_new_looks_let_the_tower_s_last_blocks_learn_and_known_ones_leave_it_as_it_is():
    far, near, unknown = (planned(looks_distance=distance) for distance in (FAR + 0.1, FAR - 0.1, None))
    for plan in (far, unknown):
        assert plan.parts == ResolvedParts(
            tower=TowerLearning.LAST_BLOCKS,
            tower_blocks=2,
            projector=ProjectorLearning.WHOLE,
            language_model=LanguageModelLearning.ADAPTER,
        )
    assert near.parts == ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER)
    assert f"{FAR + 0.1:.2f} times as far" in " ".join(far.reasons)
    assert "does not say which looks its tower knows" in " ".join(unknown.reasons)


@pytest.mark.parametrize("last_blocks", [None, 35_000_000])
def test_a_tower_whose_last_blocks_are_unknown_or_large_learns_by_an_adapter(last_blocks):
    plan = planned(sizes=LARGE.model_copy(update={"last_blocks": last_blocks}))
    assert plan.parts.tower is TowerLearning.ADAPTER


def test_looks_that_cannot_be_compared_yet_are_told_from_those_that_a_checkpoint_does_not_have():
    yet, never = planned(has_looks=True), planned(has_looks=False)
    assert yet.parts == never.parts
    assert "when frames are there" in " ".join(yet.reasons)
    assert "does not say which looks" in " ".join(never.reasons)


def test_large_models_learn_at_lower_rates():
    small, large = planned(), planned(sizes=LARGE)
    for rate in ("learning_rate", "tower_learning_rate", "projector_learning_rate"):
        assert getattr(large.training, rate) < getattr(small.training, rate)


def test_a_new_head_learns_alone_first():
    assert planned(has_own_head=True).training.head_first_steps == 0
    plan = planned(has_own_head=False)
    assert plan.training.head_first_steps == plan.training.num_steps // 10
    assert any("learns alone" in reason for reason in plan.reasons)


def test_what_the_config_sets_is_not_planned_over():
    parts = PartsSection(tower=TowerLearning.NORMS, language_model=LanguageModelLearning.FROZEN)
    training = TrainingConfig(num_steps=77, tower_learning_rate=5e-5, head_first_steps=3)
    plan = planned(parts, training, has_own_head=False)
    assert plan.parts == ResolvedParts(tower=TowerLearning.NORMS, projector=ProjectorLearning.WHOLE)
    assert plan.training.num_steps == 77
    assert plan.training.tower_learning_rate == 5e-5
    assert plan.training.head_first_steps == 3


def test_a_timesformer_is_trained_whole_and_a_frozen_encoder_gets_a_head():
    whole = planned(start=TimesformerSection(), sizes=None)
    assert whole.parts == ResolvedParts(tower=TowerLearning.WHOLE)
    encoder = planned(start=replace(EMBEDDED, model_type="vjepa2"), has_own_head=False)
    assert encoder.parts.is_frozen
    assert encoder.training.head_first_steps == 0


def test_a_written_plan_gives_its_facts_back(tmp_path):
    output = Folder(str(tmp_path))
    assert read_plan(output) is None
    plan = planned(looks_distance=2.5)
    write_plan(plan, output)
    assert read_plan(output) == plan.document()
    assert plan.document().facts == plan.facts
    written = json.loads((tmp_path / PLAN_FILE).read_text())
    assert written["parts"] == {
        "tower": "last_blocks", "tower_blocks": 2, "projector": "whole", "language_model": "adapter",
    }  # fmt: skip
    assert written["training"]["num_steps"] == 600
    assert written["reasons"] == list(plan.reasons)


def test_a_training_is_made_to_fit_a_worker_or_is_refused_before_it_starts():
    large = {"sizes": LARGE, "bytes_per_weight": 2, "activation_bytes": 6 * GIB}
    roomy = planned(memory_bytes=141 * GIB, **large).training
    assert (roomy.micro_batch_windows, roomy.gradient_checkpointing) == (8, False)
    fewer = planned(memory_bytes=24 * GIB, **large)
    assert (fewer.training.micro_batch_windows, fewer.training.gradient_checkpointing) == (2, False)
    assert "24.0 GiB: windows at once 2." in " ".join(fewer.reasons)
    checkpointed = planned(memory_bytes=10 * GIB, **large).training
    assert checkpointed.gradient_checkpointing
    with pytest.raises(ResourcesError, match=r"needs about .* GiB a worker.*has 4\.0 GiB.*parts\.tower=frozen"):
        planned(memory_bytes=4 * GIB, **large)


def test_the_estimate_of_memory_counts_what_learns():
    every = facts()
    training = planned().training

    def needed(**parts):
        return needed_bytes(ResolvedParts(**parts), training, every)

    frozen = needed(tower=TowerLearning.FROZEN)
    assert frozen == 4 * (3_400_000 + 280_000 + 2_000_000)
    blocks = needed(tower=TowerLearning.LAST_BLOCKS, tower_blocks=2)
    assert blocks - frozen == 16 * 1_900_000 + 8 * 8_000_000
