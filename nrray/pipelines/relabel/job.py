"""The config of `nrray relabel`, and the job that it is with a manifest and a model: plan, identity, rules. Starts no Ray."""

import secrets
import time
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from pydantic import Field

from nrray.archive.manifest import check_manifest, usual_size
from nrray.config import Section
from nrray.decode import DecodeConfig
from nrray.errors import ConfigError
from nrray.labels import LabelSet, read_label_set
from nrray.lease import LEASE_SECONDS
from nrray.models import (
    CheckpointKind,
    ModelConfig,
    ResolvedCheckpoint,
    ResolvedModel,
    Strategy,
    check_sampling,
    resolve_model,
    resolve_strategy,
    strategy_of_release_before,
)
from nrray.models.config import Dtype
from nrray.models.engines.served import ServedModel, served_sampling
from nrray.models.frame_size import FrameSize
from nrray.models.looks import read_looks
from nrray.models.resolved import local_checkpoint
from nrray.models.shown import Shown
from nrray.models.strategies.prompted import PromptedStrategy
from nrray.pipelines.job_folder import refuse_job_folder
from nrray.pipelines.workers import Pools
from nrray.plan import Packing, Plan, plan_units
from nrray.results.domain import DomainRule, OutsideDomain
from nrray.results.identity import OutputIdentity, StrategyEntry, bound_identity
from nrray.results.journal import EntryLimits
from nrray.results.segments import SegmentRule
from nrray.results.version_tables import Rethreshold
from nrray.sampling import Sampling, SamplingSection, sampling_section
from nrray.storage import Folder, read_table


class LedgerConfig(Section):
    """How often results reach storage: a kill costs at most this much work, never a result."""

    file_units: int = Field(32, ge=1, le=64, description="units of one ledger file")
    flush_seconds: float = Field(30.0, gt=0, description="results wait no longer than this")
    lease_seconds: float = Field(
        LEASE_SECONDS, gt=0, description="on an object store: a run that was not heard of for so long is taken for dead"
    )


class RelabelConfig(Section):
    """Everything that `nrray relabel` computes and where it leaves it."""

    manifest: str = Field(description="manifest.parquet of `nrray scan`")
    output: str = Field(description="folder or URI of ledger and label versions")
    label_set: str | None = Field(None, description="label set file; the one in the package where none is given")
    model: ModelConfig = ModelConfig()
    strategy: Strategy | None = Field(
        None,
        description="how the model labels, by its kind: head, yes_no, list, multiple_choice, json, vector, judge, focused_judge, "
        "judge_json; none given: its head where it has one, else yes_no",
    )
    sampling: SamplingSection = SamplingSection()
    packing: Packing = Packing()
    decode: DecodeConfig = DecodeConfig()
    segments: SegmentRule = SegmentRule()
    shown: Shown = Field(
        Shown.FILMED,
        description="what the model is shown in place of the video: blank, frozen, shuffled or foreign frames",
    )
    outside_domain: OutsideDomain = Field(
        OutsideDomain.NOT_ASSESSABLE,
        description="what becomes of videos that look unlike those that the model was trained on: not_assessable, or label",
    )
    max_unparsed_share: float = Field(
        0.1, ge=0, le=1, description="exit code 3 where more of the labels are answers that could not be read"
    )
    entries: EntryLimits = EntryLimits()
    ledger: LedgerConfig = LedgerConfig()
    pools: Pools = Pools()


@dataclass(frozen=True, kw_only=True)
class RelabelJob:
    """A config resolved against the manifest and the model."""

    config: RelabelConfig
    label_set: LabelSet
    sampling: Sampling
    manifest: pa.Table
    plan: Plan
    output: Folder
    identity: OutputIdentity
    unrecorded_strategy: StrategyEntry  # that of outputs which a release began that recorded none
    checkpoint: ResolvedModel
    strategy: Strategy
    domain_rule: DomainRule | None  # None: the model knows no looks
    run_id: str
    notes: tuple[str, ...] = ()  # for people: what was chosen for them


