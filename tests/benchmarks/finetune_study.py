"""The study's comparison, repeated on simulated cases: the embedded model and a TimeSformer, before and after fine-tuning on
cases of a family of appearance that neither has seen, measured on other cases of it.

    python tests/benchmarks/finetune_study.py --out DIR

The TimeSformer learns from scratch what the embedded model learned: the same windows of the same cases, as many of them,
through the loop of `nrray finetune`. Then both are fine-tuned on the same examples with three seeds by `nrray finetune`, and
`nrray evaluate` and `nrray compare` measure them on the test part. Each step that is done is not done again.
Leaves `DIR/figures.json` and prints it as Markdown.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from accelerate import Accelerator

from nrray.archive.splits import TrainedSplit
from nrray.decode.request import DecodeBackend, SampledFrames
from nrray.labels import read_label_set
from nrray.models import Execution, ModelConfig, measure_labeler, resolve_checkpoint
from nrray.models.config import LoraSection, ResolvedParts, TowerLearning
from nrray.sampling import Sampling
from nrray.train.examples import Chunk, all_examples
from nrray.train.frame_store import store_file, write_frames
from nrray.train.job import FinetuneJob, InputDigests
from nrray.train.run import finetune
from nrray.train.training_config import (
    AugmentConfig,
    HeadSection,
    TimesformerSection,
    TrainingConfig,
    resolved_training,
)
from nrray.workshop.embedded_data import VALIDATION_CASES, simulation_of, split_cases, stored_windows
from nrray.workshop.window_store import WindowSet, case_subset

TIMESFORMER = TimesformerSection(hidden_size=96, num_layers=4, num_heads=3, patch_px=16)
PRETRAINING_WINDOWS, PRETRAINING_BATCH = 32_000, 32  # what the embedded model saw: its card
FAMILY = "oak"
NUM_CASES, CASE_SECONDS = {"train": 18, "validation": 6, "test": 16}, 60.0
SEEDS = (0, 1, 2)
SHOWN = ("ventilation", "stimulation", "suction", "macro without baby_visible")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--pretraining", type=Path, help="folder of frames of nrray.workshop.train_embedded; made where it is not there"
    )
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    archive(out)
    examples = {
        "manifest": str(out / "scan/manifest.parquet"),
        "annotations": str(out / "sim/truth"),
        "cases": str(out / "sim/cases.csv"),
        "split": str(out / "parts.json"),
        "store": {"folder": str(out / "frames")},
        "workers": {"num_workers": 2},
    }
    sources: dict[str, dict[str, Any]] = {"embedded": {}}
    for seed in SEEDS:
        name = f"embedded-{seed}"
        run("finetune", out / name, {**examples, "training": {"seed": seed}})
        sources[name] = {"adapter": str(out / name / "adapter")}
    pretrained = out / "timesformer/model"
    if not pretrained.is_dir():
        pretrain(out, arguments.pretraining or out / "pretraining", threads=arguments.threads)
    sources["timesformer"] = {"path": str(pretrained)}
    for seed in SEEDS:
        name = f"timesformer-{seed}"
        run("finetune", out / name, {**examples, "model": {"path": str(pretrained)}, "training": {"seed": seed}})
        sources[name] = {"path": str(out / name / "model")}
    figures = {name: measured(out, name, model) for name, model in sources.items()}
    comparison = run(
        "compare",
        out / "comparison",
        {
            "candidates": [str(out / f"labels-{name}") for name in sources],
            "names": list(sources),
            "reference": str(out / "sim/truth"),
            "cases": str(out / "sim/cases.csv"),
            "split": str(out / "parts.json"),
        },
    )
    differences = [difference for difference in comparison["differences"] if difference["what"].startswith("macro")]
    document = {"sources": figures, "differences": differences}
    (out / "figures.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(table(figures))


def archive(out: Path) -> None:
    """Cases of the family, scanned, and dealt to parts."""
    run(
        "simulate",
        out / "sim",
        {
            "num_cases": sum(NUM_CASES.values()),
            "case_seconds": CASE_SECONDS,
            "appearance": [FAMILY],
            "videos_per_case": 1,
            "seed": 77,
        },
    )
    run("scan", out / "scan", {"archive": str(out / "sim/videos"), "cases": str(out / "sim/cases.csv")})
    total = sum(NUM_CASES.values())
    run(
        "split",
        out / "split",
        {
            "manifest": str(out / "scan/manifest.parquet"),
            "cases": str(out / "sim/cases.csv"),
            "annotations": str(out / "sim/truth"),
            "fractions": {part: count / total for part, count in NUM_CASES.items()},
            "output": str(out / "parts.json"),
        },
    )


def run(verb: str, output: Path, config: dict[str, Any]) -> dict[str, Any]:
    """A verb as a user runs it, once; its JSON."""
    said = output.with_name(f"{output.name}.json")
    if not said.is_file():
        file = output.with_name(f"{output.name}.yaml")
        file.write_text(
            yaml.safe_dump({"output": str(output), **config}),
            encoding="utf-8",
        )
        started = time.perf_counter()
        command = [sys.executable, "-m", "nrray", verb, str(file), "--json"]
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if found.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {found.returncode}")
        document = {**json.loads(found.stdout), "seconds_in_all": round(time.perf_counter() - started, 1)}
        said.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"{verb} {output.name}: {document['seconds_in_all']} s", flush=True)
    read: dict[str, Any] = json.loads(said.read_text(encoding="utf-8"))
    return read


def pretrain(out: Path, frames: Path, *, threads: int) -> None:
    """A TimeSformer from scratch on the embedded model's windows."""
    torch.set_num_threads(threads)
    label_set, sampling = read_label_set(), Sampling.model_validate({})
    simulation = simulation_of(num_cases=4000, case_seconds=60.0, seed=20)
    windows = stored_windows(frames, simulation=simulation, sampling=sampling, label_set=label_set)
    train, validation, _ = split_cases(simulation)
    store = out / "pretraining-frames"
    store.mkdir(exist_ok=True)
    chunks = [
        *stored_chunks(case_subset(windows, train), "train", store),
        *stored_chunks(case_subset(windows, validation[:VALIDATION_CASES]), "validation", store),
    ]
    config = TrainingConfig(
        num_steps=PRETRAINING_WINDOWS // PRETRAINING_BATCH,
        batch_windows=PRETRAINING_BATCH,
        micro_batch_windows=8,
        full_learning_rate=5e-4,
        head_learning_rate=1e-3,
        weight_decay=0.05,
        augment=AugmentConfig(),
        validate_every_steps=250,
        patience=100,
        checkpoint_every_steps=50,
        loader_processes=1,
    )
    (out / "timesformer").mkdir(exist_ok=True)
    job = FinetuneJob(
        name="timesformer",
        output=str(out / "timesformer"),
        store=str(store),
        chunks=chunks,
        label_set=label_set,
        sampling=sampling,
        split=TrainedSplit(parts={"train": (), "validation": ()}),
        decoder=DecodeBackend.PYAV,
        start=TIMESFORMER,
        execution=Execution(num_threads=threads),
        parts=ResolvedParts(tower=TowerLearning.WHOLE),
        adapter=LoraSection(),
        head=HeadSection(),
        training=resolved_training(
            config,
            num_windows=len(all_examples(chunks, "train", sampling)),
            has_own_head=False,
            is_from_scratch=True,
        ),
        inputs=InputDigests(annotations="", chunks=""),
    )
    started = time.perf_counter()
    finetune(job, Accelerator(cpu=True))
    print(f"pretrained in {time.perf_counter() - started:.0f} s", flush=True)


