"""The model card of a trained model: its base, its examples, how it was chosen, its limits. Words only."""

from nrray.models.metadata import CheckpointMetadata
from nrray.train.examples import Examples
from nrray.train.output import TrainingMetrics
from nrray.train.trainee.trainee import Trainee
from nrray.train.training_config import ResolvedTraining


def tuned_card(
    metadata: CheckpointMetadata,
    trainee: Trainee,
    *,
    config: ResolvedTraining,
    train: Examples,
    validation: Examples,
    num_trained: int,
    metrics: TrainingMetrics,
) -> str:
    """Markdown."""
    activities = metadata.labels.activities
    honest, best_step = metrics.validation, metrics.best_step
    f1 = honest.f1 if honest is not None else {}
    rows = [
        f"| {name} | {int(train.targets[:, i].sum()):,} | {int(validation.targets[:, i].sum()):,} | {f1.get(name, '-')} "
        f"| {metadata.thresholds[name]:.3f} | {metadata.temperatures[name]:.2f} |"
        for i, name in enumerate(activities)
    ]
    title = trainee.title(metadata.base.path if metadata.base is not None else None)
    return "\n".join(
        [
            f"# {metadata.name}",
            "",
            f"{title}, made by `nrray finetune`. It reads",
            f"{', '.join(activities)} in windows of {metadata.sampling.window_seconds:g} s at "
            f"{metadata.sampling.frames_per_second:g} frames/s and",
            f"{metadata.sampling.frame_width_px}x{metadata.sampling.frame_height_px} px. It is no medical device.",
            "",
            "## Training",
            "",
            f"* {len(train):,} windows of {_num_cases(train)} cases to train, {len(validation):,} of {_num_cases(validation)} "
            f"other cases to choose on.",
            f"* {num_trained:,} trained parameters; the moving average (decay {config.average_decay:g}) of step {best_step} is "
            f"kept, the best of",
            "  all validations by macro F1, of equal ones by cross-entropy."
            + (" Step 0 is the model as it was: nothing was gained." if best_step == 0 else ""),
            f"* {metrics.steps:,} steps of {config.batch_windows} windows, learning rate {trainee.rates_text(config)}, objective",
            f"  {config.objective.kind}, seed {config.seed}.",
            "",
            "| activity | positive windows to train | to validate | F1, cross-fitted | threshold | temperature |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "A threshold is the nearest to the one before training whose F1 is within a standard error, over validation",
            "cases, of the best one's; a temperature likewise, by cross-entropy.",
            "",
            *_validation_lines(metrics),
            "Nothing here was chosen by the test part of the split: `nrray evaluate` measures on it (split, part).",
            "",
        ]
    )


def _num_cases(examples: Examples) -> int:
    return len(set(examples.cases.tolist()))


def _validation_lines(metrics: TrainingMetrics) -> list[str]:
    honest, chosen = metrics.validation, metrics.chosen_macro_f1
    return [
        f"Macro F1 {honest.macro_f1 if honest is not None else '-'} on the validation windows, cross-fitted by case: for each of "
        f"the {honest.num_cases if honest is not None else 0} cases",
        "the step, the thresholds and the temperatures were chosen by others. As chosen on the same windows it would be "
        f"{'-' if chosen is None else f'{chosen:.2f}'},",
        "which is too high for other cases.",
    ]
