"""One trial, in an actor of Tune's: a training on workers of its own, whose validations Tune is given."""

from pathlib import Path

from pydantic import JsonValue

from nrray.pipelines.finetune.job import job_with
from nrray.pipelines.on_ray.training_workers import train_on_workers
from nrray.pipelines.on_ray.trial_search import current_trial_name, report_score
from nrray.pipelines.tune.effects import effective_values
from nrray.pipelines.tune.job import TuneConfig
from nrray.pipelines.tune.trials import TRIALS, begin_trial, is_over
from nrray.storage import Folder
from nrray.train.history import Validated, read_history, validations
from nrray.train.job import FinetuneJob


def run_trial(
    values: dict[str, JsonValue], *, config: TuneConfig, job: FinetuneJob, num_workers: int, on_gpu: bool
) -> None:
    """Train with the values of one trial, or go on with it."""
    folder = Path(job.output) / TRIALS / current_trial_name()
    effective = effective_values(values, section=config.parts, start=job.start, defaults=job.parts)
    mine = job_with(job, config.finetune_config(effective), output=folder)
    output = Folder(str(folder))
    if not is_over(folder):  # else it was before the driver could know
        begin_trial(folder, effective)
        progress = ValidationReport(output)
        train_on_workers(config.workers, mine, num_workers=num_workers, on_gpu=on_gpu, progress=progress)
    scores = [event.validation_macro_f1 or 0.0 for event in validations(read_history(output))]
    report_score(max(scores), percent=100)


class ValidationReport:
    """Gives Tune the best macro F1 after each validation, at how many percent of the training's steps it was: a progress
    callback of a training."""

    def __init__(self, output: Folder) -> None:
        self._output = output
        self._best: float | None = None
        self._num_reported = len(self._validations())

    def report(self) -> None:
        """Report all new validations but that of the end, which the trial itself reports."""
        found = self._validations()
        for number, event in enumerate(found):
            score = event.validation_macro_f1
            if score is not None and (self._best is None or score > self._best):
                self._best = score
            percent = 100 * event.step // max(1, event.num_steps)
            if number >= self._num_reported and self._best is not None and percent < 100:
                report_score(self._best, percent=percent)
        self._num_reported = max(self._num_reported, len(found))

    def _validations(self) -> list[Validated]:
        return validations(read_history(self._output))
