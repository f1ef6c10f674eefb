"""The engine of vLLM, over a stand-in with vLLM's signatures: its replies are those of the engine of transformers, and what
vLLM does not do is refused by name, before anything is loaded where that can be told."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nrray.errors import ConfigError, ErrorKind, ModelError, UnitError
from nrray.models import CheckpointChoice, Execution, Pooling, resolve_checkpoint
from nrray.models.adapters import add_adapter
from nrray.models.config import Device, Dtype, LanguageModelLearning, LoraSection, ResolvedParts, TowerLearning
from nrray.models.device_loss import EngineDiedError, is_device_lost
from nrray.models.digests import folder_digest
from nrray.models.engines import Decoding, Question, TransformersSection, VllmSection
from nrray.models.engines.vllm_support import LORA_RANKS, lora_rank
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import MATRICES_FILE, Base, CheckpointMetadata, trained_labels, write_metadata
from tests.model_fixtures import loaded as loaded_checkpoint
from tests.vllm_stand_in import EngineDeadError, installed

CHOICES = (("yes",), ("no",), (" ventilation",), ("</s>", "a"))
QUESTIONS = (
    Question(name="short", text="Well?", choices=CHOICES, max_tokens=5),
    Question(name="long", text="Is the newborn ventilated with a mask and a bag?", choices=CHOICES, max_tokens=3),
    Question(name="scored", text="Is the newborn stimulated?", choices=CHOICES, max_tokens=0),
    Question(name="spoken", text="Describe what is seen.", max_tokens=6),
)
SCHEMA = json.dumps({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]})


def loaded(folder, **settings):
    section = VllmSection(**settings)
    return section.loaded(section.resolved(CheckpointChoice(path=str(folder))), execution=Execution())


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl", "llava_next_video", "llava"])
def test_replies_are_those_of_the_engine_of_transformers(name, checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=3)
    local = TransformersSection().loaded(
        resolve_checkpoint(CheckpointChoice(path=str(checkpoint_of(name)))), execution=Execution()
    )
    expected = local.ask(unit, QUESTIONS)
    with installed():
        found = loaded(checkpoint_of(name)).ask(unit, QUESTIONS)
    assert found.texts == expected.texts
    assert found.num_tokens.tolist() == expected.num_tokens.tolist()
    for ours, theirs in zip(found.probabilities, expected.probabilities, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert np.ptp(found.probabilities[0][:, 0]) > 0  # else equality would say nothing of frames


def test_questions_about_a_window_stand_side_by_side_behind_the_same_frames(checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=2)
    with installed() as seen:
        loaded(checkpoint_of("qwen2_5_vl")).ask(unit, QUESTIONS)
    assert len(seen.prompts) == 8
    for window in range(2):
        shown = [prompt["multi_modal_data"]["video"][0] for prompt in seen.prompts[4 * window : 4 * window + 4]]
        for pixels, metadata in shown:
            assert (pixels == unit.pixels[unit.window_frames[window]]).all()
            assert metadata["fps"] == unit.frames_per_second
            assert metadata["frames_indices"] == list(range(6))


def test_choices_of_an_answer_with_a_schema_are_scored_without_its_grammar(checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=1)
    with_schema = replace(QUESTIONS[0], schema=SCHEMA)
    with installed() as seen:
        engine = loaded(checkpoint_of("qwen2_5_vl"))
        found = engine.ask(unit, [with_schema, QUESTIONS[3]])
        free = engine.ask(unit, [QUESTIONS[0]])
    spoken, scored, other, _ = seen.samplings
    assert spoken.structured_outputs.json == SCHEMA
    assert spoken.logprob_token_ids is None
    assert scored.structured_outputs is None
    assert scored.max_tokens == 1
    assert other.structured_outputs is None
    np.testing.assert_allclose(found.probabilities[0], free.probabilities[0], rtol=1e-6)
    assert len(found.texts[0]) == 2


def test_every_answer_is_drawn_by_a_seed_of_its_own(checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=2)

    def seeds(decoding):
        with installed() as seen:
            loaded(checkpoint_of("qwen2_5_vl")).ask(unit, QUESTIONS[:2], decoding=decoding)
        return [(sampling.temperature, sampling.seed) for sampling in seen.samplings]

    drawn = seeds(Decoding(temperature=0.7, seed=3))
    assert len(set(drawn)) == 4
    assert seeds(Decoding(temperature=0.7, seed=3)) == drawn
    for other in (Decoding(temperature=0.7, seed=4), Decoding(temperature=0.7, seed=3, vote=1)):
        assert not set(seeds(other)) & set(drawn)
    assert seeds(Decoding()) == [(0.0, None)] * 4


def test_memory_is_a_share_of_what_the_pool_gives(checkpoint_of):
    assert VllmSection().in_pool(1.0).gpu_memory_fraction == 0.9
    assert VllmSection().in_pool(0.5).gpu_memory_fraction == 0.45
    assert VllmSection(memory_fraction=0.4).in_pool(0.5).gpu_memory_fraction == 0.4
    with pytest.raises(ConfigError, match=r"memory_fraction: found 0\.8, but a labeler has 0\.5"):
        VllmSection(memory_fraction=0.8).in_pool(0.5)
    with installed() as seen:
        loaded(checkpoint_of("qwen2_5_vl"), memory_fraction=0.4, context_tokens=512, max_frames=8)
    [arguments] = seen.arguments
    assert arguments["gpu_memory_utilization"] == 0.4
    assert arguments["max_model_len"] == 512
    assert arguments["limit_mm_per_prompt"]["video"]["num_frames"] == 8
    assert arguments["dtype"] == "bfloat16"


def test_an_engine_that_has_ended_is_a_lost_device_and_no_failed_unit(checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=1)
    with installed() as seen:
        engine = loaded(checkpoint_of("qwen2_5_vl"))
        seen.trouble = EngineDeadError("EngineCore encountered an issue.")
        with pytest.raises(EngineDiedError, match="EngineCore") as caught:
            engine.ask(unit, QUESTIONS)
    assert is_device_lost(caught.value)


def test_a_prompt_that_is_too_long_fails_its_unit_with_the_setting_to_raise(checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=1)
    long = replace(QUESTIONS[0], text="Well? " * 400)
    with installed():
        engine = loaded(checkpoint_of("qwen2_5_vl"), context_tokens=256)
        with pytest.raises(UnitError, match=r"strategy\.engine\.context_tokens") as caught:
            engine.ask(unit, [long])
        assert caught.value.kind is ErrorKind.LABEL_FAILED
        assert engine.ask(unit, QUESTIONS[:1]).texts  # and nothing else


def test_windows_of_more_frames_than_memory_was_set_aside_for_are_refused(checkpoint_of, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=1)
    with installed():
        engine = loaded(checkpoint_of("qwen2_5_vl"), max_frames=5)
        with pytest.raises(ModelError, match=r"max_frames: found windows of 6 frames, expected 5"):
            engine.ask(unit, QUESTIONS)


def test_what_keeps_vllm_from_starting_is_a_sentence(checkpoint_of):
    with installed() as seen:
        seen.trouble = ValueError("To serve at least one request, 3 GiB KV cache is needed")
        with pytest.raises(ModelError, match=r"vLLM cannot start with it: .*3 GiB.*context_tokens"):
            loaded(checkpoint_of("qwen2_5_vl"))


def test_a_worker_without_a_gpu_says_so(checkpoint_of):
    with installed(device_type=""), pytest.raises(ModelError, match="sees no GPU"):
        loaded(checkpoint_of("qwen2_5_vl"))


def test_without_the_library_the_driver_names_the_extra(checkpoint_of):
    with pytest.raises(ModelError, match=r"pip install 'nrray\[vllm\]'"):
        VllmSection().resolved(CheckpointChoice(path=str(checkpoint_of("qwen2_5_vl"))))


@pytest.mark.parametrize("name", ["fast_vlm"])
def test_checkpoints_that_vllm_does_not_show_the_same_frames_are_refused(name, checkpoint_of):
    with installed() as seen, pytest.raises(ModelError, match=f"'{name}' checkpoint.*expected one of gemma3"):
        VllmSection().resolved(CheckpointChoice(path=str(checkpoint_of(name))))
    assert not seen.arguments


@pytest.mark.parametrize("setting", [{"device": Device.CPU}, {"dtype": Dtype.NF4}])
def test_a_way_to_run_a_model_that_vllm_has_not_is_refused(setting):
    [name] = setting
    with pytest.raises(ModelError, match=rf"model\.{name}: found .*strategy\.engine=vllm"):
        VllmSection().check_runs(Execution(**setting))


@pytest.fixture
def adapted(checkpoint_of, tmp_path, label_set, small_sampling):
    """A checkpoint and an adapter of its language model."""
    base = checkpoint_of("qwen2_5_vl")
    checkpoint = loaded_checkpoint(base)
    parts = ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER)
    add_adapter(checkpoint, parts, LoraSection(rank=4)).save_pretrained(tmp_path)
    metadata = CheckpointMetadata(
        name="tuned",
        base=Base(path=str(base), digest=folder_digest(base)),
        labels=trained_labels(label_set),
        sampling=small_sampling,
        prompt="Well?",
        pooling=Pooling.LAST,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )
    write_metadata(metadata, tmp_path)
    return base, tmp_path


def resolved(adapted):
    base, folder = adapted
    return resolve_checkpoint(CheckpointChoice(path=str(base), adapter=str(folder)))


class TestAdapters:
    """Of a folder as `nrray finetune` leaves it."""

    def test_matrices_of_the_language_model_go_to_vllm_under_the_name_of_their_digest(
        self, adapted, checkpoint_of, small_sampling
    ):
        checkpoint = resolved(adapted)
        assert lora_rank(checkpoint) == 8
        with installed() as seen:
            engine = VllmSection().loaded(checkpoint, execution=Execution())
            engine.ask(synthetic_frames(checkpoint.inputs.sampling, num_windows=1), QUESTIONS[:1])
        [arguments], [request] = seen.arguments, seen.adapters
        assert (arguments["enable_lora"], arguments["max_lora_rank"]) == (True, 8)
        assert request.lora_name == checkpoint.digest
        assert request.lora_path == str(adapted[1])

    @pytest.mark.parametrize(
        ("damage", "expected"),
        [
            ({"use_dora": True}, r"weight-decomposed matrices \(DoRA\)"),
            ({"modules_to_save": ["model.visual.blocks.2"]}, r"whole weights of 1 modules \(model\.visual"),
            ({"r": 600}, "found rank 600, expected at most 512"),
        ],
    )
    def test_what_vllm_leaves_out_is_refused_with_the_way_out(self, adapted, damage, expected):
        config = adapted[1] / "adapter_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), **damage}))
        with pytest.raises(ModelError, match=rf"{expected}[\s\S]*export-model"):
            lora_rank(resolved(adapted))

    def test_matrices_in_the_tower_are_refused(self, adapted):
        file = adapted[1] / MATRICES_FILE
        tensors = load_file(file)
        moved = {
            name.replace("model.language_model.layers.0.self_attn", "model.visual.blocks.0.attn"): tensor
            for name, tensor in tensors.items()
        }
        assert moved.keys() != tensors.keys()
        save_file(moved, file)
        with pytest.raises(
            ModelError, match=r"matrices outside it \(model\.visual\.blocks\.0\.attn[\s\S]*export-model"
        ):
            lora_rank(resolved(adapted))

    def test_every_rank_finds_room(self, adapted):
        config = adapted[1] / "adapter_config.json"
        for rank, room in ((1, 1), (2, 8), (16, 16), (65, 128), (512, 512)):
            config.write_text(json.dumps({**json.loads(config.read_text()), "r": rank}))
            assert lora_rank(resolved(adapted)) == room
            assert room in LORA_RANKS
