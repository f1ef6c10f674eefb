"""The folder of a trained model: weights, head, thresholds, temperatures, metrics, split and card; whole or not there."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrray.archive.splits import SPLIT_FILE
from nrray.models.looks import Looks, save_looks
from nrray.models.metadata import Base, CheckpointMetadata, trained_labels, vouched_files, write_metadata
from nrray.storage import Folder, make_private
from nrray.train.card import tuned_card
from nrray.train.examples import Examples
from nrray.train.job import FinetuneJob
from nrray.train.output import (
    ADAPTER_FOLDER,
    CARD_FILE,
    METRICS_FILE,
    MODEL_FOLDER,
    NOTHING_LEARNED_FOLDER,
    CrossFitted,
    TrainingMetrics,
)
from nrray.train.progress import Progress
from nrray.train.thresholds import fitted_decision
from nrray.train.trainee.prepared import PreparedTrainee


def write_trained_model(
    job: FinetuneJob,
    trainee: PreparedTrainee,
    *,
    progress: Progress,
    logits: NDArray[np.float32],
    cross_fitted: CrossFitted,
    train: Examples,
    validation: Examples,
    looks: Looks,
) -> None:
    """Write the adapter, or the model where it was trained whole, into the output; into a folder of its own where no step was
    better than none, so that nobody takes it for a trained one. logits: of the validation windows; cross_fitted: its honest
    figure on them; looks: of the windows that it was trained on."""
    metrics = _metrics(job, progress, cross_fitted, train=train, validation=validation)
    parent = Path(job.output) / ("" if metrics.has_learned else NOTHING_LEARNED_FOLDER)
    target = parent / (ADAPTER_FOLDER if trainee.base is not None else MODEL_FOLDER)
    with tempfile.TemporaryDirectory(dir=job.output, prefix=".tmp-") as temporary:
        folder = Path(temporary) / target.name
        folder.mkdir()
        trainee.module.save(folder)
        save_looks(looks, folder)
        Folder(str(folder)).write_json(METRICS_FILE, metrics.model_dump(mode="json"))
        Folder(str(folder)).write_json(SPLIT_FILE, job.split.model_dump(mode="json"))
        metadata = _metadata(job, trainee, folder, logits=logits, validation=validation)
        write_metadata(metadata, folder)
        card = tuned_card(
            metadata,
            trainee.module,
            config=job.training,
            train=train,
            validation=validation,
            num_trained=sum(parameter.numel() for parameter in trainee.module.trained().values()),
            metrics=metrics,
        )
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        make_private(folder)
        parent.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)


def _metrics(
    job: FinetuneJob, progress: Progress, cross_fitted: CrossFitted, *, train: Examples, validation: Examples
) -> TrainingMetrics:
    best = progress.best
    return TrainingMetrics(
        num_train_windows=len(train),
        num_validation_windows=len(validation),
        steps=progress.step,
        num_steps=job.training.num_steps,
        best_step=best.step if best is not None else 0,
        chosen_macro_f1=best.validation_macro_f1 if best is not None else None,
        validation=cross_fitted,
        always_yes_macro_f1=_always_yes(job, validation),
    )


def _always_yes(job: FinetuneJob, validation: Examples) -> float | None:
    """Macro F1 of an answer that is always yes, 2 p / (1 + p) where a share p of the windows shows an activity, over those
    activities that count and are shown."""
    shares = dict(zip(job.label_set.names, validation.targets.mean(axis=0).tolist(), strict=True))
    shown = [shares[name] for name in job.label_set.macro_activities if shares[name] > 0]
    return sum(2 * share / (1 + share) for share in shown) / len(shown) if shown else None


def _metadata(
    job: FinetuneJob, trainee: PreparedTrainee, folder: Path, *, logits: NDArray[np.float32], validation: Examples
) -> CheckpointMetadata:
    names, base = job.label_set.names, trainee.base
    fitted = fitted_decision(
        logits, validation.targets, validation.cases, cuts=trainee.cuts, temperatures=trainee.temperatures
    )
    return CheckpointMetadata(
        name=job.name,
        base=Base(path=base.path, digest=base.base_digest) if base is not None else None,
        labels=trained_labels(job.label_set),
        sampling=job.sampling,
        prompt=trainee.inputs.question,
        frame_stacking=trainee.inputs.frame_stacking,
        pooling=job.head.pooling,
        hidden_units=job.head.hidden_units,
        # Not rounded: a score may be as near to 1 as its number format can tell, and so may a threshold.
        thresholds={name: float(value) for name, value in zip(names, fitted.thresholds, strict=True)},
        temperatures={name: float(value) for name, value in zip(names, fitted.temperatures, strict=True)},
        files=vouched_files(folder),
    )
