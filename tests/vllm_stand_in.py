"""What nrray uses of vLLM 0.33, with its names and parameters, over a model that transformers runs: calls that do not bind to
vLLM's own signatures fail here too. `tests/models/engines/test_vllm_real.py` holds the recorded names against the real library.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from nrray.models import resolve_checkpoint
from nrray.models.checkpoint import load_checkpoint
from nrray.models.config import CheckpointChoice, Execution

ENGINE_ARGUMENTS = frozenset(
    {
        "dtype",
        "enable_lora",
        "enable_prefix_caching",
        "generation_config",
        "gpu_memory_utilization",
        "limit_mm_per_prompt",
        "max_lora_rank",
        "max_loras",
        "max_model_len",
        "max_num_seqs",
        "mm_processor_cache_gb",
        "model",
        "structured_outputs_config",
    }
)
"""Those of `LLM` and `EngineArgs` that nrray gives; any other is a mistake, here and in nrray."""
SAMPLING_FIELDS = frozenset(
    {
        "detokenize",
        "logprob_token_ids",
        "max_tokens",
        "seed",
        "stop_token_ids",
        "structured_outputs",
        "temperature",
    }
)
PROMPT_KEYS = frozenset({"prompt_token_ids", "multi_modal_data"})
METADATA_KEYS = frozenset(
    {"total_num_frames", "fps", "duration", "frames_indices", "video_backend", "do_sample_frames"}
)
MAX_LOGPROB_TOKEN_IDS = 128


class VLLMClientError(Exception):
    """vllm.exceptions.VLLMClientError: a request that is refused."""


class EngineDeadError(Exception):
    """vllm.v1.engine.exceptions.EngineDeadError: the process with the model has ended."""


@dataclass(kw_only=True)
class StructuredOutputsParams:
    """vllm.sampling_params.StructuredOutputsParams."""

    json: str


@dataclass(kw_only=True)
class SamplingParams:
    """vllm.SamplingParams: those of its fields that nrray sets, with vLLM's defaults."""

    temperature: float = 1.0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = 16
    logprob_token_ids: list[int] | None = None
    detokenize: bool = True
    structured_outputs: StructuredOutputsParams | None = None


@dataclass
class LoRARequest:
    """vllm.lora.request.LoRARequest."""

    lora_name: str
    lora_int_id: int
    lora_path: str = ""


@dataclass
class Logprob:
    """vllm.logprobs.Logprob."""

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    """vllm.outputs.CompletionOutput."""

    index: int
    text: str
    token_ids: Sequence[int]
    cumulative_logprob: float | None
    logprobs: list[dict[int, Logprob]] | None


@dataclass
class Seen:
    """What a process was asked for. trouble: raised by the next `generate`."""

    arguments: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    samplings: list[SamplingParams] = field(default_factory=list)
    adapters: list[LoRARequest | None] = field(default_factory=list)
    trouble: Exception | None = None