def resolved_job(config: RelabelConfig, *, allow_remote: bool = False) -> RelabelJob:
    """The config with its manifest and model. allow_remote: whether frames may be sent to a server outside the house. Raises
    ConfigError, DataError, ModelError, StorageError."""
    for name in ("manifest", "output"):
        refuse_job_folder(getattr(config, name), name)
    manifest = read_table(config.manifest)
    check_manifest(manifest, name=config.manifest)
    label_set = read_label_set(config.label_set)
    unknown = sorted(set(config.segments.thresholds) - set(label_set.names))
    if unknown:
        raise ConfigError(f"segments.thresholds names unknown activities {unknown}; known: {list(label_set.names)}")
    checkpoint = resolve_model(config.strategy, config.model, allow_remote=allow_remote)
    if isinstance(config.strategy, PromptedStrategy):
        config.strategy.engine.check_runs(config.model)
    strategy = resolve_strategy(config.strategy, checkpoint, label_set)
    looks = read_looks(checkpoint.head_folder) if isinstance(checkpoint, ResolvedCheckpoint) else None
    if isinstance(checkpoint, ResolvedCheckpoint) and checkpoint.kind is CheckpointKind.ADAPTED:
        from nrray.models.fitting import check_adapter  # with torch and peft, which take seconds

        check_adapter(checkpoint)
    sampling, notes = _sampling(config, checkpoint, strategy, manifest, label_set)
    adapter = checkpoint.adapter if isinstance(checkpoint, ResolvedCheckpoint) else None
    model = config.model.model_copy(update={"path": checkpoint.path, "adapter": adapter})
    identity = OutputIdentity(
        model=checkpoint.digest,
        dtype=_dtype(model, checkpoint),
        strategy=strategy.identity(checkpoint, label_set),
        label_set=label_set.digest,
        sampling=sampling,
        packing=config.packing,
        decoder=config.decode.identity,
        shown=None if config.shown is Shown.FILMED else config.shown.value,
    )
    return RelabelJob(
        config=config.model_copy(update={"model": model}),
        label_set=label_set,
        sampling=sampling,
        manifest=manifest,
        plan=plan_units(manifest, sampling, config.packing),
        output=Folder(config.output),
        identity=identity,
        unrecorded_strategy=strategy_of_release_before(checkpoint, label_set),
        checkpoint=checkpoint,
        strategy=strategy,
        domain_rule=None
        if looks is None
        else DomainRule(model=checkpoint.name, far=looks.far, outside=config.outside_domain),
        notes=notes,
        run_id=f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}",
    )


def _sampling(
    config: RelabelConfig, checkpoint: ResolvedModel, strategy: Strategy, manifest: pa.Table, label_set: LabelSet
) -> tuple[Sampling, tuple[str, ...]]:
    """The sampling, and what is to be said of it. Of a checkpoint that does not say how it samples video it is what its config
    and processor are made for, as it was when this output was begun. Raises ConfigError, ModelError."""
    if checkpoint.inputs is not None:
        sampling = config.sampling.over(checkpoint.inputs.sampling)
        check_sampling(sampling, trained=checkpoint.inputs.sampling, name=checkpoint.name)
        return sampling, ()
    before, section = bound_identity(Folder(config.output)), config.sampling
    if before is not None and before.model == checkpoint.digest:
        # New videos may be of another size: the labels of one output are of windows of one kind.
        section = sampling_section(section.over(before.sampling))
    size = usual_size(manifest)
    if isinstance(checkpoint, ServedModel):
        sampling = section.over(served_sampling(size))
        return sampling, (*checkpoint.sentences(), _served_sentence(sampling, config.sampling))
    from nrray.models.window_plan import planned_window  # with torch, which takes seconds

    plan = planned_window(
        local_checkpoint(checkpoint),
        section,
        video=FrameSize(width_px=size[0], height_px=size[1]) if size is not None else None,
        questions=strategy.questions(checkpoint, label_set),
    )
    return plan.sampling, (plan.sentence(checkpoint.name, config.sampling),)


def _served_sentence(sampling: Sampling, section: SamplingSection) -> str:
    chosen = [key for key in SamplingSection.model_fields if key not in section.given]
    by_nrray = (
        f" A server does not say how its model samples video: {', '.join(chosen)} are nrray's choice, and can be set "
        f"(sampling.{chosen[0]}=...)."
        if chosen
        else ""
    )
    return f"A window is {sampling.text()}.{by_nrray}"


def _dtype(model: ModelConfig, checkpoint: ResolvedModel) -> str | None:
    """The number format, as far as it is decided."""
    if isinstance(checkpoint, ServedModel):
        return "served"
    return None if model.dtype is Dtype.AUTO else model.dtype.value


def thresholds_in_use(job: RelabelJob) -> dict[str, float]:
    """The score from which each activity is present, the config's before the strategy's own."""
    return {**job.strategy.thresholds(job.checkpoint), **job.config.segments.thresholds}


def rethresholding(job: RelabelJob) -> Rethreshold:
    """How states follow from those of the ledger and their scores, under the thresholds and rules in use."""
    return partial(job.strategy.rethresholded, thresholds=thresholds_in_use(job), label_set=job.label_set)