def stored_chunks(windows: WindowSet, part: str, store: Path) -> list[Chunk]:
    """The same frames as `nrray finetune` reads them: a file per case."""
    chunks = []
    for case in np.unique(windows.cases).tolist():
        mine = np.flatnonzero(windows.cases == case)
        rows = np.concatenate([windows.window_frames[mine, 0], windows.window_frames[mine[-1], 1:]])
        name = f"case-{case}"
        if not store_file(store, name).is_file():
            pixels = windows.pixels[int(rows.min()) : int(rows.max()) + 1].numpy()
            frames = (rows - rows.min()).astype(np.int32)
            write_frames(
                store_file(store, name),
                SampledFrames(pixels=pixels, pts_us=np.arange(len(pixels)), frame_of_sample=frames, shortfall=""),
            )
        chunks.append(
            Chunk(
                name=name,
                video_id=name,
                path=name,
                case=name,
                split=part,
                first_sample=0,
                num_starts=len(mine),
                targets=windows.targets[mine],
            )
        )
    return chunks


def measured(out: Path, name: str, model: dict[str, Any]) -> dict[str, Any]:
    """Labels of the whole archive and what `nrray evaluate` says about the test part."""
    run("relabel", out / f"labels-{name}", {"manifest": str(out / "scan/manifest.parquet"), "model": model})
    document = run(
        "evaluate",
        out / f"evaluation-{name}",
        {
            "candidate": str(out / f"labels-{name}"),
            "reference": str(out / "sim/truth"),
            "cases": str(out / "sim/cases.csv"),
            "split": str(out / "parts.json"),
        },
    )
    config = ModelConfig.model_validate(model)
    cost = measure_labeler(resolve_checkpoint(config), label_set=read_label_set(), execution=config)
    trained = out / f"{name}.json"
    return {
        "f1": {row["name"]: row["values"].get("windows f1") for row in document["rows"]},
        "parameters": cost.parameter_count,
        "flops_per_window": cost.flops_per_window,
        "finetuning": json.loads(trained.read_text(encoding="utf-8"))["metrics"] if trained.is_file() else None,
    }


def table(figures: dict[str, dict[str, Any]]) -> str:
    lines = [f"| source | {' | '.join(SHOWN)} | parameters | GFLOP a window |", "|---" * (len(SHOWN) + 3) + "|"]
    for name, figure in figures.items():
        cells = [cell(figure["f1"].get(activity)) for activity in SHOWN]
        lines.append(
            f"| {name} | {' | '.join(cells)} | {figure['parameters'] / 1e6:.2f} M | {figure['flops_per_window'] / 1e9:.2f} |"
        )
    return "\n".join(lines)


def cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['estimate']:.3f} ({value['low']:.3f}-{value['high']:.3f})"
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
