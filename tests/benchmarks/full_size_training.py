"""Fine-tuning of models of published sizes on this machine's GPU, in the loop of `nrray finetune` in one process.

    python -m tests.benchmarks.full_size_training --folder DIR [--models Qwen3-VL-2B] [--settings 32 32:compiled] [--tiny]

Writes checkpoints with random weights into DIR (unless they are there) and prints one JSON line per model and setting. A setting
is the windows per forward and options: `compiled` layers; gradient `checkpointing`; weights in `nf4`; `tower`, whose matrices
learn too; `whole`, where all of a video encoder learns; `step`, which leaves the loop out and measures its step alone. Lines give
windows/s of the loop, its loaders included, and of the same step from inputs that lie on the device; peak memory; and model FLOP
utilisation, that is the operations of forward and backward as torch counts them without recomputation, over time and the peak
that the vendor gives for dense bfloat16 (989 TFLOP/s of an H100 or H200).
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from nrray.errors import NrrayError
from nrray.labels import read_label_set
from nrray.models import ModelConfig
from nrray.models.config import Dtype, LoraSection, ResolvedParts, TowerLearning
from nrray.sampling import Sampling
from nrray.storage import Folder
from nrray.train.batches import on_device
from nrray.train.compiled import compiled_layers
from nrray.train.history import StepMeasured, read_history
from nrray.train.job import FinetuneJob
from nrray.train.run import finetune
from nrray.train.trainee.prepared import prepared_trainee
from nrray.train.training_config import TrainingConfig
from nrray.train.validation import autocast
from tests.benchmarks.noise import LANGUAGE_MODEL_ADAPTED, noise_job
from tests.benchmarks.shapes import SHAPES

PEAK_FLOPS = 989.4e12  # bfloat16, dense: NVIDIA's H100 SXM and H200 data sheets
SETTINGS = ("32", "32:compiled", "64:compiled", "64:compiled:checkpointing", "32:nf4")
NUM_STEPS = 20  # the loop tells its time every ten


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["Qwen3-VL-2B"], choices=list(SHAPES))
    parser.add_argument("--tiny", action="store_true", help="a few layers, to try the script without a GPU")
    parser.add_argument("--batch", type=int, default=64, help="windows of an optimizer step")
    parser.add_argument(
        "--profile", action="store_true", help="print what the device does in a step, the longest first"
    )
    parser.add_argument("--loaders", type=int, default=12, help="processes that prepare windows")
    parser.add_argument("--settings", nargs="+", default=SETTINGS)
    arguments = parser.parse_args()
    for name in arguments.models:
        shape = SHAPES[name]
        folder = shape.written(arguments.folder / name, read_label_set(), is_tiny=arguments.tiny)
        for setting in arguments.settings:
            windows, *options = setting.split(":")
            try:
                found = measured(
                    folder,
                    sampling=shape.sampling(is_tiny=arguments.tiny),
                    batch_windows=arguments.batch,
                    micro_batch_windows=int(windows),
                    options=options,
                    loaders=arguments.loaders,
                    is_profiled=arguments.profile,
                )
            except (RuntimeError, NrrayError) as error:  # the next setting may fit
                found = {"options": options, "error": str(error)[:500]}
            device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
            print(json.dumps({"device": device, "model": name, **found}), flush=True)


def measured(
    folder: Path,
    *,
    sampling: Sampling,
    batch_windows: int,
    micro_batch_windows: int,
    options: Sequence[str],
    loaders: int,
    is_profiled: bool,
) -> dict[str, Any]:
    place = folder.parent / "training"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    dtype = Dtype.NF4 if "nf4" in options else Dtype.AUTO
    config = TrainingConfig(
        batch_windows=batch_windows,
        micro_batch_windows=micro_batch_windows,
        gradient_checkpointing="checkpointing" in options,
        compile_layers="compiled" in options,
        loader_processes=loaders,
        validate_every_steps=10**6,
        checkpoint_every_steps=10**6,
    )
    job = noise_job(
        place,
        steps=NUM_STEPS,
        model=ModelConfig(path=str(folder), dtype=dtype),
        sampling=sampling,
        config=config,
        parts=parts_of(options),
    )
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    found: dict[str, Any] = {
        "dtype": dtype.value if dtype is not Dtype.AUTO else ("bfloat16" if on_gpu else "float32"),
        "frames a window": f"{sampling.frames_per_window} of {sampling.frame_width_px}x{sampling.frame_height_px} px",
        "windows a step": batch_windows,
        "windows per forward": micro_batch_windows,
        "options": list(options),
    }
    if "step" not in options:
        finetune(job, Accelerator(cpu=not on_gpu))
        found["loop, windows per second"] = round(loop_rate(place, batch_windows=batch_windows), 1)
    rate, operations = step_rate(job, is_profiled=is_profiled)
    if on_gpu:
        found["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return {
        **found,
        "step alone, windows per second": round(rate, 1),
        "TFLOP a window": round(operations / 1e12, 3),
        "step alone, model FLOP utilisation": round(rate * operations / PEAK_FLOPS, 3),
    }


def parts_of(options: Sequence[str]) -> ResolvedParts:
    """What learns."""
    if "whole" in options:
        return ResolvedParts(tower=TowerLearning.WHOLE)
    tower = TowerLearning.ADAPTER if "tower" in options else LANGUAGE_MODEL_ADAPTED.tower
    return replace(LANGUAGE_MODEL_ADAPTED, tower=tower)


def loop_rate(output: Path, *, batch_windows: int) -> float:
    """Between the first and the last measured steps of the history: start and validation excluded."""
    measured = [event for event in read_history(Folder(str(output))) if isinstance(event, StepMeasured)]
    first, last = measured[0], measured[-1]
    return (last.step - first.step) * batch_windows / (last.unix_seconds - first.unix_seconds)


def step_rate(job: FinetuneJob, *, is_profiled: bool, num_steps: int = 5) -> tuple[float, float]:
    """Windows per second of forward, backward and optimizer from inputs on the device; operations of forward and backward per
    window."""
    config = job.training
    trainee = prepared_trainee(
        job.start,
        execution=job.execution,
        parts=job.parts,
        adapter=LoraSection(),
        head=job.head,
        label_set=job.label_set,
        sampling=job.sampling,
        log_odds=torch.zeros(len(job.label_set.names)),
        config=config,
    )
    module, windows = trainee.module, config.micro_batch_windows
    device = next(module.parameters()).device
    sampling = job.sampling
    size = (windows, sampling.frames_per_window, sampling.frame_height_px, sampling.frame_width_px, 3)
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    inputs, one_window = (on_device(trainee.inputs(part), device) for part in (noise, noise[:1]))
    trained = list(module.trained().values())
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    module.train()

    def passed(shown: Any) -> None:
        with autocast(device, trainee.dtype):
            cost = module(shown).float().square().mean()
        cost.backward()

    def step() -> None:
        for _ in range(config.batch_windows // windows):
            passed(inputs)
        torch.nn.utils.clip_grad_norm_(trained, config.gradient_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    with compiled_layers(module) if config.compile_layers else nullcontext():
        step()
        wait(device)
        started = time.perf_counter()
        for _ in range(num_steps):
            step()
        wait(device)
        seconds = time.perf_counter() - started
        if is_profiled:
            with profile() as profiler:
                step()
                wait(device)
            by = f"self_{device.type}_time_total"
            print(profiler.key_averages().table(sort_by=by, row_limit=40, max_name_column_width=80), flush=True)
    model = module._checkpoint.model
    if config.gradient_checkpointing:  # what it computes again is no use
        model.gradient_checkpointing_disable()
    if hasattr(model.config, "text_config"):
        model.set_attn_implementation({"text_config": "eager"})  # torch cannot count grouped queries in one call
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        passed(one_window)
    return num_steps * config.batch_windows / seconds, float(counter.get_total_flops())


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
