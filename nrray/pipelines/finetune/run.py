"""`nrray finetune`: extract frames, then train on Ray Train's workers with accelerate, and leave an adapter."""

import json
import shlex
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nrray.console.progress import duration_text
from nrray.console.reporter import Reporter
from nrray.models.config import EMBEDDED
from nrray.pipelines.finetune.extract import Extracted, extracted
from nrray.pipelines.finetune.job import FinetuneConfig, ResolvedFinetune, resolved_finetune, store_bytes
from nrray.pipelines.on_ray.pools import cluster_capacity
from nrray.pipelines.on_ray.session import ray_session, terminated_as_interrupt
from nrray.pipelines.on_ray.training_workers import planned_workers, train_on_workers
from nrray.report.training_curves import training_curves
from nrray.storage import Folder
from nrray.train.examples import examples_of
from nrray.train.history import HISTORY_FILE, read_history
from nrray.train.job import METRICS_FILE, FinetuneJob, artefact_folder, is_adapter_folder
from nrray.writer_lock import WriterLock

DROPPED_FILE = "dropped.json"
CURVES_FILE = "curves.png"
_LINE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """What a call came to."""

    output: str
    artefact: str | None  # an adapter, or a whole model
    metrics: dict[str, Any]
    dropped: dict[str, str]


class SaidCourse:
    """Says what the history of a training says, from when it is made."""

    def __init__(self, output: Folder, reporter: Reporter) -> None:
        self._output = output
        self._reporter = reporter
        self._said = {_key(event) for event in read_history(output)}
        self._last_step_line = 0.0

    def report(self) -> None:
        """All that is new; of steps, a line every 30 s."""
        for event in read_history(self._output):
            if _key(event) not in self._said:
                self._said.add(_key(event))
                self._tell(event)

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


def _key(event: dict[str, Any]) -> str:
    """What makes an event new: what is measured again after a worker was lost is not."""
    timely = () if "num_workers" in event else ("unix_seconds", "windows_per_second", "seconds_left")
    return json.dumps({key: value for key, value in event.items() if key not in timely})


def run_finetune(config: FinetuneConfig, reporter: Reporter, *, dry_run: bool = False) -> Finetuned:
    """Train, or go on with a training that was stopped.

    Raises ConfigError, DataError, ModelError, OutputBusyError, ResourcesError, StorageError, TrainingError.
    """
    resolved = resolved_finetune(config)
    job, output = resolved.job, Folder(resolved.job.output)
    for note in resolved.plan.notes:
        reporter.say(note)
    reporter.say(training_sentence(resolved))
    from nrray.train.training_state import Records  # with torch

    Records(output, job.identity).check_identity(undecided="dropped")
    if dry_run:
        reporter.say("dry run: nothing was decoded, nothing was written")
        return Finetuned(output=job.output, artefact=None, metrics={}, dropped={})
    output.create()
    if artefact_folder(job.output) is not None:  # it is written last
        reporter.say("this training is finished: nothing was trained")
        dropped = output.read_json(DROPPED_FILE)
    else:
        dropped = _trained(resolved, output, reporter)
    output.write_bytes(CURVES_FILE, training_curves(read_history(output), title=job.name))
    artefact = artefact_folder(job.output)
    assert artefact is not None  # or training would have ended with an error
    if not config.store.keep:
        shutil.rmtree(job.store, ignore_errors=True)
    return Finetuned(output=job.output, artefact=str(artefact), metrics=_metrics(artefact), dropped=dropped)


def _trained(resolved: ResolvedFinetune, output: Folder, reporter: Reporter) -> dict[str, str]:
    """Train to the end; what could not be decoded, by name."""
    config = resolved.config
    with WriterLock(output), ray_session(), terminated_as_interrupt():
        job, dropped = extracted_job(resolved, reporter)
        workers, on_gpu = planned_workers(config.workers, cluster_capacity())
        share = "a GPU" if on_gpu else f"{config.workers.cpus_per_worker:g} CPU"
        reporter.say(f"workers: {workers}, each with {share}")
        course = SaidCourse(output, reporter)
        train_on_workers(config.workers, job, num_workers=workers, on_gpu=on_gpu, progress=course)
    return dropped


