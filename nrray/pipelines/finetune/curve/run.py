"""The trainings of a curve: frames extracted once, a training per number of cases, each measured on the test part."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrray.archive.annotations import read_annotations
from nrray.archive.cases import read_cases
from nrray.archive.splits import check_cases, part_cases, read_split
from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record
from nrray.errors import DataError
from nrray.evaluate.chance_baselines import Baseline
from nrray.evaluate.comparison import Comparison, compare
from nrray.evaluate.config import CompareConfig
from nrray.evaluate.document import EvaluationDocument
from nrray.evaluate.figure_text import interval
from nrray.metrics.jackknife import Value
from nrray.models import ModelConfig, ResolvedCheckpoint
from nrray.models.metadata import trained_labels
from nrray.pipelines.finetune.curve.claims import claims
from nrray.pipelines.finetune.curve.document import (
    CURVE_FILE,
    METRIC,
    Chance,
    CurveDocument,
    CurvePoint,
    CurveScores,
    read_curve,
    write_curve,
)
from nrray.pipelines.finetune.curve.report import PICTURE_FILE, Curve, case_curves, report_subsets
from nrray.pipelines.finetune.curve.subsets import nested_subsets, shown_activities
from nrray.pipelines.finetune.expected_time import expected_time
from nrray.pipelines.finetune.extract import frames_digests
from nrray.pipelines.finetune.held_out import LABELS, TEST, measured_on_test, trained_model_config
from nrray.pipelines.finetune.job import FinetuneConfig, ResolvedFinetune, job_of_cases, planned_job, resolved_finetune
from nrray.pipelines.finetune.report import training_sentence
from nrray.pipelines.finetune.run import drawn_training, extracted_job, reported_workers, train
from nrray.pipelines.on_ray.session import ray_session, terminated_as_interrupt
from nrray.report.case_curves import case_curves_picture
from nrray.storage import Folder
from nrray.train.examples import Examples, all_examples, examples_of, planned_examples, training_notes
from nrray.train.frame_store import read_frame_of_sample, store_file, whole_windows
from nrray.train.job import FinetuneJob
from nrray.train.output import finished_model_folder, read_metrics
from nrray.writer_lock import WriterLock

_ONE_TRAINING = "Each number of cases was trained on once, with one seed: intervals are over test cases alone."


@dataclass(frozen=True, kw_only=True)
class _MeasuredTraining:
    """A training's cases, in the order in which sizes take them in, the model that it left, and the evaluation of that."""

    cases: tuple[str, ...]
    trained_model: Path
    evaluation: EvaluationDocument


def run_curve(config: FinetuneConfig, sizes: Sequence[int], reporter: Reporter, *, dry_run: bool = False) -> Curve:
    """Train on growing numbers of cases, or go on where that was stopped, and measure each model on the test part.

    Raises ConfigError, DataError, IdentityError, ModelError, OutputBusyError, ResourcesError, StorageError, TrainingError.
    """
    resolved = resolved_finetune(config)
    _check_test_part(resolved)
    output = Folder(resolved.job.output)
    subsets = nested_subsets(_shown(resolved), sizes, resolved.job.label_set, seed=resolved.job.training.seed)
    jobs = [
        job_of_cases(resolved.job, config, cases, output=_root(resolved) / f"cases-{len(cases):03d}")
        for cases in subsets
    ]
    from nrray.train.state import Records  # with torch

    for job in jobs:
        Records(Folder(job.output), job.identity()).check_identity()
    for note in resolved.plan.notes:
        reporter.say(note)
    reporter.say(training_sentence(resolved))
    report_subsets(subsets, [_planned(job) for job in jobs], resolved.job.label_set, reporter)
    if dry_run:
        pending_jobs = [job for job in jobs if finished_model_folder(job.output) is None]
        if pending_jobs:
            with ray_session():
                workers, _ = reported_workers(config.workers, pending_jobs[-1], reporter)
            reporter.say(f"all trainings: {expected_time(pending_jobs, num_workers=workers).text()}")
        reporter.say("dry run: nothing was decoded, nothing was written")
        return Curve(output=str(output), trained_model=None, document=None)
    output.create()
    with WriterLock(output), ray_session(), terminated_as_interrupt():
        keep_record(output, "finetune", config)
        pending = _with_frames(resolved, [job for job in jobs if finished_model_folder(job.output) is None], reporter)
        untuned = _untuned(resolved, reporter)
        measured: list[_MeasuredTraining] = []
        for job, cases in zip(jobs, subsets, strict=True):
            if job.name in pending:
                reporter.say(f"{job.name}: training {len(measured) + 1} of {len(jobs)}")
                Folder(job.output).create()
                train(config, pending[job.name], reporter)
            measured.append(_measured_training(resolved, job, cases, reporter))
        document = _document(resolved, untuned, measured)
    write_curve(output, document)
    output.write_bytes(PICTURE_FILE, case_curves_picture(case_curves(document), title=resolved.job.name))
    if not config.store.keep:
        shutil.rmtree(resolved.job.store, ignore_errors=True)
    return Curve(output=str(output), trained_model=measured[-1].trained_model, document=document)


