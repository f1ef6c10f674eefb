"""`nrray study --dry-run`: what each row would do, and the hours that it takes at rates measured here. Nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nrray.console.progress import duration_text
from nrray.console.reporter import Reporter
from nrray.errors import NrrayError
from nrray.models import ResolvedCheckpoint, measure_labeler, resolve_model, resolve_strategy
from nrray.pipelines.finetune.expected_time import expected_time
from nrray.pipelines.finetune.job import planned_job, resolved_finetune
from nrray.pipelines.finetune.run import reported_workers
from nrray.pipelines.on_ray.session import ray_session
from nrray.pipelines.study.job import TRAINING, StudyConfig, StudyRow
from nrray.pipelines.study.run import StudyInputs, chosen_rows, read_inputs
from nrray.sampling import Sampling, SamplingSection, window_count
from nrray.storage import absolute_uri
from nrray.train.output import finished_model_folder


@dataclass(frozen=True, kw_only=True)
class ExpectedRow:
    """Seconds of one labeler and of a row's pending trainings, 0 of a server's model, which is not measured; error: why it would
    fail, None where nothing is known of that."""

    name: str
    labeling_seconds: float = 0.0
    training_seconds: float = 0.0
    error: str | None = None


def expected_rows(
    config: StudyConfig, reporter: Reporter, *, only: Sequence[str] = (), allow_remote: bool = False
) -> list[ExpectedRow]:
    """Every chosen row, as it was told. allow_remote: whether a server may be outside the house. Raises ConfigError and
    DataError."""
    config = config.model_copy(update={"output": absolute_uri(config.output)})
    chosen, inputs = chosen_rows(config, only), read_inputs(config)
    found = []
    with ray_session():
        for row in chosen:
            try:
                expected = (
                    _trained(config, row, inputs, reporter) if row.finetune else _as_it_is(row, inputs, allow_remote)
                )
            except NrrayError as error:
                expected = ExpectedRow(name=row.name, error=str(error))
            found.append(expected)
    reporter.table(
        "Time of each row at rates measured here: trainings that are not finished, to their last step; labelling by one labeler",
        ["row", "seeds", "training", "labelling"],
        [
            [
                row.name,
                len(config.seeds_of(row)),
                duration_text(expected.training_seconds) if expected.training_seconds else "-",
                duration_text(expected.labeling_seconds) if expected.labeling_seconds else "-",
            ]
            for row, expected in zip(chosen, found, strict=True)
        ],
    )
    for expected in found:
        if expected.error is not None:
            reporter.say(f"{expected.name!r} would fail: {expected.error}")
    if config.curve:
        reporter.say("Not in these times: trainings on fewer cases, for the curves.")
    total = sum(expected.labeling_seconds + expected.training_seconds for expected in found)
    reporter.say(f"All rows: about {duration_text(total)} at most; frames are extracted before.")
    reporter.say("dry run: nothing was decoded, nothing was written")
    return found


def _as_it_is(row: StudyRow, inputs: StudyInputs, allow_remote: bool) -> ExpectedRow:
    from nrray.models.window_plan import planned_window  # torch takes seconds to import

    model = resolve_model(row.strategy, row.model, allow_remote=allow_remote)
    if not isinstance(model, ResolvedCheckpoint):  # a server's
        return ExpectedRow(name=row.name)
    strategy = resolve_strategy(row.strategy, model, inputs.label_set)
    questions = strategy.questions(model, inputs.label_set)
    num_windows = _num_windows(inputs, planned_window(model, SamplingSection(), questions=questions).sampling)
    figures = measure_labeler(model, label_set=inputs.label_set, execution=row.model, strategy=strategy)
    return ExpectedRow(name=row.name, labeling_seconds=num_windows / figures.windows_per_second)


def _trained(config: StudyConfig, row: StudyRow, inputs: StudyInputs, reporter: Reporter) -> ExpectedRow:
    jobs = []
    for seed in config.seeds:
        training = config.finetune_config(row, seed, output=f"{config.folder(row, seed)}/{TRAINING}")
        resolved = resolved_finetune(training)
        jobs.append(planned_job(resolved.job, training, resolved.job.facts))
    pending = [job for job in jobs if finished_model_folder(job.output) is None]
    workers, _ = reported_workers(row.workers, jobs[-1], reporter)
    expected = expected_time(pending or jobs[-1:], num_workers=workers)
    num_windows = _num_windows(inputs, jobs[0].sampling) * len(jobs)
    return ExpectedRow(
        name=row.name,
        training_seconds=expected.seconds if pending else 0.0,
        labeling_seconds=num_windows / expected.validated_windows_per_second,
    )


def _num_windows(inputs: StudyInputs, sampling: Sampling) -> int:
    """Of the test part's readable videos."""
    lengths = np.array([length or 0 for length in inputs.videos["duration_us"].to_pylist()], np.int64)
    return int(window_count(sampling, lengths).sum())
