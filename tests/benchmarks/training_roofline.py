"""What a training step of Qwen3-VL-2B's shape costs a GPU at least, without one: the operations and the bytes of every kernel of
forward and backward as torch calls them, one window on this CPU, scaled to a batch.

    python -m tests.benchmarks.training_roofline --folder DIR [--tiny]

Writes the checkpoint into DIR (4 GB, unless it is there) and prints JSON: milliseconds of matrix products and of all else, each
kernel at the slower of its operations and its bytes, and the model FLOP utilisation that follows. It knows no overhead of
Python, and kernels that a compiler would join it counts one by one.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, Execution, resolve_checkpoint
from nrray.models.config import Device, Dtype, LanguageModelLearning, LoraSection, ResolvedParts, TowerLearning
from nrray.sampling import Sampling
from nrray.train.batches import on_device
from nrray.train.trainee.prepared import prepared_trainee
from nrray.train.training_config import HeadSection, TrainingConfig
from nrray.train.validation import autocast
from tests.benchmarks.full_size import TEXT, TINY_TEXT, TINY_VISION, VISION
from tests.benchmarks.full_size_training import PEAK_FLOPS, SIDE_PX
from tests.checkpoints import qwen3_vl

PEAK_BYTES = 4.8e12  # a second: NVIDIA's H200 data sheet
FLOPS_SHARE, BYTES_SHARE = 0.65, 0.85  # of the peaks, that large kernels reach
KERNEL_SECONDS = 2e-6
NO_KERNEL = {
    "view",
    "t",
    "transpose",
    "as_strided",
    "slice",
    "expand",
    "unsqueeze",
    "squeeze",
    "detach",
    "permute",
    "select",
}
NO_KERNEL |= {"split", "split_with_sizes", "alias", "_unsafe_view", "unbind", "empty", "empty_strided", "empty_like"}


class Costs(TorchDispatchMode):  # type: ignore[misc]
    """Seconds and operations of what is called while it is on, products (which have operations) and all else apart."""

    def __init__(self, module: torch.nn.Module, *, num_windows: int) -> None:
        super().__init__()
        self._weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
        self._num_windows = num_windows
        self.seconds: defaultdict[bool, float] = defaultdict(float)
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        if func._schema.name.partition("::")[2] in NO_KERNEL:
            return found
        tensors = [leaf for leaf in tree_leaves((args, kwargs, found)) if isinstance(leaf, torch.Tensor)]
        count = flop_registry.get(func._overloadpacket)
        flops = self._num_windows * (count(*args, **kwargs, out_val=found) if count is not None else 0)
        num_bytes = sum(
            tensor.numel()
            * tensor.element_size()
            * (1 if tensor.untyped_storage().data_ptr() in self._weights else self._num_windows)
            for tensor in tensors
        )
        slower = max(flops / (FLOPS_SHARE * PEAK_FLOPS), num_bytes / (BYTES_SHARE * PEAK_BYTES))
        self.seconds[flops > 0] += slower + KERNEL_SECONDS
        self.flops += flops
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="a few layers, to try the script")
    parser.add_argument("--windows", type=int, default=32, help="per forward")
    arguments = parser.parse_args()
    label_set = read_label_set()
    if not (arguments.folder / "config.json").exists():
        text, vision = (TINY_TEXT, TINY_VISION) if arguments.tiny else (TEXT, VISION)
        qwen3_vl(
            arguments.folder, label_set, text=text, vision=vision, side_px=SIDE_PX, dtype=torch.bfloat16, device="cpu"
        )
    sampling = Sampling(frames_per_second=4.0, window_seconds=2.0, frame_width_px=SIDE_PX, frame_height_px=SIDE_PX)
    trainee = prepared_trainee(
        resolve_checkpoint(CheckpointChoice(path=str(arguments.folder))),
        execution=Execution(dtype=Dtype.BFLOAT16, device=Device.CPU),
        parts=ResolvedParts(tower=TowerLearning.FROZEN, language_model=LanguageModelLearning.ADAPTER),
        adapter=LoraSection(),
        head=HeadSection(),
        label_set=label_set,
        sampling=sampling,
        log_odds=torch.zeros(len(label_set.names)),
        config=TrainingConfig(),
    )
    module, device = trainee.module.train(), torch.device("cpu")
    noise = np.random.default_rng(0).integers(
        0, 256, (1, sampling.frames_per_window, SIDE_PX, SIDE_PX, 3), dtype=np.uint8
    )
    inputs = on_device(trainee.inputs(noise), device)
    with Costs(module, num_windows=arguments.windows) as costs:
        with autocast(device, trainee.dtype):
            cost = module(inputs).float().square().mean()
        cost.backward()
    seconds = sum(costs.seconds.values())
    print(
        json.dumps(
            {
                "windows per forward": arguments.windows,
                "products, ms": round(1e3 * costs.seconds[True], 1),
                "all else, ms": round(1e3 * costs.seconds[False], 1),
                "TFLOP a window": round(costs.flops / arguments.windows / 1e12, 3),
                "windows per second at most": round(arguments.windows / seconds, 1),
                "model FLOP utilisation at most": round(costs.flops / seconds / PEAK_FLOPS, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
