"""What a row took, from what it left: the ledgers of its labels, the histories and files of its trainings."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from safetensors import safe_open

from nrray.models.folders import checkpoint_folder
from nrray.pipelines.study.document import RowCosts
from nrray.pipelines.study.job import TRAINING, StudyConfig, StudyRow
from nrray.results.ledger import Ledger
from nrray.results.version import VersionRecord
from nrray.storage import Folder
from nrray.train.history import TrainingStarted, read_history, training_seconds
from nrray.train.output import finished_model_folder
from nrray.types import US_PER_HOUR, US_PER_SECOND

SECONDS_PER_HOUR = US_PER_HOUR / US_PER_SECOND
BYTES_PER_MIB = 2**20


def row_costs(config: StudyConfig, row: StudyRow, records: list[VersionRecord]) -> RowCosts:
    """Of a row that has labels; records: of these, seed by seed. Raises DataError, StorageError."""
    num_windows, seconds = 0, 0.0
    for seed in config.seeds_of(row):
        windows, spent = labelling_of(Ledger(Folder(config.labels(row, seed))))
        num_windows, seconds = num_windows + windows, seconds + spent
    models = [_model_files(record) for record in records]
    trainings = [Path(f"{config.folder(row, seed)}/{TRAINING}") for seed in config.seeds_of(row) if seed is not None]
    trained = finished_model_folder(trainings[0]) if trainings else None
    return RowCosts(
        windows_per_second=num_windows / seconds if seconds else None,
        labeling_hours=seconds / SECONDS_PER_HOUR,
        training_hours=sum(map(_worker_seconds, trainings)) / SECONDS_PER_HOUR if trainings else None,
        trained_parameters=None if trained is None else _num_parameters(trained),
        size_mib=sum(file.stat().st_size for file in models[0]) / BYTES_PER_MIB if models and models[0] else None,
    )


def labelling_of(ledger: Ledger) -> tuple[int, float]:
    """Labelled windows, and the seconds that labelers and judges spent on them."""
    index = ledger.index()
    results = ledger.results(pc.unique(index["video_id"].combine_chunks()), index)
    num_windows = pc.sum(pc.list_flatten(results["window_labelled"]).cast(pa.int64())).as_py() or 0
    return num_windows, pc.sum(results["label_seconds"].cast(pa.float64())).as_py() or 0.0


def _worker_seconds(training: Path) -> float:
    """Of all workers of a training; those of a run that was gone on with are taken for as many as at its last start."""
    history = read_history(Folder(str(training)))
    started = [event for event in history if isinstance(event, TrainingStarted)]
    return training_seconds(history) * (started[-1].num_workers if started else 1)


def _model_files(record: VersionRecord) -> list[Path]:
    """The files that labelling needs, of a checkpoint and its adapter; none of a server's model."""
    model = record.config.get("model")
    if record.server is not None or not isinstance(model, dict):
        return []
    adapter = model.get("adapter")
    folders = [checkpoint_folder(str(model["path"])), *([Path(str(adapter))] if adapter else [])]
    return [file for folder in folders for file in folder.rglob("*") if file.is_file()]


def _num_parameters(folder: Path) -> int:
    """Weights in the files of a trained model."""
    count = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="np") as tensors:
            count += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return count