class LLM:
    """vllm.LLM. A schema's grammar is not kept to: what stands behind it is the model's own answer."""

    seen = Seen()

    def __init__(self, model: str, **arguments: Any) -> None:
        assert arguments.keys() <= ENGINE_ARGUMENTS, arguments.keys() - ENGINE_ARGUMENTS
        LLM.seen.arguments.append({"model": model, **arguments})
        if LLM.seen.trouble is not None:
            raise LLM.seen.trouble
        self._checkpoint = load_checkpoint(resolve_checkpoint(CheckpointChoice(path=model)), execution=Execution())
        self._max_tokens = arguments["max_model_len"]
        self._limits = arguments["limit_mm_per_prompt"]

    def generate(
        self,
        prompts: Sequence[dict[str, Any]],
        sampling_params: Sequence[SamplingParams],
        *,
        use_tqdm: bool = True,
        lora_request: LoRARequest | None = None,
    ) -> list[SimpleNamespace]:
        assert len(prompts) == len(sampling_params)
        if LLM.seen.trouble is not None:
            raise LLM.seen.trouble
        LLM.seen.adapters.append(lora_request)
        return [
            SimpleNamespace(request_id=str(number), finished=True, outputs=[self._completion(prompt, sampling)])
            for number, (prompt, sampling) in enumerate(zip(prompts, sampling_params, strict=True))
        ]

    def _completion(self, prompt: dict[str, Any], sampling: SamplingParams) -> CompletionOutput:
        assert prompt.keys() <= PROMPT_KEYS
        assert all(isinstance(token, int) for token in prompt["prompt_token_ids"])
        assert len(sampling.logprob_token_ids or []) <= MAX_LOGPROB_TOKEN_IDS
        LLM.seen.prompts.append(prompt)
        LLM.seen.samplings.append(sampling)
        inputs = self._inputs(prompt)
        length = inputs["input_ids"].shape[1]
        if length + (sampling.max_tokens or 0) > self._max_tokens:
            raise VLLMClientError(f"The prompt (length {length}) is longer than the maximum model length")
        with torch.inference_mode():
            made = self._checkpoint.model.generate(
                **inputs,
                max_new_tokens=sampling.max_tokens,
                do_sample=False,
                eos_token_id=sampling.stop_token_ids,
                output_logits=True,
                return_dict_in_generate=True,
            )
        first = torch.log_softmax(made.logits[0][0].float(), dim=-1)
        wanted = {*(sampling.logprob_token_ids or []), int(made.sequences[0, length])}
        return CompletionOutput(
            index=0,
            text="",
            token_ids=made.sequences[0, length:].tolist(),
            cumulative_logprob=None,
            logprobs=[{token: Logprob(float(first[token])) for token in wanted}]
            if sampling.logprob_token_ids
            else None,
        )

    def _inputs(self, prompt: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """The media's placeholder in the prompt is replaced by what the processor makes of the media alone, as vLLM does it."""
        processor = self._checkpoint.processor
        [(kind, items)] = prompt["multi_modal_data"].items()
        limit = self._limits[kind]
        assert len(items) <= (limit["count"] if isinstance(limit, dict) else limit)
        placeholder = processor.video_token if kind == "video" else processor.image_token
        if kind == "video":
            [(pixels, metadata)] = items
            assert metadata.keys() == METADATA_KEYS
            assert metadata["do_sample_frames"] is False
            assert pixels.dtype == np.uint8
            assert pixels.flags["C_CONTIGUOUS"]
            known = {name: metadata[name] for name in ("total_num_frames", "fps", "duration", "frames_indices")}
            media = {"videos": [pixels], "video_metadata": [known], "do_sample_frames": False}
        else:
            media = {"images": items}
        wants_types = self._checkpoint.family.window_processor(self._checkpoint).wants_token_types
        made = processor(
            text=placeholder * len(items),
            **media,
            return_tensors="pt",
            **({"return_mm_token_type_ids": True} if wants_types else {}),
        )
        token = processor.tokenizer.convert_tokens_to_ids(placeholder)
        ids, replaced = prompt["prompt_token_ids"], made["input_ids"][0].tolist()
        per_item = len(replaced) // len(items)
        parts = [replaced[start : start + per_item] for start in range(0, len(replaced), per_item)]
        spread: list[int] = []
        for found in ids:
            spread += parts.pop(0) if found == token else [found]
        assert not parts, "the prompt has fewer places for media than media"
        inputs = {
            name: value
            for name, value in made.items()
            if name not in ("input_ids", "attention_mask", "mm_token_type_ids")
        }
        inputs["input_ids"] = torch.tensor([spread])
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if wants_types:
            media_id = {"video": 2, "image": 1}[kind]
            ids_of_media = {getattr(processor, f"{name}_token_id", None) for name in ("image", "video")}
            is_media = torch.tensor([[media_id if found in ids_of_media else 0 for found in spread]])
            inputs["mm_token_type_ids"] = is_media
        return inputs


MODULES: dict[str, dict[str, Any]] = {
    "vllm": {"LLM": LLM, "SamplingParams": SamplingParams},
    "vllm.exceptions": {"VLLMClientError": VLLMClientError},
    "vllm.lora": {},
    "vllm.lora.request": {"LoRARequest": LoRARequest},
    "vllm.platforms": {"current_platform": SimpleNamespace(device_type="cuda")},
    "vllm.sampling_params": {"StructuredOutputsParams": StructuredOutputsParams},
    "vllm.v1": {},
    "vllm.v1.engine": {},
    "vllm.v1.engine.exceptions": {"EngineDeadError": EngineDeadError},
}


@contextmanager
def installed(*, device_type: str = "cuda") -> Iterator[Seen]:
    """The stand-in in the place of vLLM."""
    before = {name: sys.modules.get(name) for name in MODULES}
    LLM.seen = Seen()
    for name, content in MODULES.items():
        module = ModuleType(name)
        module.__spec__ = SimpleNamespace(name=name, loader=None)  # type: ignore[assignment]
        module.__path__ = []
        vars(module).update(content)
        sys.modules[name] = module
    sys.modules["vllm.platforms"].current_platform = SimpleNamespace(device_type=device_type)  # type: ignore[attr-defined]
    try:
        yield LLM.seen
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
