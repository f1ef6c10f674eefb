"""One row of a study: trained where it is trained, then the test part labelled. Each step goes on where it was stopped."""

from collections.abc import Sequence
from typing import Any

import yaml

from nrray.config import Section
from nrray.console.reporter import Reporter
from nrray.console.run_record import CONFIG_FILE
from nrray.errors import DataError
from nrray.pipelines.finetune.curve.run import run_curve
from nrray.pipelines.finetune.held_out import trained_model_config
from nrray.pipelines.finetune.run import run_finetune
from nrray.pipelines.finetune.side_by_side import train_side_by_side
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.study.job import CURVE, TRAINING, StudyConfig, StudyRow
from nrray.results.version import VersionRecord
from nrray.storage import Folder


def run_row(config: StudyConfig, row: StudyRow, reporter: Reporter, *, allow_remote: bool) -> None:
    """Train with every seed, label the test part with each model, and train on fewer cases where the study asks for curves.

    allow_remote: whether frames may be sent to a server outside the house. Raises DataError where no window could be labelled,
    and what finetune and relabel raise, IdentityError among it where the row has changed.
    """
    for seed in config.seeds_of(row):
        model = row.model
        if seed is not None:
            training = config.finetune_config(row, seed, output=f"{config.folder(row, seed)}/{TRAINING}")
            found = run_finetune(training, reporter)
            assert found.trained_model is not None  # of no dry run
            model = trained_model_config(training, found.trained_model)
        options = RelabelOptions(allow_remote=allow_remote)
        labelled = relabel(config.relabel_config(row, seed, model=model), options, reporter)
        if not labelled.counts["ok"]:
            raise DataError(
                f"no unit of the test part could be labelled; `nrray status {config.labels(row, seed)}` says why."
            )
    if row.finetune is not None and config.curve:
        first, *_ = config.seeds
        training = config.finetune_config(row, first, output=f"{config.folder(row)}/{CURVE}")
        run_curve(training, config.curve, reporter)


def trained_together(config: StudyConfig, rows: Sequence[StudyRow], reporter: Reporter) -> dict[str, str]:
    """Train these rows with all seeds, as many at once as the cluster holds; nothing where that is one. Why rows failed, by name.
    Raises OutputBusyError."""
    trainings = {
        f"{row.name}, seed {seed}": config.finetune_config(row, seed, output=f"{config.folder(row, seed)}/{TRAINING}")
        for row in rows
        for seed in config.seeds_of(row)
        if seed is not None
    }
    failed = train_side_by_side(trainings, reporter)
    return {
        row.name: str(failed[name])
        for row in rows
        for seed in config.seeds_of(row)
        if (name := f"{row.name}, seed {seed}") in failed
    }


def changed_settings(config: StudyConfig, row: StudyRow, records: Sequence[VersionRecord]) -> list[str]:
    """The settings that decide a row's labels and are not those that it was run with. records: of its labels, seed by seed."""
    changed: set[str] = set()
    for seed, record in zip(config.seeds_of(row), records, strict=True):
        labelling = config.relabel_config(row, seed, model=row.model)
        changed |= _differing(labelling, record.config, ("strategy", "label_set"))
        if seed is None:
            changed |= _differing(labelling, record.config, ("model",), within=("path", "adapter", "dtype"))
            continue
        training = config.finetune_config(row, seed, output=f"{config.folder(row, seed)}/{TRAINING}")
        kept = yaml.safe_load(Folder(training.output).read_bytes(CONFIG_FILE))
        changed |= _differing(training, kept, ("model",), within=("path",))
        changed |= _differing(training, kept, ("timesformer", "sampling", "parts", "adapter", "head", "training"))
    return sorted(changed)


def _differing(now: Section, before: Any, keys: Sequence[str], *, within: Sequence[str] = ()) -> set[str]:
    """Those keys, or keys of such a section, whose values differ. A file that is no mapping differs in all."""
    mine, theirs = now.model_dump(mode="json"), before if isinstance(before, dict) else {}
    if not within:
        return {key for key in keys if mine[key] != theirs.get(key)}
    return {f"{key}.{name}" for key in keys for name in within if mine[key][name] != (theirs.get(key) or {}).get(name)}
