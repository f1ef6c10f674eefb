"""A labeler of full size on this machine's GPU: Qwen3-VL-2B's shape with random weights, by head and in words.

    python -m tests.benchmarks.full_size --folder DIR [--tiny]

Writes the checkpoint into DIR (4 GB), labels noise with it as `nrray relabel` would, and prints one JSON line per setting:
windows/s, memory, and the share of time that the GPU was busy. Random weights take as long as trained ones; their answers in
words run to the last token, as a model's that explains itself.
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from nrray.labels import LabelSet, read_label_set
from nrray.models import CheckpointChoice, Execution, resolve_checkpoint, resolve_strategy
from nrray.models.measure import synthetic_frames
from nrray.models.metadata import HEAD_FILE, CheckpointMetadata, Pooling, trained_labels, write_metadata
from nrray.sampling import Sampling
from tests.checkpoints import qwen3_vl

# From the published config.json of Qwen3-VL-2B-Instruct.
TEXT = {
    "vocab_size": 151_936,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5_000_000.0,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
}
VISION = {
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_heads": 16,
    "patch_size": 16,
    "out_hidden_size": 2048,
    "deepstack_visual_indexes": [5, 11, 17],
}
TINY_TEXT = {**TEXT, "vocab_size": 1024, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 4}
TINY_VISION = {**VISION, "depth": 3, "hidden_size": 64, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}
# The study's window: 3 s, each second; frames as large as small VLMs are usually given.
SAMPLING = {"frames_per_second": 4.0, "window_seconds": 3.0, "stride_seconds": 1.0}
SIDE_PX = 224
WINDOWS_A_UNIT = 64
SECONDS = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true", help="a few layers, to try the script without a GPU")
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 8, 32, 64], help="windows per forward")
    arguments = parser.parse_args()
    label_set = read_label_set()
    sampling = Sampling(**SAMPLING, frame_width_px=SIDE_PX, frame_height_px=SIDE_PX)
    qwen3_vl(
        arguments.folder,
        label_set,
        text=TINY_TEXT if arguments.tiny else TEXT,
        vision=TINY_VISION if arguments.tiny else VISION,
        side_px=SIDE_PX,
        dtype=torch.bfloat16,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    add_head(arguments.folder, label_set, sampling, tiny=arguments.tiny)
    for micro_batch_windows in arguments.windows:
        report(arguments.folder, label_set, sampling, micro_batch_windows)
    (arguments.folder / HEAD_FILE).unlink()
    (arguments.folder / "nrray.json").unlink()
    report(arguments.folder, label_set, sampling, arguments.windows[-1])  # without a head it is asked in words


def add_head(folder: Path, label_set: LabelSet, sampling: Sampling, *, tiny: bool) -> None:
    num_outputs, width = len(label_set.names), (TINY_TEXT if tiny else TEXT)["hidden_size"]
    save_file({"out.weight": torch.randn(num_outputs, width), "out.bias": torch.zeros(num_outputs)}, folder / HEAD_FILE)
    metadata = CheckpointMetadata(
        name="random",
        labels=trained_labels(label_set),
        sampling=sampling,
        prompt="Which activities are going on?",
        pooling=Pooling.MEAN_FRAMES,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )
    write_metadata(metadata, folder)


def report(folder: Path, label_set: LabelSet, sampling: Sampling, micro_batch_windows: int) -> None:
    started = time.perf_counter()
    checkpoint = resolve_checkpoint(CheckpointChoice(path=str(folder)))
    strategy = resolve_strategy(None, checkpoint, label_set)
    execution = Execution(micro_batch_windows=micro_batch_windows)
    labeler = strategy.labeler(checkpoint, label_set=label_set, execution=execution)
    load_seconds = time.perf_counter() - started
    unit = synthetic_frames(sampling, num_windows=WINDOWS_A_UNIT)
    labeler.label(unit)  # warms up
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    busy = gpu_sampler() if on_gpu else None
    started, windows = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        windows += len(labeler.label(unit).states)
    seconds = time.perf_counter() - started
    info = labeler.info
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "strategy": strategy.kind,
        "parameters": info.parameter_count,
        "dtype": info.dtype,
        "frames a window": f"{sampling.frames_per_window} of {SIDE_PX}x{SIDE_PX} px",
        "windows per forward": micro_batch_windows,
        "windows per second": round(windows / seconds, 2),
        "load seconds": round(load_seconds, 1),
        "weights GiB": round(info.memory_bytes / 2**30, 2),
    }
    if busy is not None:
        busy.terminate()
        shares = [float(line) for line in busy.communicate()[0].split()]
        found["GPU busy share"] = round(statistics.mean(shares) / 100, 2) if shares else None
        found["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print(json.dumps(found), flush=True)
    del labeler
    torch.cuda.empty_cache()


def gpu_sampler() -> subprocess.Popen[str]:
    """Prints the driver's utilization in percent every 200 ms until it is ended."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    return subprocess.Popen(query, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
