"""Parts that learn, of every family: exactly those, saved as peft loads them, and labelling as they were trained."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModel, AutoModelForImageTextToText

from nrray.models import CheckpointChoice, Execution, Pooling, resolve_checkpoint
from nrray.models.adapters import learning_modules, with_adapter
from nrray.models.config import (
    Dtype,
    LanguageModelLearning,
    LoraSection,
    ProjectorLearning,
    ResolvedParts,
    TowerLearning,
)
from nrray.train.run import finetune
from nrray.train.state import Records
from nrray.train.trainee.frozen import FrozenModel
from nrray.train.trainee.prepared import prepared_trainee
from nrray.train.trainee.trainee import check_gradients
from nrray.train.training_config import HeadSection, TrainingConfig
from nrray.train.validation import autocast
from nrray.types import Frames
from tests.checkpoints import CHECKPOINTS, NUM_FRAMES, SIDE_PX
from tests.model_fixtures import loaded
from tests.train.support import LANGUAGE_MODEL, bright_job, model_of, trained_labeler, unit_of, validations_of

MATRICES = ResolvedParts(
    tower=TowerLearning.ADAPTER, projector=ProjectorLearning.ADAPTER, language_model=LanguageModelLearning.NORMS
)
NORMS = ResolvedParts(
    tower=TowerLearning.NORMS, projector=ProjectorLearning.WHOLE, language_model=LanguageModelLearning.ADAPTER
)
LAST_BLOCK = ResolvedParts(tower=TowerLearning.LAST_BLOCKS, tower_blocks=1)
WHOLE_TOWER = ResolvedParts(tower=TowerLearning.WHOLE)
LINEARS = r"language_model\.layers\..*proj\.weight"
LANGUAGE_NORMS = r"language_model\..*norm\.weight"
EFFICIENT_NET = r"vision_tower\.timm_model\."
CLIP = r"vision_tower\."
QWEN_MERGER = r"visual\.merger\."
CHANGES = {
    ("fast_vlm", MATRICES): rf"{EFFICIENT_NET}.*(conv_pwl?|conv_head)\.weight|projector.*\d\.weight|{LANGUAGE_NORMS}",
    ("fast_vlm", NORMS): rf"{EFFICIENT_NET}.*bn\d\.(weight|bias)|projector|{LINEARS}",
    ("fast_vlm", LAST_BLOCK): rf"{EFFICIENT_NET}(blocks\.6|conv_head|bn2)\.(?!.*conv_dw).*(weight|bias)",
    ("llava_next_video", MATRICES): rf"{CLIP}encoder.*(proj|fc\d)\.weight|{CLIP}embeddings.patch_embedding|"
    rf"projector.*\d\.weight|{LANGUAGE_NORMS}",
    ("llava_next_video", NORMS): rf"{CLIP}(pre_layrnorm|encoder.*layer_norm\d)\.|projector|{LINEARS}",
    ("llava_next_video", WHOLE_TOWER): rf"{CLIP}(pre_layrnorm|encoder|embeddings)\.",
    ("qwen2_5_vl", MATRICES): rf"visual\.(blocks.*(qkv|proj)|patch_embed.proj|merger.*\d)\.weight|{LANGUAGE_NORMS}",
    ("qwen2_5_vl", LAST_BLOCK): r"visual\.blocks\.1\.",
    ("qwen3_vl", MATRICES): r"visual\.(blocks.*(qkv|proj|fc\d)|patch_embed.proj|(deepstack_)?merger.*fc\d)\.weight|"
    rf"{LANGUAGE_NORMS}",
    ("qwen3_vl", NORMS): rf"visual\.(blocks\.\d\.norm\d|merger|deepstack_merger_list)\.|{LINEARS}",
    ("qwen3_vl", LAST_BLOCK): r"visual\.blocks\.2\.",
    ("smolvlm", MATRICES): r"vision_model\.(encoder.*(proj|fc\d)|embeddings.patch_embedding)\.weight|connector|"
    r"text_model\..*norm\.weight",
    ("smolvlm", LAST_BLOCK): r"vision_model\.(encoder\.layers\.1|post_layernorm)\.",
    ("smolvlm", WHOLE_TOWER): r"vision_model\.",
    ("timesformer", ResolvedParts(tower=TowerLearning.ADAPTER)): r"encoder.*(qkv|dense)\.weight|.*projection\.weight",
    ("timesformer", ResolvedParts(tower=TowerLearning.NORMS)): r".*layernorm",
    ("timesformer", LAST_BLOCK): r"encoder\.layer\.1\.",
    (
        "videomae",
        ResolvedParts(tower=TowerLearning.ADAPTER),
    ): r"encoder.*(query|key|value|dense)\.weight|.*projection\.weight",
    ("videomae", LAST_BLOCK): r"encoder\.layer\.1\.|layernorm",
    ("vjepa2", ResolvedParts(tower=TowerLearning.ADAPTER)): r"encoder.*(query|key|value|proj|fc\d)\.weight",
    ("vjepa2", ResolvedParts(tower=TowerLearning.NORMS)): r"encoder\..*norm",
    ("vjepa2", LAST_BLOCK): r"encoder\.layer(\.1\.|norm)",
}
"""Checkpoint and what learns of it to the names, behind `model.`, of the weights that must change, and no others may."""


def prepared(folder, label_set, sampling, *, parts, section=None, head=None, dtype=Dtype.FLOAT32):
    return prepared_trainee(
        resolve_checkpoint(CheckpointChoice(path=str(folder))),
        execution=Execution(dtype=dtype),
        parts=parts,
        adapter=section or LoraSection(rank=4),
        head=head or HeadSection(pooling=Pooling.MEAN_FRAMES),
        label_set=label_set,
        sampling=sampling,
        log_odds=torch.zeros(4),
        config=TrainingConfig(),
    )


def noise_inputs(trainee):
    windows = np.random.default_rng(0).integers(0, 256, (2, NUM_FRAMES, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    return trainee.inputs(windows)


def after_two_steps(trainee):
    """The trainee in eval mode, its inputs and logits."""
    module, inputs, cpu = trainee.module.train(), noise_inputs(trainee), torch.device("cpu")
    optimizer = torch.optim.AdamW(module.trained().values(), lr=0.03)
    for _ in range(2):  # matrices that start at 0 keep the other ones from learning in the first
        optimizer.zero_grad()
        with autocast(cpu, trainee.dtype):
            cost = module(inputs).float().square().mean()
        cost.backward()
        check_gradients(module)
        optimizer.step()
    with torch.no_grad(), autocast(cpu, trainee.dtype):
        return module.eval(), inputs, module(inputs)


@pytest.mark.parametrize(("name", "parts"), list(CHANGES), ids=[f"{name}-{parts.text()}" for name, parts in CHANGES])
def test_what_is_asked_for_learns_and_is_loaded_as_it_was_trained(
    name, parts, checkpoint_of, tmp_path, label_set, small_sampling
):
    folder = checkpoint_of(name)
    trainee = prepared(folder, label_set, small_sampling, parts=parts)
    module, inputs, expected = after_two_steps(trainee)
    module.save(tmp_path)
    base, changed = loaded(folder), loaded(folder)
    changed = replace(changed, model=with_adapter(changed.model, tmp_path))
    before, after = base.model.state_dict(), changed.model.state_dict()
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        is_asked = re.match(
            CHANGES[name, parts], key.removeprefix("model.").replace("multi_modal_projector", "projector")
        )
        is_counter = "running" in key or "num_batches" in key
        if not is_asked or is_counter:
            torch.testing.assert_close(after[key], tensor, rtol=0, atol=0, msg=key)
        elif key.endswith("weight"):
            assert not torch.equal(after[key], tensor), key
    PeftModel.from_pretrained(base.model, tmp_path).eval()  # puts the adapter into the base
    changed.family.runner(changed)  # a tower's layout for labelling, after the adapter is merged
    with torch.no_grad():
        for one in (base, changed):
            found = module.head(one.family.hidden_states(one, inputs))
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


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
    adapted = PeftModel.from_pretrained(plain, model_of(job))
    assert adapted.peft_config["default"].r == 4


def test_an_encoder_whose_last_block_learned_labels_from_its_adapter(
    tmp_path, checkpoint_of, label_set, small_sampling, accelerator
):
    job = bright_job(tmp_path, checkpoint_of("timesformer"), label_set, small_sampling, validate_every_steps=1)
    finetune(replace(job, parts=LAST_BLOCK), accelerator)
    assert not Path(job.output, "model").exists()
    assert trained_labeler(job).label(unit_of(job, "c")).scores.shape == (6, 4)
    plain = AutoModel.from_pretrained(checkpoint_of("timesformer"), dtype=torch.float32)
    assert PeftModel.from_pretrained(plain, model_of(job)).peft_config["default"].modules_to_save
    card = Path(model_of(job), "model_card.md").read_text()
    assert "An adapter (tower: last blocks (1)) and a classification head for the checkpoint" in card


class StoppedError(Exception):
    pass


def test_a_stopped_training_goes_on_to_the_same_end(
    tmp_path, checkpoint_of, label_set, small_sampling, accelerator, monkeypatch
):
    job = bright_job(tmp_path, checkpoint_of("smolvlm"), label_set, small_sampling)
    job = replace(job, parts=replace(MATRICES, tower=TowerLearning.LAST_BLOCKS, tower_blocks=1))
    (tmp_path / "again").mkdir()
    again = replace(job, output=str(tmp_path / "again"))
    finetune(job, accelerator)
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
    found, expected = ([(e.step, e.validation_loss) for e in validations_of(one)] for one in (again, job))
    assert found == expected
    labels = [trained_labeler(one).label(unit_of(job, "c")).scores for one in (again, job)]
    np.testing.assert_array_equal(*labels)


@pytest.mark.parametrize(
    ("parts", "rates", "reported"),
    [
        (replace(MATRICES, language_model=LanguageModelLearning.FROZEN), {"head", "projector", "tower"}, "tower"),
        (NORMS, {"head", "language_model", "projector", "tower"}, "language_model"),
        (
            ResolvedParts(tower=TowerLearning.FROZEN, projector=ProjectorLearning.WHOLE),
            {"head", "projector"},
            "projector",
        ),
        (LANGUAGE_MODEL, {"head", "language_model"}, "language_model"),
    ],
)
def test_every_part_has_a_learning_rate_of_its_own(checkpoint_of, label_set, small_sampling, parts, rates, reported):
    module = prepared(checkpoint_of("qwen3_vl"), label_set, small_sampling, parts=parts).module
    assert {module.part_of(name) for name in module.trained()} == rates
    assert module.main_part == reported
    sections = TrainingConfig(
        learning_rate=0.1, tower_learning_rate=0.2, projector_learning_rate=0.3, head_learning_rate=0.4
    )
    words = {
        "language_model": "0.1 of the language model",
        "tower": "0.2 of the tower",
        "projector": "0.3 of the projector",
    }
    text = module.rates_text(sections)
    assert [part for part, phrase in words.items() if phrase in text] == [part for part in words if part in rates]
    assert text.endswith("and 0.4 of the head")


def test_a_tower_that_learns_keeps_its_statistics_and_its_mode(checkpoint_of, label_set, small_sampling):
    trainee = prepared(checkpoint_of("fast_vlm"), label_set, small_sampling, parts=LAST_BLOCK)
    module = trainee.module.train()
    assert not any(part.training for part in module.adapted.get_base_model().get_encoder(modality="image").modules())
    assert module.adapted.get_base_model().get_decoder().training


@pytest.mark.parametrize("parts", [LAST_BLOCK, MATRICES])
def test_a_tower_s_frozen_layers_are_laid_out_for_speed_and_those_that_learn_are_not(
    parts, checkpoint_of, label_set, small_sampling
):
    folder = checkpoint_of("fast_vlm")
    module = prepared(folder, label_set, small_sampling, parts=parts).module.eval()
    tower = module.adapted.get_base_model().get_encoder(modality="image")
    learning = {part for one in learning_modules(module.adapted) for part in one.modules()}
    # Behind a convolution with an adapter stands a sum, which cannot be fused into it.
    behind = {
        name for name, part in tower.named_modules() if isinstance(part, torch.nn.BatchNorm2d) and part not in learning
    }
    plain = loaded(folder).model.get_encoder(modality="image")
    all_of_it = {name for name, part in plain.named_modules() if isinstance(part, torch.nn.BatchNorm2d)}
    if parts is LAST_BLOCK:
        assert behind == set()
    else:
        assert behind < all_of_it
        assert not any("conv_dw" in name for name in behind)
    pixels = torch.rand(2, 3, SIDE_PX, SIDE_PX)
    with torch.no_grad():
        found, expected = (one(pixel_values=pixels).last_hidden_state for one in (tower, plain))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("parts", [LAST_BLOCK, WHOLE_TOWER, NORMS])
def test_weights_that_learn_have_32_bits_in_a_model_of_16(parts, checkpoint_of, tmp_path, label_set, small_sampling):
    folder = checkpoint_of("llava_next_video")
    trainee = prepared(folder, label_set, small_sampling, parts=parts, dtype=Dtype.BFLOAT16)
    module, inputs, expected = after_two_steps(trainee)
    assert {parameter.dtype for parameter in module.trained().values()} == {torch.float32}
    assert trainee.dtype == torch.bfloat16
    module.save(tmp_path)
    sixteen = loaded(folder, dtype=Dtype.BFLOAT16)
    sixteen = replace(sixteen, model=with_adapter(sixteen.model, tmp_path).eval())
    with torch.no_grad():
        found = module.head(sixteen.family.hidden_states(sixteen, inputs))
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("pooling", [Pooling.MEAN_FRAMES, Pooling.QUERY])
def test_a_head_alone_learns_on_a_language_model(pooling, checkpoint_of, label_set, small_sampling):
    parts = ResolvedParts(tower=TowerLearning.FROZEN)
    head = HeadSection(pooling=pooling)
    trainee = prepared(checkpoint_of("smolvlm"), label_set, small_sampling, parts=parts, head=head)
    assert isinstance(trainee.module, FrozenModel)
    after_two_steps(trainee)
    assert {name.partition(".")[0] for name in trainee.module.trained()} == {"head"}
    assert trainee.module.title("base") == "A classification head for the frozen model `base`"


def test_nothing_below_what_learns_is_kept_for_the_way_back(checkpoint_of, label_set, small_sampling):
    trainee = prepared(checkpoint_of("qwen3_vl"), label_set, small_sampling, parts=LAST_BLOCK)
    blocks = trainee.module.adapted.get_base_model().model.visual.blocks
    needs = []
    for block in blocks:
        block.register_forward_hook(lambda _module, _inputs, output: needs.append(output.requires_grad))
    trainee.module.train()(noise_inputs(trainee))
    assert needs == [False, False, True]