def _root(resolved: ResolvedFinetune) -> Path:
    return Path(resolved.job.output) / "curve"


def _check_test_part(resolved: ResolvedFinetune) -> None:
    """Raise DataError where nothing could be measured on the test part, before anything is trained for that."""
    config, job = resolved.config, resolved.job
    split, cases = read_split(config.split), read_cases(config.cases)
    mine = part_cases(split, TEST)
    if not mine:
        raise DataError(
            f"--curve: the test part of split {config.split} has no case, on which every training is measured. Split again "
            f"with some in it."
        )
    check_cases(split, TEST, cases.case_ids(resolved.manifest["path"].to_pylist()), uri=config.split)
    planned_examples(
        resolved.manifest,
        read_annotations(config.annotations),
        split_of_case=dict.fromkeys(mine, TEST),
        cases=cases,
        sampling=job.sampling,
        label_set=job.label_set,
        decode=config.decode,
        max_chunk_mib=config.store.max_chunk_mib,
    )


def _shown(resolved: ResolvedFinetune) -> dict[str, frozenset[int]]:
    """Case to the columns of the activities that its windows to train on show."""
    return shown_activities(_planned(resolved.job), sorted({chunk.case for chunk in resolved.job.chunks}))


def _planned(job: FinetuneJob) -> Examples:
    """The windows to train on, where all of them can be decoded."""
    return all_examples(job.chunks, "train", job.sampling)


def _with_frames(resolved: ResolvedFinetune, jobs: Sequence[FinetuneJob], reporter: Reporter) -> dict[str, FinetuneJob]:
    """Jobs by name, with the frames of the largest on disk, which has those of all. Raises DataError where too little of one
    could be decoded."""
    if not jobs:
        reporter.say("all trainings of this curve are finished: nothing was trained")
        return {}
    largest = replace(jobs[-1], name=resolved.job.name, output=resolved.job.output)
    found = extracted_job(replace(resolved, job=largest), reporter)
    whole = {
        chunk.name: whole_windows(
            read_frame_of_sample(store_file(Path(found.store), chunk.name)), found.sampling.frames_per_window
        )
        for chunk in found.chunks
    }
    looks = {"looks_distance": found.facts.looks_distance}
    jobs = [planned_job(job, resolved.config, job.facts.model_copy(update=looks)) for job in jobs]
    return {job.name: _decoded(job, whole) for job in jobs}


def _decoded(job: FinetuneJob, whole: Mapping[str, NDArray[np.bool_]]) -> FinetuneJob:
    """A job without the chunks that could not be decoded. Raises DataError where a case or an activity has none left."""
    kept = [chunk for chunk in job.chunks if chunk.name in whole]
    examples = examples_of(kept, [whole[chunk.name] for chunk in kept], "train", job.sampling)
    names = sorted({chunk.case for chunk in kept})
    cases = {names[case] for case in np.unique(examples.cases).tolist()}
    if lost := sorted(set(job.split.parts["train"]) - cases):
        raise DataError(
            f"--curve: no window of case {lost[0]!r} could be decoded, so that {job.name} would have fewer cases. Take it out of "
            f"the train part of the split; dropped.json says why."
        )
    try:
        training_notes(examples, job.label_set, min_positive_windows=job.training.min_positive_windows)
    except DataError as error:
        raise DataError(f"--curve: {job.name}: of the windows that could be decoded {error}") from None
    dropped = tuple(sorted({chunk.name for chunk in job.chunks} - whole.keys()))
    frames = frames_digests(Path(job.store), kept)
    return replace(job, chunks=kept, inputs=replace(job.inputs, dropped=dropped, frames=frames))


