"""Learning curves in other tools: TensorBoard, MLflow and Weights & Biases, all on this machine's disk alone.

`history.jsonl` is the record; a tracker is a copy of it for people who have such a tool open.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from pydantic import JsonValue

from nrray.errors import ConfigError
from nrray.train.history import Event

Values = Mapping[str, float]
Settings = Mapping[str, JsonValue]


class TrackerKind(str, Enum):
    """Tools that can show a training."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


class Tracker(Protocol):
    """Learning curves of one training; made by the process that writes."""

    def begin(self, step: int) -> None:
        """The training starts, or goes on, at a step: values of later steps do not hold any more."""

    def log(self, step: int, values: Values) -> None: ...

    def close(self) -> None: ...


Maker = Callable[[Path, str, Settings], Tracker]
"""(folder, name of the training, flat settings) to a tracker."""


def check_trackers(kinds: Sequence[TrackerKind]) -> None:
    """Raise ConfigError where the package of one is not there."""
    for kind in kinds:
        if importlib.util.find_spec(kind.value) is None:
            raise ConfigError(
                f"trackers: {kind.value} is not installed on this machine. pip install 'nrray[{kind.value}]', or leave it out: "
                f"history.jsonl and curves.png are always written."
            )


def opened_trackers(kinds: Sequence[TrackerKind], output: Path, *, name: str, settings: Settings) -> list[Tracker]:
    """Trackers that write below `output`; settings: of the training, nested. Raises ConfigError."""
    check_trackers(kinds)
    makers: dict[TrackerKind, Maker] = {
        TrackerKind.TENSORBOARD: _TensorBoard,
        TrackerKind.MLFLOW: _Mlflow,
        TrackerKind.WANDB: _Wandb,
    }
    return [makers[kind](output / kind.value, name, flat(settings)) for kind in kinds]


def numbers(event: Event) -> dict[str, float]:
    """The measured numbers of an event, by path; unknown ones are left out."""
    values = flat(asdict(event))
    return {
        key: float(value)
        for key, value in values.items()
        if key not in ("step", "num_steps", "unix_seconds") and isinstance(value, int | float)
    }


def flat(values: Settings, prefix: str = "") -> dict[str, JsonValue]:
    """Nested mappings as one, keys joined by slashes."""
    found: dict[str, JsonValue] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


class _TensorBoard:
    def __init__(self, folder: Path, name: str, settings: Settings) -> None:
        self._folder = folder
        self._settings = settings
        self._writer: Any = None

    def begin(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(log_dir=str(self._folder), purge_step=step)
        rows = "\n".join(f"| {key} | {value} |" for key, value in self._settings.items())
        self._writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}", step)

    def log(self, step: int, values: Values) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Mlflow:
    """One run in a SQLite store, which goes on when the training does."""

    def __init__(self, folder: Path, name: str, settings: Settings) -> None:
        from mlflow import MlflowClient

        folder.mkdir(parents=True, exist_ok=True)
        self._client: Any = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        experiment = self._client.get_experiment_by_name("nrray")
        experiment_id = (
            experiment.experiment_id
            if experiment is not None
            else self._client.create_experiment("nrray", artifact_location=str(folder / "artifacts"))
        )
        runs = self._client.search_runs([experiment_id], max_results=1)
        self._run_id: str = (runs[0] if runs else self._client.create_run(experiment_id, run_name=name)).info.run_id
        if not runs:
            for key, value in settings.items():
                self._client.log_param(self._run_id, key, value)

    def begin(self, step: int) -> None:
        self._client.update_run(self._run_id, status="RUNNING")

    def log(self, step: int, values: Values) -> None:
        for key, value in values.items():
            self._client.log_metric(self._run_id, key, value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run_id)


class _Wandb:
    """A run in offline mode, for `wandb sync` by those who may: nothing leaves the machine by itself."""

    def __init__(self, folder: Path, name: str, settings: Settings) -> None:
        self._folder = folder
        self._name = name
        self._settings = settings
        self._run: Any = None

    def begin(self, step: int) -> None:
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project="nrray",
            name=self._name,
            dir=str(self._folder),
            mode="offline",
            config=dict(self._settings),
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True
            ),
        )

    def log(self, step: int, values: Values) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
