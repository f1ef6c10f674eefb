"""The result of a search: its trials as a table and a picture, the best one ready to relabel with, its score on the test part."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from nrray.errors import TrainingError
from nrray.labels import LabelSet
from nrray.metrics.jackknife import Value
from nrray.pipelines.finetune.held_out import TEST, measured_on_test, trained_model_config
from nrray.pipelines.finetune.job import FinetuneConfig, ResolvedFinetune
from nrray.pipelines.search_sections import Range, Scale, Space
from nrray.pipelines.tune.comparison import macro_f1_gain, not_significantly_worse
from nrray.pipelines.tune.job import TuneConfig
from nrray.pipelines.tune.trials import TRIALS, Trial, TrialStatus, best_trial, default_trial, read_trials, trial_table
from nrray.report.search_picture import TrialPoints, search_picture
from nrray.storage import Folder
from nrray.train.history import validations
from nrray.train.output import trained_model_folder

BEST = "best"
TABLE_FILE, PICTURE_FILE, BEST_CONFIG = "trials.parquet", "search.png", "best.yaml"


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The result of one call. best: None after a dry run; test: macro F1 over windows of the test part, None also where the split
    has none; num_not_significantly_worse: finished trials that the validation cases cannot tell from the best; gain: macro F1 of
    the best minus that of the config's own values, over validation cases, adjusted for the trials that might have been the best;
    None where these values were not trained to their end."""

    output: str
    trials: list[Trial]
    best: Trial | None
    test: Value | None
    num_not_significantly_worse: int
    gain: Value | None


def write_trials(output: Folder, space: Space) -> None:
    """Write all trials so far as a table and as a picture. Raises DataError, StorageError."""
    root = Path(output.uri)
    trials = read_trials(root / TRIALS)
    if not trials:
        return
    output.write_table(TABLE_FILE, trial_table(trials))
    log_paths = [path for path, values in space.items() if isinstance(values, Range) and values.scale is Scale.LOG]
    picture = search_picture([_points(trial) for trial in trials], log_paths=log_paths, title=root.name)
    output.write_bytes(PICTURE_FILE, picture)


def search_result(config: TuneConfig, resolved: ResolvedFinetune, output: Folder, *, was_finished: bool) -> Tuned:
    """The best trial, copied, measured on the test part and compared with the others. Raises DataError, ModelError,
    StorageError, TrainingError."""
    root = Path(resolved.job.output)
    trials = read_trials(root / TRIALS)
    best = best_trial(trials)
    if best is None:
        raise _no_trial_error(trials, root)
    others = not_significantly_worse(best, trials, resolved.job.label_set)
    trained_model = trained_model_folder(root / BEST)
    if not was_finished or trained_model is None:
        source = trained_model_folder(best.folder)
        assert source is not None  # it is finished
        trained_model = root / BEST / source.name
        shutil.rmtree(root / BEST, ignore_errors=True)
        shutil.copytree(source, trained_model)
        _write_best_config(output, config.finetune_config(best.values), store=resolved.job.store)
    default = default_trial(trials)
    num_finished = sum(trial.status is TrialStatus.FINISHED for trial in trials)
    return Tuned(
        output=str(root),
        trials=trials,
        best=best,
        test=_test_macro_f1(resolved, trained_model, output),
        num_not_significantly_worse=len(others),
        gain=_gain(best, default, num_others=num_finished - 1, label_set=resolved.job.label_set),
    )


def _gain(best: Trial, default: Trial | None, *, num_others: int, label_set: LabelSet) -> Value | None:
    if default is None:
        return None
    return macro_f1_gain(best, default, label_set, num_adjusted_for=max(num_others, 1))


def _test_macro_f1(resolved: ResolvedFinetune, trained_model: Path, output: Folder) -> Value | None:
    model = trained_model_config(resolved.config, trained_model)
    evaluation = measured_on_test(resolved, model, output=output / TEST)
    return None if evaluation is None else evaluation.macro_row.values["windows f1"]


def _points(trial: Trial) -> TrialPoints:
    return TrialPoints(
        status=trial.status.value,
        values=trial.values,
        macro_f1=trial.macro_f1,
        curve=[
            (event.step, event.validation_macro_f1)
            for event in validations(trial.history)
            if event.validation_macro_f1 is not None
        ],
        minutes=trial.seconds / 60,
    )


def _write_best_config(output: Folder, best: FinetuneConfig, *, store: str) -> None:
    document = best.model_dump(mode="json", exclude_defaults=True)
    document |= {"output": f"{output.uri}-best", "store": {**document.get("store", {}), "folder": store}}
    output.write_bytes(BEST_CONFIG, yaml.safe_dump(document, sort_keys=False).encode())


def _no_trial_error(trials: Sequence[Trial], root: Path) -> TrainingError:
    finished = [trial for trial in trials if trial.status is TrialStatus.FINISHED]
    if finished:
        return TrainingError(
            f"not one of {len(trials)} trials has learned anything: in none of the {len(finished)} that were finished was a step "
            f"better than none. The model as it was stays the best one. Annotate more cases, or search other parts and rates "
            f"(space); the trials are in {root / TRIALS}."
        )
    reason = next((str(trial.failure) for trial in trials if trial.failure is not None), "all were ended")
    return TrainingError(
        f"not one of {len(trials)} trials was finished: {reason}. Their files are in {root / TRIALS}; delete {root} to search "
        f"anew."
    )
