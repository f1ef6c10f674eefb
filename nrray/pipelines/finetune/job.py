"""The config of `nrray finetune`, and its job: manifest, annotations, split and checkpoint read and checked. Starts no Ray."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from nrray.archive.manifest import usual_size
from nrray.archive.splits import TrainedSplit, path_digest
from nrray.config import Section
from nrray.decode import DecodeConfig
from nrray.errors import ConfigError
from nrray.labels import LabelSet, read_label_set
from nrray.models import ModelConfig, ResolvedCheckpoint, check_sampling, resolve_checkpoint
from nrray.models.config import LoraSection, PartsSection, ResolvedParts
from nrray.models.folders import checkpoint_folder
from nrray.models.frame_size import FrameSize
from nrray.models.metadata import described_inputs
from nrray.pipelines.finetune.inputs import FinetuneInputs, annotations_digest, read_inputs
from nrray.pipelines.finetune.planning import counted, training_facts
from nrray.pipelines.job_folder import refuse_job_folder
from nrray.pipelines.workers import WorkersConfig
from nrray.sampling import Sampling, SamplingSection
from nrray.storage import Folder, absolute_uri, is_local
from nrray.train.doubts import few_examples
from nrray.train.examples import (
    Chunk,
    ExamplePlan,
    all_examples,
    planned_examples,
    training_notes,
    validation_notes,
)
from nrray.train.job import TRAINED_PARTS, FinetuneJob, InputDigests
from nrray.train.start import check_pooling
from nrray.train.trackers import TrackerKind, check_trackers
from nrray.train.training_config import (
    HeadSection,
    TimesformerSection,
    TrainingConfig,
)
from nrray.train.training_plan import TrainingFacts, planned_training, read_plan


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
    label_set: str | None = Field(None, description="label set file; the one in the package where none is given")
    model: ModelConfig = ModelConfig()
    timesformer: TimesformerSection | None = Field(
        None, description="a TimeSformer from scratch for the checkpoint; as a baseline"
    )
    sampling: SamplingSection = SamplingSection()
    parts: PartsSection = PartsSection()
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
    check_pooling(config.head, start)  # before frames are extracted
    inputs = read_inputs(
        manifest=config.manifest, annotations=config.annotations, cases=config.cases, split=config.split
    )
    sampling, notes = _sampling(config, start, inputs)
    plan = _plan(config, inputs, label_set=label_set, sampling=sampling)
    plan = replace(plan, notes=[*notes, *plan.notes])
    check_trackers(config.trackers)
    before = read_plan(Folder(str(output)))
    facts = (
        before.facts
        if before is not None
        else training_facts(
            start,
            plan.chunks,
            head=config.head,
            execution=config.model,
            workers=config.workers,
            label_set=label_set,
            sampling=sampling,
        )
    )
    planned = planned_training(config.parts, config.training, facts, start=start)
    _check_parts(start, planned.parts, config.adapter)
    job = FinetuneJob(
        name=output.name,
        output=str(output),
        store=str(store),
        chunks=plan.chunks,
        label_set=label_set,
        sampling=sampling,
        split=TrainedSplit(parts=inputs.split.parts, videos=_video_digests(plan.chunks)),
        decoder=config.decode.frames_identity,
        start=start,
        execution=config.model,
        parts=planned.parts,
        adapter=config.adapter,
        head=config.head,
        training=planned.training,
        facts=facts,
        inputs=InputDigests(annotations=annotations_digest(inputs.annotations), chunks=_names_digest(plan.chunks)),
        trackers=config.trackers,
    )
    return ResolvedFinetune(config=config, manifest=inputs.manifest, plan=plan, job=job)


def _check_parts(start: ResolvedCheckpoint | TimesformerSection, learning: ResolvedParts, adapter: LoraSection) -> None:
    """Raise ModelError where the checkpoint lacks what is to learn: before frames are extracted and workers wait for it."""
    if isinstance(start, ResolvedCheckpoint):
        from nrray.models.parts import checkpoint_parts  # with torch, which takes seconds
        from nrray.models.trained_modules import trained_modules

        trained_modules(checkpoint_parts(start), learning, adapter)


def _plan(config: FinetuneConfig, inputs: FinetuneInputs, *, label_set: LabelSet, sampling: Sampling) -> ExamplePlan:
    """The examples, with notes on all that is not used of the archive. Raises DataError."""
    plan = planned_examples(
        inputs.manifest,
        inputs.annotations,
        split_of_case=inputs.split_of_case,
        cases=inputs.cases,
        sampling=sampling,
        label_set=label_set,
        decode=config.decode,
        max_chunk_mib=config.store.max_chunk_mib,
    )
    train, validation = (all_examples(plan.chunks, part, sampling) for part in TRAINED_PARTS)
    least = config.training.min_positive_windows
    few = few_examples(num_windows=len(train), num_cases=len(set(train.cases.tolist())))
    notes = [
        *([few] if few is not None else []),
        *training_notes(train, label_set, min_positive_windows=least),
        *validation_notes(validation, label_set, min_positive_windows=least),
    ]
    return replace(plan, notes=[*plan.notes, *inputs.notes, *notes])


def _sampling(
    config: FinetuneConfig, start: ResolvedCheckpoint | TimesformerSection, inputs: FinetuneInputs
) -> tuple[Sampling, tuple[str, ...]]:
    """The sampling, and what is to be said of it: the one that the checkpoint was trained with or, where it does not say that,
    what its config and processor are made for, with what the config sets. Raises ConfigError, ModelError."""
    if isinstance(start, TimesformerSection):  # a baseline samples as the checkpoint that it is compared with
        compared = described_inputs(checkpoint_folder(config.model.path))
        return config.sampling.over(compared.sampling if compared is not None else Sampling.model_validate({})), ()
    if start.inputs is not None:
        sampling = config.sampling.over(start.inputs.sampling)
        check_sampling(sampling, trained=start.inputs.sampling, name=start.name)
        return sampling, ()
    from nrray.models.window_plan import planned_window  # with torch, which takes seconds
    from nrray.train.trainee.prepared import QUESTION

    # Of the videos that are trained on alone: others may be added to the archive before the training goes on.
    size = usual_size(inputs.trained_videos)
    plan = planned_window(
        start,
        config.sampling,
        video=FrameSize(width_px=size[0], height_px=size[1]) if size is not None else None,
        questions=(QUESTION,) if start.family.knows_words else (),
    )
    return plan.sampling, (plan.sentence(start.name, config.sampling),)


def _video_digests(chunks: Sequence[Chunk]) -> dict[str, tuple[str, ...]]:
    """Part to digests of its videos' paths: whoever evaluates the model later may call its cases otherwise."""
    return {
        part: tuple(sorted({path_digest(chunk.path) for chunk in chunks if chunk.split == part}))
        for part in TRAINED_PARTS
    }


