"""The study's comparison, repeated on simulated cases of a renderer that took no part in making any model: both embedded models
and a TimeSformer before and after `nrray finetune`, and what learning in one part of the model alone does.

    python tests/benchmarks/finetune_study.py --out DIR [--arms embedded/defaults embedded/head ...] [--seeds 0 1 2]

All arms are trained on the same 18 cases, choose on the same 6, and are measured by `nrray evaluate` and `nrray compare` on 24
others at natural prevalence. Beside F1 stands how often each look-alike is claimed as the activity that it looks like: what is
learned must be the motion. The TimeSformer first learns from scratch what the embedded model learned: the same windows, as many
of them. Each step that is done is not done again. Leaves `DIR/figures.json` and prints it as Markdown.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from accelerate import Accelerator

from nrray.archive.splits import TrainedSplit
from nrray.decode.request import DecodeConfig, SampledFrames
from nrray.labels import read_label_set
from nrray.models import Execution, ModelConfig, measure_labeler, resolve_checkpoint
from nrray.models.config import LoraSection, ResolvedParts, TowerLearning
from nrray.sampling import Sampling
from nrray.simulate import SimulateConfig, simulated_case
from nrray.simulate.appearance import FAMILIES
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
from nrray.train.training_plan import TrainingFacts
from nrray.workshop.embedded_data import Part, numbers_of, source_cases, stored_windows
from nrray.workshop.train_embedded import CASES, CYCLES, STEPS
from nrray.workshop.train_embedded import SEED as EMBEDDED_SEED
from nrray.workshop.window_store import WindowSet, case_subset

TIMESFORMER = TimesformerSection(hidden_size=96, num_layers=4, num_heads=3, patch_px=16)
PRETRAINING_BATCH = 32
RENDERER, SEED = "textured", 77
NUM_CASES, CASE_SECONDS = {"train": 18, "validation": 6, "test": 24}, 60.0
SHOWN = ("ventilation", "stimulation", "suction", "macro without baby_visible")
FROZEN = {"tower": "frozen", "projector": "frozen", "language_model": "frozen"}
PARTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "head": FROZEN,
    "norms": {**FROZEN, "tower": "norms", "language_model": "norms"},
    "language model": {**FROZEN, "language_model": "adapter"},
    "projector": {**FROZEN, "projector": "whole"},
    "tower adapter": {**FROZEN, "tower": "adapter"},
    "tower blocks": {**FROZEN, "tower": "last_blocks"},
}
"""Arms: what learns beside the head."""
LOOK_ALIKES = {
    "ventilation": ("mask_still", "mask_beside", "bag_tested"),
    "suction": ("tube_still", "tube_beside", "tube_waved"),
    "stimulation": ("hand_resting", "limb_rubbed", "hand_hovering"),
}


def main() -> None:
    arguments = parsed_arguments()
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    archive(out)
    starts: dict[str, dict[str, Any]] = {"embedded": {"path": "embedded"}, "embedded-base": {"path": "embedded-base"}}
    if any(arm.startswith("timesformer") for arm in arguments.arms):
        starts["timesformer"] = {"path": str(pretrained(out, arguments))}
    sources = dict(starts)  # embedded-base, which has no head, is asked in words
    for arm in arguments.arms:
        start, _, parts = arm.partition("/")
        for seed in arguments.seeds if parts == "defaults" else arguments.seeds[:1]:
            name = f"{arm.replace('/', '-').replace(' ', '-')}-{seed}"
            result = run(
                "finetune",
                out / name,
                {
                    **examples(out),
                    "model": {**starts[start], "num_threads": arguments.threads},
                    "parts": PARTS[parts],
                    "training": {"seed": seed},
                },
            )
            folder = result["trained_model"]
            is_adapter = Path(folder).name == "adapter"
            sources[name] = {**starts[start], "adapter": folder} if is_adapter else {"path": folder}
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


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--pretraining", type=Path, help="folder of frames of nrray.workshop.train_embedded; made where it is not there"
    )
    arms = [f"{start}/{parts}" for start in ("embedded", "embedded-base") for parts in PARTS]
    parser.add_argument("--arms", nargs="+", default=[*arms, "timesformer/defaults"], help="start/what learns")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the defaults; other arms take the first"
    )
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def examples(out: Path) -> dict[str, Any]:
    """The part of a config that names the examples."""
    return {
        "manifest": str(out / "scan/manifest.parquet"),
        "annotations": str(out / "sim/truth"),
        "cases": str(out / "sim/cases.csv"),
        "split": str(out / "parts.json"),
        "store": {"folder": str(out / "frames")},
        "workers": {"num_workers": 1},
    }


def simulation() -> dict[str, Any]:
    """The settings of the archive."""
    return {
        "num_cases": sum(NUM_CASES.values()),
        "case_seconds": CASE_SECONDS,
        "frames_per_second": 4,  # as sampled: drawing takes most of the time
        "appearance": list(FAMILIES),
        "renderer": RENDERER,
        "videos_per_case": 1,
        "seed": SEED,
    }


def archive(out: Path) -> None:
    """Cases, scanned, and dealt to parts."""
    run("simulate", out / "sim", simulation())
    run("scan", out / "scan", {"archive": str(out / "sim/videos"), "cases": str(out / "sim/cases.csv")})
    cases = sorted(path.name for path in (out / "sim/videos").iterdir())
    ends = np.cumsum(list(NUM_CASES.values()))[:-1]  # families of appearance follow each other: each part has them all
    parts = {part: mine.tolist() for part, mine in zip(NUM_CASES, np.split(np.array(cases), ends), strict=True)}
    (out / "parts.json").write_text(json.dumps({"parts": parts}, indent=1) + "\n", encoding="utf-8")


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


def pretrained(out: Path, arguments: argparse.Namespace) -> Path:
    """A TimeSformer from scratch on the embedded model's windows, made once; the folder of the model."""
    folder = out / "timesformer/model"
    if not folder.is_dir():
        pretrain(out, arguments.pretraining or out / "pretraining", threads=arguments.threads)
    return folder


