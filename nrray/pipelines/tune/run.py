"""`nrray tune`: many short fine-tunings under Ray Tune, of which the promising go on, and the best one measured.

Each trial is a training on workers of its own, with a folder of its own that it goes on from; all read the same frames. Ray
Tune decides which values are tried next and which trials are pruned; results are read from the trials' folders.
"""

import importlib.util
from dataclasses import replace

from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record, refuse_other_output
from nrray.errors import ConfigError
from nrray.pipelines.finetune.expected_time import expected_time
from nrray.pipelines.finetune.job import ResolvedFinetune, resolved_finetune
from nrray.pipelines.finetune.report import training_sentence
from nrray.pipelines.finetune.run import extracted_job
from nrray.pipelines.on_ray.session import ray_session, terminated_as_interrupt
from nrray.pipelines.search_sections import SearcherKind, Space
from nrray.pipelines.tune.job import TuneConfig, resolved_space, space_text
from nrray.pipelines.tune.record import SearchRecord, bound_search
from nrray.pipelines.tune.results import Tuned, search_result, write_trials
from nrray.pipelines.tune.search import allotted, search_trials
from nrray.pipelines.tune.settings import TrialSettings, planned_trials
from nrray.storage import Folder
from nrray.writer_lock import WriterLock


def run_tune(config: TuneConfig, reporter: Reporter, *, dry_run: bool = False) -> Tuned:
    """Search, or go on with a search that was stopped; the result of a finished one is read again.

    Raises ConfigError, DataError, ModelError, OutputBusyError, ResourcesError, StorageError, TrainingError.
    """
    resolved = resolved_finetune(config.finetune_config())
    space = resolved_space(config, resolved.job.start, defaults=resolved.job.parts)
    _check_searcher(config)
    output = Folder(resolved.job.output)
    for note in resolved.plan.notes:
        reporter.say(note)
    reporter.say(training_sentence(resolved))
    if dry_run:
        return _dry_run(config, resolved, space, reporter)
    refuse_other_output(output, "tune")
    output.create()
    with WriterLock(output), ray_session(), terminated_as_interrupt():
        is_finished = bound_search(output, SearchRecord.of(config, resolved.job, space)).is_finished
        keep_record(output, "tune", config)
        if is_finished:
            reporter.say("this search is finished: nothing was trained")
        else:
            job = extracted_job(resolved, reporter)
            planned = planned_trials(TrialSettings.of(config, job, space), space, config.search)
            progress = Progress(
                console=reporter.console,
                verb="tune",
                total_units=planned.num_trials + 1,
                total_us=0,
                unit="trials",
                quiet=reporter.is_silent,
            )
            try:
                with progress:
                    search_trials(config, job, space, planned, reporter, progress)
            finally:
                write_trials(output, space)
        return search_result(config, resolved, output, was_finished=is_finished)


def _dry_run(config: TuneConfig, resolved: ResolvedFinetune, space: Space, reporter: Reporter) -> Tuned:
    planned = planned_trials(TrialSettings.of(config, resolved.job, space), space, config.search)
    num_trials = planned.num_trials
    with ray_session():
        allotment = allotted(config, num_trials)
    steps = resolved.job.training.num_steps
    num_workers = allotment.num_workers
    reporter.say(f"space: {space_text(space)}")
    reporter.say(
        f"the config's own values first, then {planned.text()}, of at most {steps} steps of {config.training.batch_windows} "
        f"windows each, {allotment.num_concurrent} at once, {num_workers} workers each"
    )
    one = expected_time([resolved.job], num_workers=num_workers)
    expected = replace(one, seconds=one.seconds * (1 + num_trials / allotment.num_concurrent))
    reporter.say(expected.text())
    reporter.say("dry run: nothing was decoded, nothing was written")
    return Tuned(output=resolved.job.output, trials=[], best=None, test=None, num_not_significantly_worse=0, gain=None)


def _check_searcher(config: TuneConfig) -> None:
    if config.search.searcher is SearcherKind.OPTUNA and importlib.util.find_spec("optuna") is None:
        raise ConfigError(
            "search.searcher: optuna is not installed. pip install 'nrray[optuna]', or set search.searcher=random."
        )
