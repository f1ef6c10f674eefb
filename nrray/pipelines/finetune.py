"""`nrray finetune`: extract frames, then train on Ray Train's workers with accelerate, and leave an adapter.

Ray places the workers and replaces lost ones. What a training needs to go on is in the output, written by the first worker:
Ray commits what is reported to it later than it is reported, and would start again from an older state.
"""

import json
import secrets
import shlex
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from accelerate import Accelerator
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from nrray import errors
from nrray.errors import NrrayError, ResourcesError, TrainingError
from nrray.models.config import EMBEDDED
from nrray.pipelines.cluster import Capacity, cluster_capacity, error_of_ours, ray_session
from nrray.pipelines.console import Reporter
from nrray.pipelines.extract import Extracted, extracted
from nrray.pipelines.finetune_job import FinetuneConfig, ResolvedFinetune, resolved_finetune, store_bytes
from nrray.report.training_curves import training_curves
from nrray.storage import Folder
from nrray.train.finetuned import ADAPTER_FOLDER, METRICS_FILE, MODEL_FOLDER, FinetuneJob, finetune
from nrray.train.training_state import HISTORY_FILE
from nrray.writer_lock import WriterLock

FAILURE_FILE = "failure.json"
DROPPED_FILE = "dropped.json"
CURVES_FILE = "curves.png"
_RAY_FOLDER = ".ray-train"
_WATCH_SECONDS, _LINE_SECONDS = 1.0, 30.0


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """What a call came to."""

    output: str
    artefact: str | None  # an adapter, or a whole model
    metrics: dict[str, Any]
    dropped: dict[str, str]


def run_finetune(config: FinetuneConfig, reporter: Reporter, *, dry_run: bool = False) -> Finetuned:
    """Train, or go on with a training that was stopped.

    Raises ConfigError, DataError, ModelError, OutputBusyError, ResourcesError, StorageError, TrainingError.
    """
    resolved = resolved_finetune(config)
    job, output = resolved.job, Folder(resolved.job.output)
    for note in resolved.plan.notes:
        reporter.say(note)
    reporter.say(_plan_sentence(resolved))
    if dry_run:
        reporter.say("dry run: nothing was decoded, nothing was written")
        return Finetuned(output=job.output, artefact=None, metrics={}, dropped={})
    output.create()
    with WriterLock(output), ray_session():
        output.remove(FAILURE_FILE)
        found = extracted(resolved, reporter)
        _note_dropped(output, found, reporter)
        # What was dropped is part of what is trained on: a video that is mended later must not slip into a training.
        identity = {**job.identity, "dropped": sorted(found.dropped)}
        job = replace(job, stretches=found.stretches, identity=identity)
        workers, on_gpu = _workers(config, cluster_capacity())
        share = "a GPU" if on_gpu else f"{config.workers.cpus_per_worker:g} CPU"
        reporter.say(f"workers: {workers}, each with {share}")
        with _watched(output, reporter):
            _train(config, job, workers, on_gpu=on_gpu)
    history = [json.loads(line) for line in output.read_bytes(HISTORY_FILE).splitlines()]
    output.write_bytes(CURVES_FILE, training_curves(history, title=job.name))
    folders = [Path(job.output) / name for name in (ADAPTER_FOLDER, MODEL_FOLDER)]
    artefact = next(folder for folder in folders if folder.is_dir())
    metrics = json.loads((artefact / METRICS_FILE).read_text(encoding="utf-8"))
    if not config.store.keep:
        shutil.rmtree(job.store, ignore_errors=True)
    return Finetuned(output=job.output, artefact=str(artefact), metrics=metrics, dropped=found.dropped)


def report_finetune(result: Finetuned, config: FinetuneConfig, reporter: Reporter) -> None:
    """What was left where, and the next command."""
    if result.artefact is not None:
        is_adapter = Path(result.artefact).name == ADAPTER_FOLDER
        metrics = result.metrics
        macro = metrics["best_validation_macro_f1"]
        reporter.say(
            f"{metrics['steps']} steps over {metrics['num_train_windows']:,} windows; best at step {metrics['best_step']}: "
            f"macro F1 {'-' if macro is None else f'{macro:.3f}'} on {metrics['num_validation_windows']:,} windows of the "
            f"validation part, on which it was chosen"
        )
        reporter.say(f"{'Adapter: ' if is_adapter else 'Model:   '}{result.artefact}")
        reporter.say(f"Course:  {result.output}/{CURVES_FILE}, {HISTORY_FILE}")
        labels = f"{result.output.rstrip('/')}-labels"
        words = [
            *("nrray", "relabel", "--set", f"manifest={config.manifest}", "--set", f"output={labels}"),
            *(["--set", f"model.path={config.model.path}"] if is_adapter and config.model.path != EMBEDDED else []),
            *("--set", f"model.{'adapter' if is_adapter else 'path'}={result.artefact}"),
        ]
        reporter.next_command(shlex.join(words))
    reporter.finish(
        {"output": result.output, "artefact": result.artefact, "metrics": result.metrics, "dropped": result.dropped}
    )


def train_worker(config: dict[str, Any]) -> None:
    """What runs in each of Ray Train's workers."""
    job: FinetuneJob = config["job"]
    output = Folder(job.output)
    if output.exists(FAILURE_FILE):
        return  # it would happen again: the driver says what it was
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    context = ray.train.get_context()
    found = (accelerator.num_processes, accelerator.process_index)
    if found != (context.get_world_size(), context.get_world_rank()):
        raise ResourcesError(
            f"accelerate did not adopt Ray's processes: it sees process {found[1]} of {found[0]}, Ray "
            f"{context.get_world_rank()} of {context.get_world_size()}. Unset ACCELERATE_* variables on the nodes."
        )
    try:
        finetune(job, accelerator)
    except NrrayError as error:
        output.write_json(FAILURE_FILE, {"kind": type(error).__name__, "message": str(error)})
        raise