def _metrics(artefact: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((artefact / METRICS_FILE).read_text(encoding="utf-8"))
    return found


def extracted_job(resolved: ResolvedFinetune, reporter: Reporter) -> tuple[FinetuneJob, dict[str, str]]:
    """The job with its frames on disk, and what of them could not be decoded, by name."""
    job, output = resolved.job, Folder(resolved.job.output)
    found = extracted(resolved, reporter)
    _note_dropped(output, found, reporter)
    # What was dropped is part of what is trained on: a video that is mended later must not slip into a training.
    identity = {**job.identity, "dropped": sorted(found.dropped)}
    return replace(job, chunks=found.chunks, identity=identity), found.dropped


def report_finetune(result: Finetuned, config: FinetuneConfig, reporter: Reporter) -> None:
    """What was left where, and the next command."""
    if result.artefact is not None:
        is_adapter = is_adapter_folder(result.artefact)
        metrics = result.metrics
        macro = metrics["best_validation_macro_f1"]
        reporter.say(
            f"{metrics['steps']} steps over {metrics['num_train_windows']:,} windows; best at step {metrics['best_step']}: "
            f"macro F1 {'-' if macro is None else f'{macro:.3f}'} on {metrics['num_validation_windows']:,} windows of the "
            f"validation part, on which it was chosen"
        )
        if metrics["steps"] < metrics.get("num_steps", 0):  # an older training does not say
            reporter.say(
                f"Ended before its {metrics['num_steps']} steps: {config.training.patience} validations without a better one"
            )
        if metrics["best_step"] == 0:
            reporter.say(
                "No step was better than none: what is left is the model as it was before, with thresholds and temperatures "
                "fitted to the validation part. More cases, more epochs or another learning rate may help."
            )
        reporter.say(f"{'Adapter: ' if is_adapter else 'Model:   '}{result.artefact}")
        reporter.say(f"Course:  {result.output}/{CURVES_FILE}, {HISTORY_FILE}")
        labels = f"{result.output.rstrip('/')}-labels"
        words = [
            *("nrray", "relabel", "--set", f"manifest={config.manifest}", "--set", f"output={labels}"),
            *(["--set", f"label_set={config.label_set}"] if config.label_set is not None else []),
            *(["--set", f"model.path={config.model.path}"] if is_adapter and config.model.path != EMBEDDED else []),
            *("--set", f"model.{'adapter' if is_adapter else 'path'}={result.artefact}"),
        ]
        reporter.next_command(shlex.join(words))
    reporter.finish(
        {"output": result.output, "artefact": result.artefact, "metrics": result.metrics, "dropped": result.dropped}
    )


def _note_dropped(output: Folder, found: Extracted, reporter: Reporter) -> None:
    output.write_json(DROPPED_FILE, found.dropped)
    if found.dropped:
        reporter.say(
            f"{len(found.dropped)} chunks could not be decoded and are not trained on, such as "
            f"{next(iter(found.dropped.values()))}; all are in {output.path(DROPPED_FILE)}"
        )


def training_sentence(resolved: ResolvedFinetune) -> str:
    """How much is trained on, in how many steps, and what its frames take."""
    plan, sampling, training = resolved.plan, resolved.job.sampling, resolved.job.training
    parts: list[str] = []
    num_windows: dict[str, int] = {}
    for part in ("train", "validation"):
        mine = [chunk for chunk in plan.chunks if chunk.split == part]
        seconds = sum(chunk.num_samples(sampling) for chunk in mine) / sampling.frames_per_second
        num_windows[part] = len(examples_of(mine, [np.ones(s.num_starts, bool) for s in mine], part, sampling))
        num_cases = len({chunk.case for chunk in mine})
        parts.append(f"{part} {num_cases} cases, {seconds / 60:.1f} min, {num_windows[part]:,} windows")
    epochs = "1 epoch is" if training.num_epochs == 1 else f"{training.num_epochs:g} epochs are"
    return (
        f"{'; '.join(parts)}. {epochs} {training.num_steps(num_windows['train']):,} steps of "
        f"{training.batch_windows} windows. Frames take {store_bytes(resolved) / 2**30:.2f} GiB in {resolved.job.store}"
        f"{'' if resolved.config.store.keep else ', deleted afterwards'}"
    )


def _step_line(event: dict[str, Any]) -> str:
    return (
        f"step {event['step']} of {event['num_steps']}: loss {event['loss']:.4f}, learning rate {event['learning_rate']:.2g}, "
        f"{event['windows_per_second']:.1f} windows/s, {duration_text(event['seconds_left'])} left"
    )


def _validation_line(event: dict[str, Any]) -> str:
    each = ", ".join(f"{name} {'-' if f1 is None else f'{f1:.3f}'}" for name, f1 in event["validation_f1"].items())
    macro = event["validation_macro_f1"]
    return (
        f"step {event['step']} of {event['num_steps']}: validation macro F1 {'-' if macro is None else f'{macro:.3f}'} "
        f"({each}), loss {event['validation_loss']:.4f}"
    )
