"""Facts of a training run that a card tells: losses, durations, the machine."""

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch


def print_loss(num_steps: int) -> Callable[..., None]:
    recent: list[torch.Tensor] = []
    started = time.perf_counter()

    def report(step: int, loss: torch.Tensor) -> None:
        recent.append(loss)
        if (step + 1) % 50 == 0 or step + 1 == num_steps:
            mean, seconds = float(torch.stack(recent[-50:]).mean()), time.perf_counter() - started
            print(f"step {step + 1} of {num_steps}: loss {mean:.4f}, {seconds:.0f} s", flush=True)

    return report


def edge_mean(losses: list[float], *, first: bool) -> float:
    count = max(1, len(losses) // 20)
    return float(np.mean(losses[:count] if first else losses[-count:]))


def read_or_write_seconds(file: Path, seconds: float) -> float:
    """How long making the features took, also where a later run only opens them."""
    if not file.is_file():
        file.write_text(json.dumps(seconds), encoding="utf-8")
    return float(json.loads(file.read_text(encoding="utf-8")))


def machine_name(device: torch.device, threads: int) -> str:
    processor = f"{threads} threads of {processor_name()}"
    return f"one {torch.cuda.get_device_name(device)} beside {processor}" if device.type == "cuda" else processor


def processor_name() -> str:
    for line in (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    ):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
