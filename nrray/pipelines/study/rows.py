"""One row of a study: trained where it is trained, then the test part labelled. Each step goes on where it was stopped."""

from nrray.console.reporter import Reporter
from nrray.errors import DataError
from nrray.pipelines.finetune.curve.run import run_curve
from nrray.pipelines.finetune.held_out import trained_model_config
from nrray.pipelines.finetune.run import run_finetune
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.study.job import CURVE, TRAINING, StudyConfig, StudyRow


def run_row(config: StudyConfig, row: StudyRow, reporter: Reporter) -> None:
    """Train with every seed, label the test part with each model, and train on fewer cases where the study asks for curves.

    Raises DataError where no window could be labelled, and what finetune and relabel raise, IdentityError among it where the row
    has changed.
    """
    for seed in config.seeds_of(row):
        model = row.model
        if seed is not None:
            training = config.finetune_config(row, seed, output=f"{config.folder(row, seed)}/{TRAINING}")
            found = run_finetune(training, reporter)
            assert found.trained_model is not None  # of no dry run
            model = trained_model_config(training, found.trained_model)
        labelled = relabel(config.relabel_config(row, seed, model=model), RelabelOptions(), reporter)
        if not labelled.counts["ok"]:
            raise DataError(
                f"no unit of the test part could be labelled; `nrray status {config.labels(row, seed)}` says why."
            )
    if row.finetune is not None and config.curve:
        first, *_ = config.seeds
        training = config.finetune_config(row, first, output=f"{config.folder(row)}/{CURVE}")
        run_curve(training, config.curve, reporter)