def _names_digest(chunks: Sequence[Chunk]) -> str:
    return hashlib.sha256("\n".join(sorted(chunk.name for chunk in chunks)).encode()).hexdigest()


def planned_job(job: FinetuneJob, config: FinetuneConfig, facts: TrainingFacts) -> FinetuneJob:
    """The job with what `config` leaves open decided by these facts. Raises ConfigError, ResourcesError."""
    planned = planned_training(config.parts, config.training, facts, start=job.start)
    return replace(job, facts=facts, parts=planned.parts, training=planned.training)


def job_with(job: FinetuneJob, config: FinetuneConfig, *, output: Path) -> FinetuneJob:
    """The same examples and checkpoint, trained by the sections of `config` into another output."""
    changed = replace(
        job,
        name=output.name,
        output=str(output),
        start=config.timesformer or job.start,
        adapter=config.adapter,
        head=config.head,
    )
    return planned_job(changed, config, job.facts)


def job_of_cases(job: FinetuneJob, config: FinetuneConfig, cases: Collection[str], *, output: Path) -> FinetuneJob:
    """The same training on some of its training cases alone, into another output. It is validated on the same windows. An
    activity may be in as few windows as it is: what few cases teach is the question."""
    chunks = [chunk for chunk in job.chunks if chunk.split != "train" or chunk.case in cases]
    changed = replace(
        job,
        name=output.name,
        output=str(output),
        chunks=chunks,
        split=TrainedSplit(
            parts={**job.split.parts, "train": tuple(sorted(cases))},
            videos=_video_digests(chunks),
        ),
        inputs=replace(job.inputs, chunks=_names_digest(chunks)),
    )
    training = config.training.model_copy(update={"min_positive_windows": 1})
    fewer = job.facts.model_copy(update=counted(chunks, job.sampling))
    return planned_job(changed, config.model_copy(update={"training": training}), fewer)


def _shared_folder(uri: str, setting: str) -> Path:
    refuse_job_folder(uri, setting)
    if not is_local(uri):
        raise ConfigError(f"{setting}: found {uri}, expected a folder of a file system that all workers see")
    return Path(absolute_uri(uri))


def store_bytes(resolved: ResolvedFinetune) -> int:
    """Bytes of all frames on disk."""
    return resolved.plan.num_frames(resolved.job.sampling) * resolved.job.sampling.frame_bytes
