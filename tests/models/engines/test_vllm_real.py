"""What nrray hands to vLLM, held against vLLM's own classes: needs the library, no GPU and no engine."""

import dataclasses
import inspect
import json
import shutil
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from transformers import AutoTokenizer

from nrray.models import CheckpointChoice, Execution
from nrray.models.checkpoint import outlined_checkpoint
from nrray.models.engines import Decoding, Question, VllmSection
from nrray.models.measure import synthetic_frames
from tests.vllm_stand_in import ENGINE_ARGUMENTS, MAX_LOGPROB_TOKEN_IDS, SAMPLING_FIELDS, CompletionOutput, Logprob
from tests.vllm_stand_in import SamplingParams as StandIn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed"),
]

SCHEMA = json.dumps({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]})
QUESTIONS = (
    Question(name="spoken", text="Is the newborn stimulated?", choices=(("yes",), ("no",)), max_tokens=4),
    Question(name="object", text="Well?", choices=(("yes",), ("no",)), max_tokens=8, schema=SCHEMA),
    Question(name="scored", text="Is the newborn suctioned?", choices=(("yes",), ("no",)), max_tokens=0),
)
VIDEOS = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_next_video", "llava_onevision", "intern_vl"]
IMAGES = ["llava", "idefics3", "mistral3", "gemma3"]


class Recorder:
    """In the place of `LLM`: it answers nothing."""

    made: "Recorder"

    def __init__(self, **arguments):
        self.arguments = arguments
        Recorder.made = self

    def generate(self, prompts, sampling_params, *, use_tqdm, lora_request):
        self.prompts, self.samplings = prompts, sampling_params
        raise InterruptedError


@pytest.fixture
def handed_over(monkeypatch, checkpoint_of, small_sampling, tmp_path):
    """A function from a family's name to what vLLM is handed for a window."""

    def of(name, *, questions=QUESTIONS, decoding=Decoding()):  # noqa: B008
        section = VllmSection()
        folder = checkpoint_of(name)
        if name == "gemma3":  # vLLM looks the published tokenizer's line breaks up
            folder = shutil.copytree(folder, tmp_path / name)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            tokenizer.add_tokens(["\n" * count for count in range(1, 5)])
            tokenizer.save_pretrained(folder)
        checkpoint = section.resolved(CheckpointChoice(path=str(folder)))
        unit = synthetic_frames(small_sampling, num_windows=1)
        with monkeypatch.context() as patched:
            patched.setattr("vllm.LLM", Recorder)
            patched.setattr("vllm.platforms.current_platform", SimpleNamespace(device_type="cuda"))
            engine = section.loaded(checkpoint, execution=Execution())
        with pytest.raises(InterruptedError):
            engine.ask(unit, questions, decoding=decoding)
        return checkpoint, unit, Recorder.made

    return of


def test_the_recorded_names_are_vllms():
    from vllm import LLM, SamplingParams
    from vllm.engine.arg_utils import EngineArgs
    from vllm.logprobs import Logprob as RealLogprob
    from vllm.lora.request import LoRARequest
    from vllm.outputs import CompletionOutput as RealCompletion
    from vllm.sampling_params import MAX_LOGPROB_TOKEN_IDS as REAL_MAX

    known = {*inspect.signature(LLM.__init__).parameters, *(field.name for field in dataclasses.fields(EngineArgs))}
    assert known >= ENGINE_ARGUMENTS
    assert set(SamplingParams.__struct_fields__) >= SAMPLING_FIELDS
    defaults = SamplingParams()
    for field in dataclasses.fields(StandIn):
        assert field.name in SAMPLING_FIELDS
        assert (getattr(defaults, field.name) or None) == (field.default or None)
    assert LoRARequest.__struct_fields__[:3] == ("lora_name", "lora_int_id", "lora_path")
    for ours, theirs in ((Logprob, RealLogprob), (CompletionOutput, RealCompletion)):
        names = [field.name for field in dataclasses.fields(theirs)]
        assert [field.name for field in dataclasses.fields(ours)] == names[: len(dataclasses.fields(ours))]
    assert REAL_MAX == MAX_LOGPROB_TOKEN_IDS
    inspect.signature(LLM.generate).bind(None, [], [], use_tqdm=False, lora_request=None)


