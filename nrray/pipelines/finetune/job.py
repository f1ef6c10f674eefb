"""The config of `nrray finetune`, and its job: manifest, annotations, split and checkpoint read and checked. Starts no Ray."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from nrray.archive.annotations import Annotations, read_annotations
from nrray.archive.cases import read_cases
from nrray.archive.manifest import check_manifest
from nrray.archive.splits import TrainedSplit, check_contents, contents_by_case, part_cases, path_digest, read_split
from nrray.config import Section
from nrray.decode import DecodeConfig
from nrray.errors import ConfigError, DataError
from nrray.labels import read_label_set
from nrray.models import ModelConfig, ResolvedCheckpoint, check_sampling, read_metadata, resolve_checkpoint
from nrray.models.config import LoraSection
from nrray.models.resolved import checkpoint_folder
from nrray.pipelines.job_folder import refuse_job_folder
from nrray.pipelines.workers import WorkersConfig
from nrray.sampling import Sampling
from nrray.storage import absolute_uri, is_local, read_table
from nrray.train.examples import Chunk, ExamplePlan, check_positives, planned_examples, validation_note
from nrray.train.job import TRAINED_PARTS, FinetuneJob, InputDigests
from nrray.train.trackers import TrackerKind, check_trackers
from nrray.train.training_config import HeadSection, TimesformerSection, TrainingConfig


class StoreConfig(Section):
    """Frames on disk, raw, for the time of the training."""

    folder: str | None = Field(
        None, description="on a disk that all workers see; `frames` in the output where none is given"
    )
    max_chunk_mib: int = Field(32, ge=1, le=1024, description="of one file")
    keep: bool = Field(True, description="false: deleted after the training")


class FinetuneConfig(Section):
    """Everything that `nrray finetune` computes and where it leaves it."""

    manifest: str = Field(description="manifest.parquet of `nrray scan`")
    annotations: str = Field(description="folder of annotations, as `nrray import` and `nrray simulate` write it")
    split: str = Field(description="split file of `nrray split`; its test part is not read")
    cases: str | None = Field(None, description="case sidecar; without one a video is its own case")
    output: str = Field(description="folder of checkpoints, history and the adapter; all workers see it")
    label_set: str | None = Field(None, description="label set file; the newborn-resuscitation set where none is given")
    model: ModelConfig = ModelConfig()
    timesformer: TimesformerSection | None = Field(
        None, description="a TimeSformer from scratch for the checkpoint; as a baseline"
    )
    sampling: Sampling | None = Field(None, description="the checkpoint's own where it has one")
    adapter: LoraSection = LoraSection()
    head: HeadSection = HeadSection()
    training: TrainingConfig = TrainingConfig()
    decode: DecodeConfig = DecodeConfig()
    store: StoreConfig = StoreConfig()
    workers: WorkersConfig = WorkersConfig()
    trackers: tuple[TrackerKind, ...] = Field(
        (), description="tensorboard, mlflow, wandb: in the output, beside history.jsonl"
    )


@dataclass(frozen=True, kw_only=True)
class ResolvedFinetune:
    """A config, its manifest, its examples and the job that workers are given."""

    config: FinetuneConfig
    manifest: pa.Table
    plan: ExamplePlan
    job: FinetuneJob


def resolved_finetune(config: FinetuneConfig) -> ResolvedFinetune:
    """Read all inputs, and refuse those that nothing can be learned from. Raises ConfigError, DataError, ModelError."""
    output = _shared_folder(config.output, "output")
    store = _shared_folder(config.store.folder, "store.folder") if config.store.folder else output / "frames"
    label_set = read_label_set(config.label_set)
    if config.model.adapter is not None:
        raise ConfigError(
            "model.adapter: an adapter is trained on a checkpoint, not on an adapter. Leave it out, or merge it."
        )
    start = config.timesformer or resolve_checkpoint(config.model)
    sampling = _sampling(config, start)
    manifest = read_table(config.manifest)
    check_manifest(manifest, name=config.manifest)
    annotations = read_annotations(config.annotations)
    split = read_split(config.split)
    split_of_case = {case: part for part in TRAINED_PARTS for case in part_cases(split, part)}
    for part in TRAINED_PARTS:
        if not split.parts[part]:
            raise DataError(f"split {config.split}: part {part!r} has no case, expected at least one.")
    cases = read_cases(config.cases)
    contents = contents_by_case(manifest, cases)
    _check_known(split_of_case, contents.keys(), uri=config.split)
    check_contents(split, contents)
    unused = sorted(contents.keys() - {case for cases in split.parts.values() for case in cases})
    plan = planned_examples(
        manifest,
        annotations,
        split_of_case=split_of_case,
        cases=cases,
        sampling=sampling,
        label_set=label_set,
        backend=config.decode.backend,
        max_chunk_mib=config.store.max_chunk_mib,
    )
    targets = {part: [s.targets for s in plan.chunks if s.split == part] for part in TRAINED_PARTS}
    check_positives(targets["train"], label_set)
    note = validation_note(targets["validation"], label_set)
    if unused:
        plan.notes.append(
            f"{len(unused)} cases are in no part of {config.split} and are not used, such as {unused[0]!r}."
        )
    if note is not None:
        plan.notes.append(note)
    check_trackers(config.trackers)
    digests = InputDigests(
        annotations=_digest(annotations),
        chunks=hashlib.sha256("\n".join(sorted(chunk.name for chunk in plan.chunks)).encode()).hexdigest(),
    )
    return ResolvedFinetune(
        config=config,
        manifest=manifest,
        plan=plan,
        job=FinetuneJob(
            name=output.name,
            output=str(output),
            store=str(store),
            chunks=plan.chunks,
            label_set=label_set,
            sampling=sampling,
            split=TrainedSplit(parts=split.parts, videos=_video_digests(plan.chunks)),
            decoder=config.decode.backend,
            start=start,
            execution=config.model,
            adapter=config.adapter,
            head=config.head,
            training=config.training,
            inputs=digests,
            trackers=config.trackers,
        ),
    )


def _sampling(config: FinetuneConfig, start: ResolvedCheckpoint | TimesformerSection) -> Sampling:
    """The config's, or the one that the checkpoint was trained with. Raises ConfigError, ModelError."""
    if isinstance(start, TimesformerSection):  # a baseline samples as the checkpoint that it is compared with
        compared = read_metadata(checkpoint_folder(config.model.path))
        return config.sampling or (compared.sampling if compared is not None else Sampling.model_validate({}))
    sampling = config.sampling or (start.metadata.sampling if start.metadata is not None else None)
    if sampling is None:
        raise ConfigError(f"{start.folder} does not say how it samples video: give the config a sampling section")
    if start.metadata is not None:
        check_sampling(sampling, trained=start.metadata.sampling, name=start.metadata.name)
    return sampling