def pretrain(out: Path, frames: Path, *, threads: int) -> None:
    """Train it as the embedded model was trained: as many windows, the same augmentation."""
    torch.set_num_threads(threads)
    label_set, sampling = read_label_set(), Sampling.model_validate({})
    sources = source_cases(num_cases=CASES, case_seconds=CASE_SECONDS, seed=EMBEDDED_SEED)
    windows = stored_windows(frames, sources=sources, sampling=sampling, label_set=label_set)
    train, validation = numbers_of(sources, Part.TRAIN), numbers_of(sources, Part.VALIDATION)
    store = out / "pretraining-frames"
    store.mkdir(exist_ok=True)
    chunks = [
        *stored_chunks(case_subset(windows, train), "train", store),
        *stored_chunks(case_subset(windows, validation), "validation", store),
    ]
    config = TrainingConfig(
        num_steps=STEPS * CYCLES,
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
    facts = TrainingFacts(
        num_windows=len(all_examples(chunks, "train", sampling)),
        num_cases=len(train),
        num_validation_cases=len(validation),
        has_own_head=False,
        bytes_per_weight=4,
    )
    job = FinetuneJob(
        name="timesformer",
        output=str(out / "timesformer"),
        store=str(store),
        chunks=chunks,
        label_set=label_set,
        sampling=sampling,
        split=TrainedSplit(parts={"train": (), "validation": ()}),
        decoder=DecodeConfig().frames_identity,
        start=TIMESFORMER,
        execution=Execution(num_threads=threads),
        parts=ResolvedParts(tower=TowerLearning.WHOLE),
        adapter=LoraSection(),
        head=HeadSection(),
        training=resolved_training(config, num_windows=facts.num_windows, has_own_head=False, is_from_scratch=True),
        facts=facts,
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
    labels = {"manifest": str(out / "scan/manifest.parquet"), "model": model, "outside_domain": "label"}
    run("relabel", out / f"labels-{name}", labels)
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
        "look_alikes": claimed_look_alikes(out, out / f"labels-{name}"),
        "parameters": cost.parameter_count,
        "flops_per_window": cost.flops_per_window,
        "finetuning": json.loads(trained.read_text(encoding="utf-8")) if trained.is_file() else None,
    }


def claimed_look_alikes(out: Path, labels: Path) -> dict[str, dict[str, int]]:
    """Of each kind of look-alike: windows of the test part that lie in such an episode, and how many of them are claimed as the
    activity that it looks like."""
    config = SimulateConfig.model_validate(simulation())
    wanted = set(json.loads((out / "parts.json").read_text(encoding="utf-8"))["parts"]["test"])
    table = pd.read_parquet(
        labels / "latest" / "labels.parquet", columns=["path", "activity", "start_us", "end_us", "state"]
    )
    counts: dict[str, dict[str, int]] = {}
    for index in range(config.num_cases):
        case = simulated_case(config, index)
        if case.case_id not in wanted:
            continue
        mine = table[table.path == case.cameras[0].video_path]
        for activity, kinds in LOOK_ALIKES.items():
            said = mine[mine.activity == activity]
            for episode in (*case.scenario.airway, *case.scenario.body):
                if episode.kind.value not in kinds:
                    continue
                inside = said[(said.start_us >= 1e6 * episode.start_s) & (said.end_us <= 1e6 * episode.end_s)]
                found = counts.setdefault(episode.kind.value, {"windows": 0, "claimed": 0})
                found["windows"] += len(inside)
                found["claimed"] += int((inside.state == "present").sum())
    return counts


def table(figures: dict[str, dict[str, Any]]) -> str:
    kinds = [kind for each in LOOK_ALIKES.values() for kind in each]
    lines = [
        f"| source | {' | '.join(SHOWN)} | {' | '.join(kinds)} | steps | minutes |",
        "|---" * (len(SHOWN) + len(kinds) + 3) + "|",
    ]
    for name, figure in figures.items():
        cells = [cell(figure["f1"].get(activity)) for activity in SHOWN]
        seen = [figure["look_alikes"].get(kind, {"windows": 0, "claimed": 0}) for kind in kinds]
        claimed = [f"{each['claimed']}/{each['windows']}" for each in seen]
        trained = figure["finetuning"]
        cost = ["-", "-"] if trained is None else [trained["metrics"]["steps"], f"{trained['seconds_in_all'] / 60:.1f}"]
        lines.append(f"| {name} | {' | '.join([*cells, *claimed, *map(str, cost)])} |")
    return "\n".join(lines)


def cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['estimate']:.3f} ({value['low']:.3f}-{value['high']:.3f})"
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