def _train(config: FinetuneConfig, job: FinetuneJob, workers: int, *, on_gpu: bool) -> None:
    output = Folder(job.output)
    asked = config.workers
    least = min(asked.min_workers or workers, workers)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=workers if least == workers else (least, workers),
            use_gpu=on_gpu,
            resources_per_worker={"CPU": asked.cpus_per_worker, **({"GPU": 1} if on_gpu else {})},
        ),
        run_config=RunConfig(
            name=f"run-{secrets.token_hex(4)}",
            storage_path=f"{job.output}/{_RAY_FOLDER}",
            failure_config=FailureConfig(max_failures=asked.max_failures),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:  # Ray's errors have no common base that says so
        _raise_failure(output)
        ours = error_of_ours(error)
        if ours is not None:
            raise ours from error
        raise TrainingError(
            f"the workers were lost more than {asked.max_failures} times ({type(error).__name__}: {_first_line(error)}). The "
            f"last checkpoint is kept; the same command goes on from it."
        ) from error
    finally:
        shutil.rmtree(f"{job.output}/{_RAY_FOLDER}", ignore_errors=True)
    _raise_failure(output)


def _raise_failure(output: Folder) -> None:
    if output.exists(FAILURE_FILE):
        failure = output.read_json(FAILURE_FILE)
        kind = getattr(errors, failure["kind"], NrrayError)
        raise (kind if kind is not errors.DecodeError else NrrayError)(failure["message"])


def _workers(config: FinetuneConfig, capacity: Capacity) -> tuple[int, bool]:
    """How many workers, and whether each has a GPU. Raises ResourcesError where they would never all start."""
    on_gpu = capacity.num_gpus >= 1
    asked = config.workers
    workers = asked.num_workers if asked.num_workers != "auto" else (int(capacity.num_gpus) if on_gpu else 1)
    least = min(asked.min_workers or workers, workers)
    room = int(min(capacity.num_cpus / asked.cpus_per_worker, capacity.num_gpus if on_gpu else workers))
    if least > room:
        raise ResourcesError(
            f"{least} workers of {asked.cpus_per_worker:g} CPUs{' and a GPU' if on_gpu else ''} do not fit: the cluster has "
            f"{capacity}. Lower workers.num_workers, or add nodes. They would wait for ever, so nothing was started."
        )
    return workers, on_gpu


def _note_dropped(output: Folder, found: Extracted, reporter: Reporter) -> None:
    output.write_json(DROPPED_FILE, found.dropped)
    if found.dropped:
        reporter.say(
            f"{len(found.dropped)} stretches could not be decoded and are not trained on, such as "
            f"{next(iter(found.dropped.values()))}; all are in {output.path(DROPPED_FILE)}"
        )


def _plan_sentence(resolved: ResolvedFinetune) -> str:
    plan, sampling = resolved.plan, resolved.job.sampling
    parts = []
    for part in ("train", "validation"):
        mine = [stretch for stretch in plan.stretches if stretch.part == part]
        seconds = sum(stretch.num_samples(sampling) for stretch in mine) / sampling.frames_per_second
        parts.append(f"{part} {len({stretch.case for stretch in mine})} cases, {seconds / 60:.1f} min")
    return (
        f"{'; '.join(parts)}. Frames take {store_bytes(resolved) / 2**30:.2f} GiB in {resolved.job.store}"
        f"{'' if resolved.config.store.keep else ', deleted afterwards'}"
    )


@contextmanager
def _watched(output: Folder, reporter: Reporter) -> Iterator[None]:
    """Says what the history says, for the time of the block."""
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(output, reporter, stop), daemon=True)
    watch.start()
    try:
        yield
    finally:
        stop.set()
        watch.join()


def _watch(output: Folder, reporter: Reporter, stop: threading.Event) -> None:
    said, last_line = 0, 0.0
    is_last = False
    while not is_last:
        is_last = stop.wait(_WATCH_SECONDS)
        if not output.exists(HISTORY_FILE):
            continue
        events = [json.loads(line) for line in output.read_bytes(HISTORY_FILE).splitlines()]
        for event in events[said:]:
            if "num_workers" in event:
                verb = "goes on" if event["step"] else "starts"
                reporter.say(f"training {verb} at step {event['step']} of {event['num_steps']}")
            elif "validation_loss" in event:
                reporter.say(_validation_line(event))
            elif time.monotonic() - last_line > _LINE_SECONDS:
                reporter.say(_step_line(event))
                last_line = time.monotonic()
        said = len(events)


def _step_line(event: dict[str, Any]) -> str:
    return (
        f"step {event['step']} of {event['num_steps']}: loss {event['loss']:.4f}, learning rate {event['learning_rate']:.2g}, "
        f"{event['windows_per_second']:.1f} windows/s, {event['seconds_left'] / 60:.0f} min left"
    )


def _validation_line(event: dict[str, Any]) -> str:
    each = ", ".join(f"{name} {'-' if f1 is None else f'{f1:.3f}'}" for name, f1 in event["validation_f1"].items())
    macro = event["validation_macro_f1"]
    return (
        f"step {event['step']} of {event['num_steps']}: validation macro F1 {'-' if macro is None else f'{macro:.3f}'} "
        f"({each}), loss {event['validation_loss']:.4f}"
    )


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"