def _untuned(resolved: ResolvedFinetune, reporter: Reporter) -> CurveScores | None:
    """Scores of the checkpoint before training; None where it has no head for these activities."""
    start = resolved.job.start
    if not isinstance(start, ResolvedCheckpoint) or start.metadata is None:
        return None
    if start.metadata.labels != trained_labels(resolved.job.label_set):
        return None
    scores = CurveScores.of(_evaluation(resolved, resolved.config.model, _root(resolved) / "cases-000"))
    reporter.say(f"untuned, on the test part: macro F1 {interval(scores.macro_f1, 2)}")
    return scores


def _measured_training(
    resolved: ResolvedFinetune, job: FinetuneJob, cases: tuple[str, ...], reporter: Reporter
) -> _MeasuredTraining:
    trained_model = drawn_training(job)
    model = trained_model_config(resolved.config, trained_model)
    evaluation = _evaluation(resolved, model, Path(job.output))
    reporter.say(f"{job.name}, on the test part: macro F1 {interval(evaluation.macro_row.values[METRIC], 2)}")
    return _MeasuredTraining(cases=cases, trained_model=trained_model, evaluation=evaluation)


def _evaluation(resolved: ResolvedFinetune, model: ModelConfig, folder: Path) -> EvaluationDocument:
    evaluation = measured_on_test(resolved, model, output=Folder(str(folder / TEST)))
    if evaluation is None:
        raise DataError(
            f"--curve: no window of the test part could be labelled; `nrray status {folder / TEST / LABELS}` says why."
        )
    return evaluation


def _document(
    resolved: ResolvedFinetune, untuned: CurveScores | None, measured: Sequence[_MeasuredTraining]
) -> CurveDocument:
    """The content of curve.json, as it is there where nothing was measured anew: a comparison is a read of the test part."""
    output = Folder(resolved.job.output)
    points = tuple(_point(each) for each in measured)
    if output.exists(CURVE_FILE):
        found = read_curve(output)
        if (found.points, found.untuned) == (points, untuned):
            return found
    comparison = _comparison(resolved, measured)
    macro, *activities = comparison.scopes
    always_yes = comparison.baselines[Baseline.ALWAYS_YES]
    smaller, larger = (len(each.cases) for each in measured[-2:])
    return CurveDocument(
        schema_version=CurveDocument.newest_version,
        num_test_cases=comparison.num_cases,
        untuned=untuned,
        points=points,
        always_yes=Chance(macro_f1=always_yes[macro], f1={name: always_yes[name] for name in activities}),
        differences=comparison.differences,
        sentences=claims(comparison.differences, smaller=smaller, larger=larger),
        notes=(*comparison.notes, _ONE_TRAINING),
    )


def _point(measured: _MeasuredTraining) -> CurvePoint:
    scores, metrics = CurveScores.of(measured.evaluation), read_metrics(measured.trained_model)
    validation = metrics.validation.macro_f1 if metrics.validation is not None else None
    return CurvePoint(
        macro_f1=scores.macro_f1,
        f1=scores.f1,
        cases=measured.cases,
        num_windows=metrics.num_train_windows,
        steps=metrics.steps,
        best_step=metrics.best_step,
        validation_macro_f1=None
        if validation is None
        else Value(estimate=validation.estimate, low=validation.low, high=validation.high),
    )


def _comparison(resolved: ResolvedFinetune, measured: Sequence[_MeasuredTraining]) -> Comparison:
    """The largest number of cases against the one before, over the same test cases."""
    config, (smaller, larger) = resolved.config, measured[-2:]
    return compare(
        CompareConfig(
            candidates=tuple(str(each.trained_model.parent / TEST / LABELS) for each in (larger, smaller)),
            names=tuple(f"{len(each.cases)} cases" for each in (larger, smaller)),
            reference=config.annotations,
            output=str(_root(resolved) / "comparison"),
            cases=config.cases,
            label_set=config.label_set,
            split=config.split,
            part=TEST,
            metric=METRIC,
        )
    )
