"""`nrray relabel`: plan, decode on CPU workers, label on an actor pool, ledger, publish.

The driver alone writes the ledger: results are small (scores, not pixels), so one process keeps up with a large
cluster, a lost worker can leave no half-written or late file, and no write task competes for a small machine's CPUs.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nrray.archive.manifest import facts_of_videos
from nrray.console.progress import Progress
from nrray.console.reporter import Reporter
from nrray.console.run_record import keep_record, refuse_other_output
from nrray.errors import NrrayError
from nrray.models.config import resolved_dtype
from nrray.pipelines.on_ray.blocks import decoder_blocks
from nrray.pipelines.on_ray.pools import MIB, Pool, cluster_capacity, planned_pools, pools_sentence
from nrray.pipelines.on_ray.session import ray_session, terminated_as_interrupt
from nrray.pipelines.on_ray.streaming import PooledStage, streamed_rows
from nrray.pipelines.relabel.dying import DyingLabelers
from nrray.pipelines.relabel.graph import StageRequest, arguments_in, check_engine, runs_on_gpu, stages_of
from nrray.pipelines.relabel.job import RelabelConfig, RelabelJob, resolved_job
from nrray.pipelines.relabel.publishing import publish_if_due
from nrray.pipelines.relabel.report import Relabelled
from nrray.plan import Plan, plan_sentence
from nrray.results.figures import PROGRESS_FILE, LastRun, RunFigures, write_progress
from nrray.results.identity import bind_identity, check_identity
from nrray.results.journal import Journal
from nrray.results.ledger import Ledger, LedgerWriter, missing_units, unit_counts
from nrray.sampling import Sampling
from nrray.storage import Folder
from nrray.tables import rows_from_table, schema_of
from nrray.types import US_PER_SECOND, Unit, UnitRequest, UnitResult
from nrray.wording import counted
from nrray.writer_lock import WriterLock


@dataclass(frozen=True, kw_only=True)
class RelabelOptions:
    """How much one call does; nothing here changes a label of the output."""

    limit_units: int | None = None
    dry_run: bool = False
    retry_failed: bool = False
    allow_remote: bool = False  # frames may be sent to a server outside the house


def relabel(config: RelabelConfig, options: RelabelOptions, reporter: Reporter) -> Relabelled:
    """Label everything that the plan has and the ledger lacks, then publish.

    Raises ConfigError, DataError, IdentityError, ModelError, OutputBusyError, ResourcesError, StorageError.
    """
    job = resolved_job(config, allow_remote=options.allow_remote)
    for note in job.notes:
        reporter.say(note)
    reporter.say(plan_sentence(job.plan, job.sampling))
    if job.plan.num_bad_videos:
        reporter.say(f"{job.plan.num_bad_videos:,} of the manifest's files are unreadable: coverage rows, no units")
    refuse_other_output(job.output, "relabel")
    check_identity(job.output, job.identity, unrecorded_strategy=job.unrecorded_strategy)
    if options.dry_run:
        return _dry_run(job, options, reporter)
    job.output.create()
    ledger, journal = Ledger(job.output), Journal(job.output, job.run_id)
    with WriterLock(job.output, lease_seconds=config.ledger.lease_seconds) as lock:
        keep_record(job.output, "relabel", config)
        ledger.create()
        journal.create()
        index = ledger.index()
        _clear_traces(job.output, ledger, journal, index)
        todo = missing_units(job.plan.units, index, retry_failed=options.retry_failed)
        num_todo = todo.num_rows
        if options.limit_units is not None:
            todo = todo.slice(0, options.limit_units)
        reporter.say(_todo_sentence(job.plan, num_todo, todo.num_rows))
        measured = None
        if todo.num_rows:
            measured = _run(job, _suspects_last(todo, journal.suspects()), ledger, journal, lock, reporter)
            index = ledger.index()
        counts = unit_counts(job.plan.units, index)
        lock.renew()
        publication = publish_if_due(job, index, counts=counts, measured=measured, reporter=reporter)
    return Relabelled(
        output=str(job.output),
        counts=counts,
        published=publication.published,
        record=publication.record,
        measured=measured,
        max_unparsed_share=job.config.max_unparsed_share,
        knows_looks=job.domain_rule is not None,
    )


def _clear_traces(output: Folder, ledger: Ledger, journal: Journal, index: pa.Table) -> None:
    """Remove journal entries of settled units and unfinished files that a killed run left behind."""
    output.remove_leftovers()
    ledger.remove_leftovers()
    settled = journal.suspects() & set(index["unit_id"].to_pylist())
    if settled:
        journal.forget(settled)
    output.remove(PROGRESS_FILE)


def _dry_run(job: RelabelJob, options: RelabelOptions, reporter: Reporter) -> Relabelled:
    index = Ledger(job.output).index()
    todo = missing_units(job.plan.units, index, retry_failed=options.retry_failed)
    counts = unit_counts(job.plan.units, index)
    reporter.say(_todo_sentence(job.plan, todo.num_rows, min(todo.num_rows, options.limit_units or todo.num_rows)))
    reporter.say("dry run: nothing was decoded, nothing was written")
    return Relabelled(output=str(job.output), counts=counts, published=None, measured=None, is_dry_run=True)


def _todo_sentence(plan: Plan, missing: int, now: int) -> str:
    done = plan.units.num_rows - missing
    parts = [f"{done:,} of {counted(plan.units.num_rows, 'unit')} are in the ledger"] if done else []
    parts.append(f"{now:,} to do" if now == missing else f"{now:,} of the {missing:,} missing ones now")
    return "; ".join(parts)


def _suspects_last(todo: pa.Table, suspects: set[str]) -> pa.Table:
    """Units that an earlier run was trying when it died go last: one of them may have killed it."""
    if not suspects:
        return todo
    is_suspect = pc.is_in(todo["unit_id"], value_set=pa.array(sorted(suspects), pa.string()))
    return pa.concat_tables([todo.filter(pc.invert(is_suspect)), todo.filter(is_suspect)])


def _run(
    job: RelabelJob, todo: pa.Table, ledger: Ledger, journal: Journal, lock: WriterLock, reporter: Reporter
) -> RunFigures:
    """Try every unit of `todo`; returns the figures of this run."""
    work = unit_requests(todo, job.manifest)
    stride_us = round(job.sampling.stride_seconds * 1e6)
    video_us = {
        unit: windows * stride_us
        for unit, windows in zip(work["unit_id"].to_pylist(), work["num_windows"].to_pylist(), strict=True)
    }
    pending = set(video_us)
    store = job.config.ledger
    with ray_session(), terminated_as_interrupt():
        capacity = cluster_capacity()
        check_engine(job, capacity)
        on_gpu = runs_on_gpu(job.config.model.device, capacity)
        dtype = job.identity.dtype or resolved_dtype(job.config.model.dtype, on_gpu=on_gpu).value
        decided = job.identity.model_copy(update={"dtype": dtype})
        bind_identity(job.output, decided, unrecorded_strategy=job.unrecorded_strategy)
        stages = stages_of(job, on_gpu=on_gpu)
        pools = planned_pools([stage.pool for stage in stages], capacity, num_units=work.num_rows)
        reporter.say(f"running on {capacity}: {pools_sentence(pools)}")
        started = time.monotonic()
        dying = DyingLabelers()

        def settled(unit_ids: set[str]) -> None:
            journal.forget(unit_ids)
            write_progress(job.output, LastRun(run_id=job.run_id, progress=progress.figures()))

        with (
            Progress(
                console=reporter.console,
                verb="relabel",
                total_units=work.num_rows,
                total_us=sum(video_us.values()),
                quiet=reporter.is_silent,
            ) as progress,
            # Closed before Ray is: a graph that still runs while Ray ends may take this process with it, without a word.
            closing(_results(job, work, stages, pools)) as results,
            # Written before the graph is closed, which may wait without end where Ray itself is gone.
            LedgerWriter(
                ledger, lock, max_units=store.file_units, max_seconds=store.flush_seconds, on_written=settled
            ) as writer,
        ):
            for result in results:
                if result.unit_id not in pending:
                    raise NrrayError(f"internal error: a result for {result.unit_id}, which is not pending, came back")
                pending.remove(result.unit_id)
                kind = result.error_kind.value if result.error_kind is not None else None
                progress.add(video_us=video_us[result.unit_id], error_kind=kind)
                writer.add(result)
                dying.check(result)
            writer.flush()
            done = progress.figures()
        figures = RunFigures(
            **done.model_dump(),
            wall_seconds=round(time.monotonic() - started, 2),
            pools=pools_sentence(pools),
            capacity=str(capacity),
        )
        write_progress(job.output, LastRun(run_id=job.run_id, progress=figures))
    if pending:
        raise NrrayError(f"{counted(len(pending), 'unit')} got no result; run the same command again to complete them")
    return figures


def unit_requests(todo: pa.Table, manifest: pa.Table) -> pa.Table:
    """Rows of `UnitRequest`: the units of `todo`, each with the facts of its video."""
    columns = {
        **facts_of_videos(manifest, todo["video_id"].combine_chunks()),
        **{name: todo[name] for name in schema_of(Unit).names},
        "earlier_attempts": todo["attempts"],
    }
    return pa.table(columns, schema=schema_of(UnitRequest)).combine_chunks()


def _results(
    job: RelabelJob, work: pa.Table, stages: Sequence[StageRequest], pools: Sequence[Pool]
) -> Generator[UnitResult, None, None]:
    """Results in order of completion."""
    for table in streamed_rows(
        _blocks(work, job.sampling, pools[0].count),
        [
            PooledStage(actor=stage.actor, arguments=arguments_in(pool, stage), pool=pool, batch_rows=stage.batch_units)
            for stage, pool in zip(stages, pools, strict=True)
        ],
        stall_timeout_seconds=job.config.pools.stall_timeout_seconds,
        # Two units wait for each worker: decoders that run further ahead fill memory and gain nothing.
        store_bytes=2 * sum(pool.count for pool in pools) * job.config.packing.max_unit_mib * MIB,
        # More than one unit may cost a worker before it is quarantined.
        max_deaths=job.config.entries.per_run + 3,
    ):
        yield from rows_from_table(table, UnitResult)


def _blocks(work: pa.Table, sampling: Sampling, num_decoders: int) -> list[pa.Table]:
    """One unit per block where nothing binds units together, more in a huge archive: the driver keeps track of blocks, and a
    lost decoder's block is done again."""
    span_us = work["num_windows"].to_numpy().astype(np.int64) * round(sampling.stride_seconds * US_PER_SECOND)
    return decoder_blocks(work, span_us=span_us, rows=max(1, min(64, work.num_rows // (num_decoders * 64))))
