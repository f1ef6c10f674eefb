"""`nrray finetune`: extract frames, then train on Ray Train's workers with accelerate, and leave an adapter.

Ray places the workers and replaces lost ones. What a training needs to go on is in the output, written by the first worker:
Ray commits what is reported to it later than it is reported, and would start again from an older state.
"""

import json
import math
import os
import secrets
import shlex
import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from accelerate import Accelerator
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from nrray import errors
from nrray.errors import NrrayError, ResourcesError, TrainingError
from nrray.models.config import EMBEDDED
from nrray.pipelines.cluster import Capacity, cluster_capacity, error_of_ours, ray_session, terminated_as_interrupt
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


class Course:
    """Says what the history of a training says, from when it is made."""

    def __init__(self, output: Folder, reporter: Reporter) -> None:
        self._output = output
        self._reporter = reporter
        self._said = set(self._lines())
        self._last_step_line = 0.0

    def tell(self) -> None:
        """All that is new; of steps, a line every 30 s."""
        for line in self._lines():
            if line not in self._said:
                self._said.add(line)
                self._tell(json.loads(line))

    def _tell(self, event: dict[str, Any]) -> None:
        if "num_workers" in event:
            for name in event.get("unreadable_checkpoints", ()):
                self._reporter.say(f"checkpoint {name} cannot be read; the one before it is taken")
            verb = "goes on" if event["step"] else "starts"
            self._reporter.say(f"training {verb} at step {event['step']} of {event['num_steps']}")
        elif "validation_loss" in event:
            self._reporter.say(_validation_line(event))
        elif time.monotonic() - self._last_step_line > _LINE_SECONDS:
            self._reporter.say(_step_line(event))
            self._last_step_line = time.monotonic()

    def _lines(self) -> list[bytes]:
        return self._output.read_bytes(HISTORY_FILE).splitlines() if self._output.exists(HISTORY_FILE) else []


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
    with WriterLock(output), ray_session(), terminated_as_interrupt():
        output.remove(FAILURE_FILE)
        found = extracted(resolved, reporter)
        _note_dropped(output, found, reporter)
        # What was dropped is part of what is trained on: a video that is mended later must not slip into a training.
        identity = {**job.identity, "dropped": sorted(found.dropped)}
        job = replace(job, stretches=found.stretches, identity=identity)
        workers, on_gpu = planned_workers(config, cluster_capacity())
        share = "a GPU" if on_gpu else f"{config.workers.cpus_per_worker:g} CPU"
        reporter.say(f"workers: {workers}, each with {share}")
        _train(config, job, workers, on_gpu=on_gpu, course=Course(output, reporter))
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


def _train(config: FinetuneConfig, job: FinetuneJob, workers: int, *, on_gpu: bool, course: Course) -> None:
    output = Folder(job.output)
    asked = config.workers
    least = min(asked.min_workers or workers, workers)
    # Ray tries again for ever, 60 s each time, unless it is told how often.
    tries = math.ceil(asked.start_timeout_seconds / 60)
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(asked.start_timeout_seconds / tries)
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
            failure_config=FailureConfig(max_failures=asked.max_failures, controller_failure_limit=tries - 1),
        ),
    )
    try:
        _fit(trainer, course)
    except ControllerError as error:
        _raise_failure(output)
        raise ResourcesError(
            f"{least} workers were not started within {asked.start_timeout_seconds} s ({_first_line(error.controller_failure)}). "
            f"Other work holds the cluster, which has {cluster_capacity()}. Wait for it, lower workers.num_workers or raise "
            f"workers.start_timeout_seconds; what was done is kept."
        ) from error
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


def _fit(trainer: TorchTrainer, course: Course) -> None:
    """Ray's `fit`, in a thread: in the main one it takes Ctrl-C for itself and ends as if workers had died."""
    found: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=_WATCH_SECONDS)
        course.tell()
    for error in found:
        raise error


def _raise_failure(output: Folder) -> None:
    if output.exists(FAILURE_FILE):
        failure = output.read_json(FAILURE_FILE)
        kind = getattr(errors, failure["kind"], NrrayError)
        raise (kind if kind is not errors.DecodeError else NrrayError)(failure["message"])


def planned_workers(config: FinetuneConfig, capacity: Capacity) -> tuple[int, bool]:
    """How many workers, and whether each has a GPU. Raises ResourcesError where they would never all start."""
    on_gpu = capacity.num_gpus >= 1
    asked = config.workers
    workers = asked.num_workers if asked.num_workers != "auto" else (int(capacity.num_gpus) if on_gpu else 1)
    least = min(asked.min_workers or workers, workers)
    nodes = capacity.nodes or (capacity,)  # a worker is on one node whole
    room = sum(
        int(min(node.num_cpus / asked.cpus_per_worker, node.num_gpus if on_gpu else math.inf) + 1e-6) for node in nodes
    )
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
