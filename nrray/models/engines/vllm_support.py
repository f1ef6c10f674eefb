"""What vLLM can run: the library itself, checkpoints, and adapters, told from names and headers. No torch, no vLLM."""

import json
import platform
from collections.abc import Mapping
from importlib.util import find_spec

from safetensors import SafetensorError, safe_open

from nrray.errors import ModelError
from nrray.models.config import Device, Dtype, Execution
from nrray.models.metadata import MATRICES_FILE
from nrray.models.resolved import ResolvedCheckpoint

MODEL_TYPES = frozenset(
    {
        "gemma3",
        "idefics3",
        "internvl",
        "llava",
        "llava_next_video",
        "llava_onevision",
        "mistral3",
        "qwen2_5_vl",
        "qwen2_vl",
        "qwen3_vl",
    }
)
"""Checkpoints for which vLLM has a class of its own that takes frames in the form in which transformers' processor does."""
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Those that vLLM reserves memory for (vllm.config.lora.MaxLoRARanks)."""

_LANGUAGE_MODEL = "base_model.model.model.language_model."
_MATRICES = (".lora_A.weight", ".lora_B.weight")


def check_installed() -> None:
    """Raise ModelError where vLLM is not here."""
    if find_spec("vllm") is None:
        where = "" if platform.system() == "Linux" else f" (there is none for {platform.system()})"
        raise ModelError(
            f"strategy.engine: found vllm, which is not installed here{where}. pip install 'nrray[vllm]' on every node, or take "
            f"engine transformers, or openai with a vLLM server."
        )


def check_runs(execution: Execution) -> None:
    """Raise ModelError where vLLM is to run a checkpoint in a way in which it does not."""
    if execution.device is Device.CPU:
        raise ModelError(
            "model.device: found cpu with strategy.engine=vllm, which runs models on a GPU. Leave model.device out, or take "
            "engine transformers."
        )
    if execution.dtype is Dtype.NF4:
        raise ModelError(
            "model.dtype: found nf4 with strategy.engine=vllm, expected auto, bfloat16 or float32. Leave it out, or take engine "
            "transformers."
        )


def check_checkpoint(checkpoint: ResolvedCheckpoint) -> None:
    """Raise ModelError where vLLM has no class for a checkpoint, or would leave parts of its adapter out."""
    if checkpoint.model_type not in MODEL_TYPES:
        raise ModelError(
            f"model {checkpoint.path}: found a '{checkpoint.model_type}' checkpoint with strategy.engine=vllm, expected one of "
            f"{', '.join(sorted(MODEL_TYPES))}: for others it is not known that vLLM shows the model the frames and times that "
            f"transformers does. Take engine transformers, or openai with a server of yours."
        )
    lora_rank(checkpoint)


def lora_rank(checkpoint: ResolvedCheckpoint) -> int | None:
    """The rank that vLLM has to make room for; None for a checkpoint without an adapter, or with a head alone. Raises ModelError
    for an adapter with anything else than plain matrices in its language model: vLLM drops that, in part without a word."""
    if checkpoint.adapter is None or checkpoint.metadata is None or not checkpoint.metadata.has_matrices:
        return None
    folder = checkpoint.head_folder
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        with safe_open(folder / MATRICES_FILE, framework="np") as tensors:
            names = sorted(tensors.keys())
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"adapter {folder} cannot be read: {error}. Copy it again, or train again.") from None
    if others := _beside_language_model(config, names):
        raise ModelError(
            f"adapter {folder}: found {others}, expected matrices in the language model alone, which is all that vLLM lays over "
            f"a checkpoint. Merge it with `nrray export-model` and set model.path to the merged one, or take engine transformers."
        )
    rank = config.get("r")
    fitting = [known for known in LORA_RANKS if isinstance(rank, int) and 0 < rank <= known]
    if not fitting:
        raise ModelError(
            f"adapter {folder}: found rank {rank}, expected at most {LORA_RANKS[-1]} for vLLM. Merge it with `nrray "
            f"export-model` and set model.path to the merged one, or take engine transformers."
        )
    return fitting[0]


def _beside_language_model(config: Mapping[str, object], names: list[str]) -> str:
    """What of an adapter vLLM does not know, in words; "" where there is nothing."""
    found = [word for key, word in (("use_dora", "weight-decomposed matrices (DoRA)"),) if config.get(key)]
    own = config.get("modules_to_save")
    if isinstance(own, list) and own:
        found.append(f"whole weights of {len(own)} modules ({own[0]}, ...)")
    elsewhere = [name for name in names if name.endswith(_MATRICES) and not name.startswith(_LANGUAGE_MODEL)]
    if elsewhere:
        found.append(f"{len(elsewhere)} matrices outside it ({elsewhere[0].removeprefix('base_model.model.')}, ...)")
    return " and ".join(found)
