"""The config of `nrray study`: an archive with annotations, and a row for each way of using a model. Starts no Ray."""

import re
from collections import Counter
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from nrray.config import Section
from nrray.decode import DecodeConfig
from nrray.models import ModelConfig, Strategy
from nrray.models.config import LoraSection, PartsSection
from nrray.pipelines.finetune.job import FinetuneConfig, StoreConfig
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.workers import Pools, WorkersConfig
from nrray.results.domain import OutsideDomain
from nrray.sampling import SamplingSection
from nrray.train.training_config import HeadSection, TimesformerSection, TrainingConfig

ROWS, FRAMES, TEST_MANIFEST = "rows", "frames", "test-manifest.parquet"
LABELS, TRAINING, CURVE = "labels", "training", "curve"
METRIC = "windows f1"
MAX_NAME = 80  # characters of a row's: it is a folder's too


class RowTraining(Section):
    """How a row's model is trained; as `nrray finetune` has it, with a seed of the study's."""

    timesformer: TimesformerSection | None = Field(None, description="a TimeSformer from scratch in place of the model")
    sampling: SamplingSection = SamplingSection()
    parts: PartsSection = PartsSection()
    adapter: LoraSection = LoraSection()
    head: HeadSection = HeadSection()
    training: TrainingConfig = TrainingConfig()


class StudyRow(Section):
    """One way of using a model: as it is, by its head or asked in words, or trained on the train part first."""

    name: str = Field(description="of the row, different from all others")
    model: ModelConfig = ModelConfig()
    strategy: Strategy | None = Field(
        None, description="of a model that is used as it is, as relabel has it; none: its head, else yes_no"
    )
    finetune: RowTraining | None = Field(None, description="trained first, as finetune has it; {}: by its defaults")
    workers: WorkersConfig = Field(WorkersConfig(), description="of the training")
    pools: Pools = Field(Pools(), description="of the labelling")

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not folder_name(name) or len(name) > MAX_NAME:
            raise ValueError(
                f"found {name[:MAX_NAME]!r}, expected a name with letters or digits, of {MAX_NAME} characters at most"
            )
        return name

    @model_validator(mode="after")
    def _trained_rows_have_a_head(self) -> "StudyRow":
        if self.finetune is not None and self.strategy is not None:
            raise ValueError(f"row {self.name!r}: found strategy and finetune; a trained model labels by its head")
        return self


class StudyConfig(Section):
    """Everything that `nrray study` measures and where it leaves it."""

    manifest: str = Field(description="manifest.parquet of `nrray scan`")
    annotations: str = Field(description="folder of annotations, as `nrray import` and `nrray simulate` write it")
    split: str = Field(
        description="split file of `nrray split`: rows are trained on train and validation, measured on test"
    )
    cases: str | None = Field(None, description="case sidecar; without one a video is its own case")
    output: str = Field(description="folder of all rows and of the table; all workers see it")
    label_set: str | None = Field(None, description="label set file; the one in the package where none is given")
    rows: tuple[StudyRow, ...] = Field(description="a row for each way of using a model")
    seeds: tuple[int, ...] = Field((0, 1, 2), description="each trained row is trained with every seed")
    curve: tuple[int, ...] = Field(
        (),
        description="numbers of training cases that trained rows are trained on too, with the first seed, such as [1, 2, 4, 8]",
    )
    balanced_windows: int = Field(
        500,
        ge=0,
        description="also measured: a class-balanced subset of at most so many windows, as the study did; 0: none",
    )
    outside_domain: OutsideDomain = Field(
        OutsideDomain.LABEL,
        description="what becomes of videos that look unlike those that a model was trained on: label, or not_assessable",
    )
    decode: DecodeConfig = DecodeConfig()

    @model_validator(mode="after")
    def _rows_differ(self) -> "StudyConfig":
        if not self.rows:
            raise ValueError("expected a row at least")
        counts = Counter(folder_name(row.name) for row in self.rows)
        if twice := [row.name for row in self.rows if counts[folder_name(row.name)] > 1]:
            raise ValueError(f"rows {', '.join(map(repr, twice))}: expected names that differ by a letter or a digit")
        if len(set(self.seeds)) < len(self.seeds) or not self.seeds:
            raise ValueError(f"found the seeds {list(self.seeds)}, expected different ones, one at least")
        return self

    def seeds_of(self, row: StudyRow) -> tuple[int | None, ...]:
        """The seeds that a row is trained with; None alone for one that is not trained."""
        return (None,) if row.finetune is None else self.seeds

    def folder(self, row: StudyRow, seed: int | None = None) -> str:
        """Of a row, or of one of its trainings and what that labels."""
        parts = [self.output.rstrip("/"), ROWS, folder_name(row.name), *([] if seed is None else [f"seed-{seed}"])]
        return "/".join(parts)

    def labels(self, row: StudyRow, seed: int | None) -> str:
        """The output of the row's labels of the test part."""
        return f"{self.folder(row, seed)}/{LABELS}"

    def finetune_config(self, row: StudyRow, seed: int, *, output: str) -> FinetuneConfig:
        """The training of a row, over frames that all rows share."""
        assert row.finetune is not None
        training = row.finetune.training.model_copy(update={"seed": seed})
        return FinetuneConfig(
            manifest=self.manifest,
            annotations=self.annotations,
            split=self.split,
            cases=self.cases,
            output=output,
            label_set=self.label_set,
            model=row.model,
            timesformer=row.finetune.timesformer,
            sampling=row.finetune.sampling,
            parts=row.finetune.parts,
            adapter=row.finetune.adapter,
            head=row.finetune.head,
            training=training,
            decode=self.decode,
            store=StoreConfig(folder=str(Path(self.output).absolute() / FRAMES)),
            workers=row.workers,
        )

    def relabel_config(self, row: StudyRow, seed: int | None, *, model: ModelConfig) -> RelabelConfig:
        """The labelling of the test part by a row's model."""
        return RelabelConfig(
            manifest=f"{self.output.rstrip('/')}/{TEST_MANIFEST}",
            output=self.labels(row, seed),
            label_set=self.label_set,
            model=model,
            strategy=row.strategy,
            decode=self.decode,
            outside_domain=self.outside_domain,
            pools=row.pools,
        )


def folder_name(name: str) -> str:
    """The name of a row's folder: lower case letters, digits, and hyphens for all else."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
