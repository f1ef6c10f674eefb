"""What vLLM is told and what its answers say: arguments of its classes, and probabilities from its logarithms. Pure functions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nrray.errors import ErrorKind, UnitError
from nrray.models.config import Dtype
from nrray.models.engines.engine import Question

if TYPE_CHECKING:
    from nrray.models.engines.sections import VllmSection


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question, ready to be asked of any window. choice_ids: tokens of each of its choices."""

    question: Question
    choice_ids: list[list[int]]

    @property
    def scored_ids(self) -> list[int]:
        """Tokens of any choice, in order."""
        return sorted({token for ids in self.choice_ids for token in ids})

    @property
    def scores_apart(self) -> bool:
        """Whether choices are scored by a prompt of their own: probabilities behind a grammar are not those of the model."""
        return bool(self.scored_ids) and self.question.schema is not None and self.question.max_tokens > 0


def engine_arguments(
    section: "VllmSection", *, folder: str, dtype: Dtype, lora_rank: int | None, shows_video: bool
) -> dict[str, Any]:
    """Of vLLM's `LLM`. Frames are encoded once for all questions by its caches; answers are the model's own, whatever sampling
    the checkpoint suggests."""
    media = {"video": {"count": 1, "num_frames": section.max_frames}, "image": 0}
    adapter = {"enable_lora": True, "max_loras": 1, "max_lora_rank": lora_rank} if lora_rank is not None else {}
    return {
        "model": folder,
        "dtype": dtype.value,
        "gpu_memory_utilization": section.gpu_memory_fraction,
        "max_model_len": section.context_tokens,
        "max_num_seqs": section.concurrency,
        "limit_mm_per_prompt": media if shows_video else {"image": section.max_frames},
        "mm_processor_cache_gb": section.frame_cache_gib,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        # White space without end is valid JSON.
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        **adapter,
    }


def sampling_arguments(asked: Asked, *, temperature: float, seed: int, end_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Of vLLM's `SamplingParams`, for each of a question's prompts: the one that is spoken, and behind it the one that is scored
    where that is another. `structured_outputs` is the JSON schema itself."""
    question = asked.question
    greedy = {"temperature": 0.0, "detokenize": False, "stop_token_ids": list(end_ids)}
    drawn = {**greedy, "temperature": temperature, "seed": seed} if temperature > 0 else greedy
    scored = {"logprob_token_ids": asked.scored_ids} if asked.scored_ids else {}
    alone = {**greedy, "max_tokens": 1, **scored}
    if not question.max_tokens:
        return [alone]
    spoken = {**drawn, "max_tokens": question.max_tokens}
    if question.schema is not None:
        spoken["structured_outputs"] = question.schema
    return [spoken, alone] if asked.scores_apart else [{**spoken, **scored}]


def choice_probabilities(first: Mapping[int, Any], asked: Asked) -> NDArray[np.float32]:
    """(C,) sums over each choice's tokens; NaN for a choice without any. first: vLLM's logarithms of the first token, by token.

    Raises UnitError where one that was asked for is missing.
    """
    if missing := sorted(set(asked.scored_ids) - set(first)):
        raise UnitError(
            ErrorKind.LABEL_FAILED,
            f"vLLM: found no probability of {len(missing)} of the {len(asked.scored_ids)} tokens asked for, expected all.",
        )
    return np.array(
        [math.fsum(math.exp(first[token].logprob) for token in ids) if ids else math.nan for ids in asked.choice_ids],
        np.float32,
    )
