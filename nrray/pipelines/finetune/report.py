"""The result of `nrray finetune` in sentences, with the next command, and its learning curves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from nrray.console.progress import duration_text
from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.labels import read_label_set
from nrray.models.config import EMBEDDED, TowerLearning
from nrray.pipelines.finetune.expected_time import ExpectedTime
from nrray.pipelines.finetune.job import FinetuneConfig, ResolvedFinetune, store_bytes
from nrray.project import next_command
from nrray.report.run_page import MAX_FAILURES, Failure, RunFile, RunPage, RunPicture
from nrray.report.training_curves import LearningCurves
from nrray.storage import Folder
from nrray.train.doubts import Overfitting, few_examples
from nrray.train.examples import all_examples
from nrray.train.history import (
    HISTORY_FILE,
    Event,
    StepMeasured,
    best_validation,
    read_history,
    training_seconds,
    validations,
)
from nrray.train.job import TRAINED_PARTS
from nrray.train.output import ADAPTER_FOLDER, MODEL_FOLDER, TrainingMetrics, is_adapter_folder
from nrray.train.training_plan import PLAN_FILE, PlanDocument

CURVES_FILE = "curves.png"


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """The result of one call. trained_model: folder of the adapter, or of the model where it was trained whole, a mere record
    where nothing was learned; None after a dry run; dropped: chunks of video that could not be decoded, name to reason; plan:
    as it stands in plan.json, or would; expected_time: of a dry run, None where nothing is left to train; overfitting: as the
    history shows it."""

    output: str
    trained_model: Path | None
    metrics: TrainingMetrics | None
    dropped: Mapping[str, str]
    plan: PlanDocument | None = None
    expected_time: ExpectedTime | None = None
    overfitting: Overfitting | None = None

    @property
    def has_learned(self) -> bool:
        """Whether there is a trained model to use. True after a dry run, which has nothing to say about that."""
        return self.metrics is None or self.metrics.has_learned


def training_sentence(resolved: ResolvedFinetune) -> str:
    """Cases, minutes and windows of each part, the number of steps, and the size of the frames on disk."""
    plan, sampling, training = resolved.plan, resolved.job.sampling, resolved.job.training
    parts: list[str] = []
    for part in TRAINED_PARTS:
        mine = [chunk for chunk in plan.chunks if chunk.split == part]
        seconds = sum(chunk.num_samples(sampling) for chunk in mine) / sampling.frames_per_second
        num_windows = len(all_examples(mine, part, sampling))
        num_cases = len({chunk.case for chunk in mine})
        parts.append(f"{part} {num_cases} cases, {seconds / 60:.1f} min, {num_windows:,} windows")
    return (
        f"{'; '.join(parts)}. At most {training.num_steps:,} steps of {training.batch_windows} windows, validated every "
        f"{training.validate_every_steps}. Frames take {store_bytes(resolved) / 2**30:.2f} GiB in {resolved.job.store}"
        f"{'' if resolved.config.store.keep else ', deleted afterwards'}"
    )


def report_finetune(result: Finetuned, config: FinetuneConfig, reporter: Reporter) -> None:
    """Print how the training went, the files that it left, and the next command; of one that has learned nothing, what to do."""
    if result.trained_model is not None and result.metrics is not None:
        _report_metrics(result.metrics, config, reporter)
        for doubt in _doubts(result):
            reporter.say(doubt)
        reporter.say(f"Curves:  {result.output}/{CURVES_FILE}, {HISTORY_FILE}")
        if result.has_learned:
            kind = "Adapter: " if is_adapter_folder(result.trained_model) else "Model:   "
            reporter.say(f"{kind}{result.trained_model}")
            labels = f"{result.output.rstrip('/')}-labels"
            reporter.next_command(relabel_command(config, result.trained_model, labels=labels))
        else:
            reporter.say(_nothing_learned(result.metrics, result.plan, config))
    reporter.finish(
        {
            "output": result.output,
            "has_learned": result.has_learned,
            "trained_model": str(result.trained_model) if result.trained_model and result.has_learned else None,
            "metrics": result.metrics.model_dump(mode="json") if result.metrics is not None else None,
            "dropped": dict(result.dropped),
            "plan": result.plan.model_dump(mode="json") if result.plan is not None else None,
            "overfitting": asdict(result.overfitting) if result.overfitting is not None else None,
            "expected_time": asdict(result.expected_time) if result.expected_time is not None else None,
        }
    )


def finetune_page(result: Finetuned, metrics: TrainingMetrics, transcript: Transcript) -> RunPage:
    """The page of a finished training."""
    history = read_history(Folder(result.output))
    rates = [event.windows_per_second for event in history if isinstance(event, StepMeasured)]
    honest = metrics.validation
    facts = [
        ("trained on", f"{metrics.num_train_windows:,} windows"),
        ("validated on", f"{metrics.num_validation_windows:,} windows"),
        ("steps", f"{metrics.steps:,} of at most {metrics.num_steps:,}; kept: step {metrics.best_step:,}"),
        ("speed", f"{duration_text(training_seconds(history))} of training"),
        ("model" if result.has_learned else "record, not for use", str(result.trained_model)),
    ]
    if rates:
        facts[3] = ("speed", f"{facts[3][1]}, {median(rates):.1f} windows per second")
    if not result.has_learned:
        outcome = "Nothing was learned: no step was better than none. No adapter is left."
    elif honest is not None and honest.macro_f1 is not None:
        outcome = (
            f"Macro F1 {honest.macro_f1} on {honest.num_cases} cases of the validation part, cross-fitted by case."
        )
    else:
        outcome = "Trained. No honest figure: the validation part has too few cases."
    return RunPage(
        title=f"Fine-tuning in {result.output}",
        outcome=outcome,
        facts=facts,
        transcript=transcript,
        failures=[
            Failure(what=name, amount="chunk of video", kind="not trained on", reason=reason)
            for name, reason in list(result.dropped.items())[:MAX_FAILURES]
        ],
        num_failures=len(result.dropped),
        pictures=[
            RunPicture(
                file=CURVES_FILE,
                description="Learning curves: loss of training and validation, and F1 of validation, over optimizer steps",
            )
        ],
        files=[
            RunFile(file=ADAPTER_FOLDER, meaning="the adapter: for model.adapter of nrray relabel"),
            RunFile(file=MODEL_FOLDER, meaning="the model: for model.path of nrray relabel"),
            RunFile(file=PLAN_FILE, meaning="what learns, and why"),
            RunFile(file=HISTORY_FILE, meaning="every step and validation"),
        ],
    )


def _report_metrics(metrics: TrainingMetrics, config: FinetuneConfig, reporter: Reporter) -> None:
    chosen, honest = metrics.chosen_macro_f1, metrics.validation
    reporter.say(
        f"{metrics.steps} steps over {metrics.num_train_windows:,} windows; best at step {metrics.best_step} on "
        f"{metrics.num_validation_windows:,} windows of the validation part"
        f"{f' ({honest.num_cases} cases)' if honest is not None else ''}"
    )
    as_chosen = f"{'-' if chosen is None else f'{chosen:.2f}'} as chosen on it"
    if honest is not None and honest.macro_f1 is not None:
        reporter.say(f"macro F1 {honest.macro_f1} on validation, cross-fitted by case; {as_chosen}")
        reporter.say(", ".join(f"{name} {value}" for name, value in honest.f1.items()))
        counted = read_label_set(config.label_set).macro_activities
        if absent := [name for name in counted if name in honest.f1 and honest.f1[name].estimate is None]:
            reporter.say(
                f"No window of the validation part shows {' or '.join(absent)}: macro F1 is of the others alone"
            )
    else:
        reporter.say(f"macro F1 {as_chosen}, which is too high for other cases")
    if metrics.steps < metrics.num_steps:
        reporter.say(
            f"Ended before its {metrics.num_steps} steps: {config.training.patience} validations without a better one, and a "
            f"decay of the rates"
        )


def _doubts(result: Finetuned) -> list[str]:
    """Sentences on why the figures may mean little."""
    metrics, plan = result.metrics, result.plan
    assert metrics is not None  # of a finished training
    num_cases = plan.facts.num_cases if plan is not None else None
    few = few_examples(num_windows=metrics.num_train_windows, num_cases=num_cases)
    doubts = [] if few is None else [few]
    if result.overfitting is not None:
        doubts.append(f"{result.overfitting.text()} The weights of step {metrics.best_step} are kept.")
    honest, always_yes = metrics.validation, metrics.always_yes_macro_f1
    estimate = honest.macro_f1.estimate if honest is not None and honest.macro_f1 is not None else None
    if metrics.has_learned and estimate is not None and always_yes is not None and estimate <= always_yes:
        doubts.append(
            f"Its macro F1 is no better than that of answering yes to every window, {always_yes:.2f}: it tells next to nothing "
            f"about other cases."
        )
    return doubts


def _nothing_learned(metrics: TrainingMetrics, plan: PlanDocument | None, config: FinetuneConfig) -> str:
    """What a training comes to in which no step was better than none, and what to do."""
    if plan is not None and not plan.facts.has_own_head:
        why = "so that the head is still its random start. No adapter is left."
    else:
        why = f"so that {config.model.path} as it was stays the better model. No adapter is left."
    what = f"Nothing was learned: no step was better than none, {why}"
    return f"{what} {_remedy(metrics, plan)} Train into another output, or delete this one."


def _remedy(metrics: TrainingMetrics, plan: PlanDocument | None) -> str:
    """What to do where no step was better than none."""
    if metrics.chosen_macro_f1 is not None and metrics.chosen_macro_f1 >= 1.0:
        return (
            "It makes no mistake there, so that no step could be better: put cases that it gets wrong into that part."
        )
    if plan is not None and plan.parts.get("tower") != TowerLearning.FROZEN.value:
        return "Try other parts and rates (nrray tune), or annotate more cases."
    return (
        "Let other parts of it learn, the tower first, which must see what is new in these videos; then try other rates "
        "(nrray tune), or annotate more cases."
    )


def relabel_command(config: FinetuneConfig, trained_model: Path, *, labels: str) -> str:
    """The command that labels the archive with a trained model."""
    is_adapter = is_adapter_folder(trained_model)
    settings = {
        "manifest": config.manifest,
        "output": labels,
        "label_set": config.label_set,
        "model.path": config.model.path if is_adapter and config.model.path != EMBEDDED else None,
        f"model.{'adapter' if is_adapter else 'path'}": str(trained_model),
    }
    return next_command("relabel", settings)


def learning_curves(history: Sequence[Event]) -> LearningCurves:
    """The points that are drawn of a history."""
    steps = [event for event in history if isinstance(event, StepMeasured)]
    validated = validations(history)
    best = best_validation(history)
    activities = validated[0].validation_f1 if validated else {}
    return LearningCurves(
        training_loss=[(event.step, event.loss) for event in steps],
        validation_loss=[(event.step, event.validation_loss) for event in validated],
        macro_f1=[(event.step, event.validation_macro_f1) for event in validated],
        f1={name: [(event.step, event.validation_f1[name]) for event in validated] for name in activities},
        kept_step=best.step if best is not None else None,
    )