def test_the_engines_settings_are_taken_by_vllms_own_checks(handed_over):
    from vllm.config import MultiModalConfig, StructuredOutputsConfig
    from vllm.config.lora import LoRAConfig

    _, _, made = handed_over("qwen3_vl")
    config = MultiModalConfig(
        limit_per_prompt=made.arguments["limit_mm_per_prompt"],
        mm_processor_cache_gb=made.arguments["mm_processor_cache_gb"],
    )
    assert config.get_limit_per_prompt("video") == 1
    assert config.get_limit_per_prompt("image") == 0
    assert StructuredOutputsConfig(**made.arguments["structured_outputs_config"]).disable_any_whitespace
    from nrray.models.engines.vllm_support import LORA_RANKS

    for rank in LORA_RANKS:
        assert LoRAConfig(max_lora_rank=rank, max_loras=1).max_lora_rank == rank


def test_sampling_is_greedy_or_seeded_and_scores_are_asked_for_by_token(handed_over):
    from vllm import SamplingParams

    _, _, made = handed_over("qwen3_vl")
    spoken, constrained, apart, scored = made.samplings
    assert all(isinstance(sampling, SamplingParams) for sampling in made.samplings)
    assert [sampling.max_tokens for sampling in made.samplings] == [4, 8, 1, 1]
    assert spoken.temperature == constrained.temperature == 0
    assert constrained.structured_outputs.json == SCHEMA
    assert constrained.logprob_token_ids is None
    for sampling in (spoken, apart, scored):
        assert len(sampling.logprob_token_ids) == 2
        assert sampling.structured_outputs is None
    _, _, made = handed_over("qwen3_vl", decoding=Decoding(temperature=0.5, seed=1))
    assert made.samplings[0].seed is not None
    assert made.samplings[0].temperature == 0.5


@pytest.mark.parametrize("name", [*VIDEOS, *IMAGES])
def test_vllms_processor_makes_the_tokens_and_pixels_that_transformers_does(name, handed_over):
    from vllm.config import ModelConfig
    from vllm.multimodal import MULTIMODAL_REGISTRY
    from vllm.multimodal.processing.context import TimingContext
    from vllm.multimodal.processing.inputs import ProcessorInputs

    checkpoint, unit, made = handed_over(name, questions=QUESTIONS[:1])
    [prompt] = made.prompts
    processor = MULTIMODAL_REGISTRY.create_processor(ModelConfig(model=str(checkpoint.folder), dtype="float32"))
    items = processor.info.parse_mm_data(prompt["multi_modal_data"])
    found = processor.apply(
        ProcessorInputs(prompt["prompt_token_ids"], items, hf_processor_mm_kwargs={}), TimingContext(enabled=False)
    )
    outline = outlined_checkpoint(checkpoint)
    expected = outline.family.window_processor(outline).tensors(
        [unit.pixels[unit.window_frames[0]]], question=QUESTIONS[0].text, frames_per_second=unit.frames_per_second
    )
    tokens = found["prompt_token_ids"]
    if name == "intern_vl":  # whose frames stand as another token until their features are laid over it
        places = outline.processor.tokenizer.convert_tokens_to_ids(["<video>", "<IMG_CONTEXT>"])
        tokens = [places[1] if token == places[0] else token for token in tokens]
    assert tokens == expected["input_ids"][0].tolist()
    [(kind, shown)] = [(kind, entries) for kind, entries in found["mm_kwargs"].items() if entries]
    key = "pixel_values_videos" if kind == "video" else "pixel_values"
    wanted_key = key if key in expected else "pixel_values"
    pixels = np.concatenate([entry[key].data.float().numpy().reshape(-1) for entry in shown])
    wanted = expected[wanted_key].float().numpy().reshape(-1)
    assert pixels.shape == wanted.shape
    if name.startswith("qwen") or name == "mistral3":  # vLLM normalizes these on the device
        norm = outline.processor.video_processor if kind == "video" else outline.processor.image_processor
        per_channel = 2 * norm.patch_size**2 if kind == "video" else 64 * 64
        mean, deviation = (np.array(figures)[None, :, None] for figures in (norm.image_mean, norm.image_std))
        pixels = ((pixels.reshape(-1, 3, per_channel) / 255 - mean) / deviation).reshape(-1)
    np.testing.assert_allclose(pixels, wanted, atol=1e-5)