def _video_digests(chunks: Sequence[Chunk]) -> dict[str, tuple[str, ...]]:
    """Part to digests of its videos' paths: whoever evaluates the model later may call its cases otherwise."""
    return {
        part: tuple(sorted({path_digest(chunk.path) for chunk in chunks if chunk.split == part}))
        for part in TRAINED_PARTS
    }


def job_with(job: FinetuneJob, config: FinetuneConfig, *, output: Path) -> FinetuneJob:
    """The same examples and checkpoint, trained as the sections of `config` say, into another output."""
    return replace(
        job,
        name=output.name,
        output=str(output),
        start=config.timesformer or job.start,
        adapter=config.adapter,
        head=config.head,
        training=config.training,
    )


def _check_known(split_of_case: Mapping[str, str], known: Collection[str], *, uri: str) -> None:
    if unknown := sorted(split_of_case.keys() - set(known)):
        raise DataError(
            f"split {uri}: {len(unknown)} of its {len(split_of_case)} cases to train and validate on are of no video here, such "
            f"as {unknown[0]!r}; known are {', '.join(repr(case) for case in sorted(known)[:3])}, ... Give the case sidecar that "
            f"the split was made with (cases=FILE), or correct the file."
        )


def _shared_folder(uri: str, setting: str) -> Path:
    refuse_job_folder(uri, setting)
    if not is_local(uri):
        raise ConfigError(f"{setting}: found {uri}, expected a folder of a file system that all workers see")
    return Path(absolute_uri(uri))


def _digest(annotations: Annotations) -> str:
    """Of the columns that decide targets, under names that stay as they are, so that a training begun earlier goes on."""
    total = hashlib.sha256()
    for table in (annotations.segments, annotations.extents):
        names = [name for name in ("path", "activity", "start_us", "end_us", "source") if name in table.column_names]
        ordered = table.select(names).sort_by([(name, "ascending") for name in names])
        sink = pa.BufferOutputStream()
        pq.write_table(ordered.rename_columns(["video_path", *names[1:]]), sink, compression="none")
        total.update(sink.getvalue())
    return total.hexdigest()


def store_bytes(resolved: ResolvedFinetune) -> int:
    """Bytes of all frames on disk."""
    return resolved.plan.num_frames(resolved.job.sampling) * resolved.job.sampling.frame_bytes
