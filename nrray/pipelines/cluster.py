"""Ray: a private instance on this machine or the cluster that RAY_ADDRESS names, and how many workers fit on it."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Literal

import psutil
import pyarrow as pa
import ray
import ray.data
from pydantic import Field
from ray.data import DataContext, ExecutionResources
from ray.data.exceptions import RayDataUserCodeException, SystemException
from ray.exceptions import RayError

from nrray.config import Section
from nrray.errors import ConfigError, NrrayError, ResourcesError
from nrray.storage import is_local

MIB = 2**20
_STARTING_WORKERS = 16
_JOB_FOLDER = "runtime_resources/working_dir_files"  # where Ray unpacks a job's --working-dir


class Pools(Section):
    """How many workers of each kind. `auto`: a decoder per CPU, a labeler per GPU, or per CPU where there is no GPU."""

    decoders: int | Literal["auto"] = Field("auto", description="auto: one per CPU")
    labelers: int | Literal["auto"] = Field("auto", description="auto: one per GPU, or per CPU where there is no GPU")
    decoder_memory_mib: int = Field(768, ge=64, description="what a decoder reserves of a node's memory")
    labeler_memory_mib: int = Field(1536, ge=64, description="what a labeler reserves of a node's memory")
    stall_timeout_seconds: int = Field(
        1800, ge=30, description="without any progress for so long, the run ends with an error instead of hanging"
    )


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the nodes of the cluster have in all."""

    num_cpus: float
    num_gpus: float
    memory_bytes: float
    nodes: tuple["Capacity", ...] = ()  # each alone; none where it is not known

    def __str__(self) -> str:
        return f"{self.num_cpus:g} CPUs, {self.num_gpus:g} GPUs, {self.memory_bytes / 2**30:.1f} GiB of memory"


@dataclass(frozen=True, kw_only=True)
class PoolPlan:
    """Workers of each stage and what one of them asks for. Everything runs at once, so all of it must fit together."""

    num_decoders: int
    decoder_cpus: float
    num_labelers: int
    labeler_cpus: float
    labeler_gpus: float
    decoder_memory_bytes: int
    labeler_memory_bytes: int

    def __str__(self) -> str:
        where = "GPU" if self.labeler_gpus else "CPU"
        return f"{self.num_decoders} decoders and {self.num_labelers} labelers on {where}"


def planned_pools(pools: Pools, capacity: Capacity, *, num_units: int, on_gpu: bool) -> PoolPlan:
    """Pools that fit `capacity` together; never more workers than units. A pure function.

    On CPUs every worker asks for a fraction of one, so that decoders and labelers share the cores and whichever has
    work takes them; whole CPUs for both would not fit a small machine, and Ray would wait for ever.
    Raises ResourcesError where what was asked for does not fit.
    """
    cpus = int(capacity.num_cpus)
    if cpus < 1:
        raise ResourcesError(f"the cluster has {capacity}: at least one CPU is needed to decode")
    if on_gpu and capacity.num_gpus < 1:
        raise ResourcesError(f"model.device=cuda, but the cluster has {capacity}: set model.device=auto or cpu")
    labelers = pools.labelers if pools.labelers != "auto" else (int(capacity.num_gpus) if on_gpu else cpus)
    decoders = pools.decoders if pools.decoders != "auto" else cpus
    decoder_memory = pools.decoder_memory_mib * MIB
    labeler_memory = pools.labeler_memory_mib * MIB
    if pools.decoders == "auto" and pools.labelers == "auto":
        while decoders > 1 and decoders * decoder_memory + labelers * labeler_memory > capacity.memory_bytes:
            decoders -= 1
            labelers = labelers if on_gpu else min(labelers, decoders)
    decoders, labelers = min(decoders, num_units), min(labelers, num_units)
    plan = PoolPlan(
        num_decoders=decoders,
        decoder_cpus=1.0 if on_gpu else 0.5,
        num_labelers=labelers,
        labeler_cpus=0.0 if on_gpu else 0.5,
        labeler_gpus=1.0 if on_gpu else 0.0,
        decoder_memory_bytes=decoder_memory,
        labeler_memory_bytes=labeler_memory,
    )
    _check_fits(plan, capacity)
    return plan


def _check_fits(plan: PoolPlan, capacity: Capacity) -> None:
    asked = {
        "CPUs": (plan.num_decoders * plan.decoder_cpus + plan.num_labelers * plan.labeler_cpus, capacity.num_cpus),
        "GPUs": (plan.num_labelers * plan.labeler_gpus, capacity.num_gpus),
        "GiB of memory": (
            (plan.num_decoders * plan.decoder_memory_bytes + plan.num_labelers * plan.labeler_memory_bytes) / 2**30,
            capacity.memory_bytes / 2**30,
        ),
    }
    short = [f"{needed:.3g} {what} of {there:.3g}" for what, (needed, there) in asked.items() if needed > there + 1e-6]
    if plan.num_decoders < 1 or plan.num_labelers < 1:
        short.append("at least one decoder and one labeler are needed")
    if not short and capacity.nodes and not _can_be_placed(plan, capacity.nodes):
        short.append(f"more than any way of placing them on the {len(capacity.nodes)} nodes alone")
    if short:
        raise ResourcesError(
            f"{plan} do not fit: they ask for {'; '.join(short)}. Lower pools.decoders, pools.labelers or their memory, "
            f"or add nodes. They would wait for ever, so nothing was started."
        )


def _can_be_placed(plan: PoolPlan, nodes: Sequence[Capacity]) -> bool:
    """Whether every worker finds a node, labelers first, each on the node that then has the most CPUs left."""
    left = [[node.num_cpus, node.num_gpus, node.memory_bytes] for node in nodes]
    labeler = (plan.labeler_cpus, plan.labeler_gpus, plan.labeler_memory_bytes)
    decoder = (plan.decoder_cpus, 0.0, plan.decoder_memory_bytes)
    for asked in [labeler] * plan.num_labelers + [decoder] * plan.num_decoders:
        fitting = [node for node in left if all(have + 1e-6 >= want for have, want in zip(node, asked, strict=True))]
        if not fitting:
            return False
        node = max(fitting, key=lambda node: node[0])
        node[:] = [have - want for have, want in zip(node, asked, strict=True)]
    return True


def cluster_capacity() -> Capacity:
    """What Ray says the cluster has."""
    nodes = tuple(_capacity_of(node["Resources"]) for node in ray.nodes() if node["Alive"])
    return replace(_capacity_of(ray.cluster_resources()), nodes=nodes)


def _capacity_of(resources: Mapping[str, float]) -> Capacity:
    return Capacity(
        num_cpus=resources.get("CPU", 0.0),
        num_gpus=resources.get("GPU", 0.0),
        memory_bytes=resources.get("memory", 0.0),
    )


def refuse_job_folder(uri: str, setting: str) -> None:
    """Raises ConfigError for a relative path in a Ray job: there it lies in a copy of the working folder, which has no
    videos and is deleted afterwards."""
    if (
        is_local(uri)
        and not Path(uri.removeprefix("file://")).expanduser().is_absolute()
        and _JOB_FOLDER in os.getcwd()
    ):
        raise ConfigError(
            f"{setting}: found the relative path {uri!r} in a Ray job, where it names a folder inside a copy that is "
            f"deleted afterwards; give an absolute path or a URI that all nodes know, e.g. --set {setting}=/data/{uri}"
        )


@contextmanager
def ray_session(*, dashboard: bool = False) -> Iterator[None]:
    """Ray for the time of the block: the cluster of RAY_ADDRESS where it is set (a Ray job has it), else a private
    instance on this machine, on loopback, with a token of its own. Within a running session it is that session.

    Raises ResourcesError where no Ray can be had.
    """
    if ray.is_initialized():
        yield
        return
    for name in ("ray", "ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        _start_private(dashboard=dashboard)
    else:
        _connect(address)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM (what `ray job stop` sends, 3 s before SIGKILL) ends a run like Ctrl-C: pending results are written.
    Enter it within `ray_session`: starting Ray sets a handler of its own."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: the caller has its own signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def watched_call(call: Callable[[], object], *, tick: Callable[[], None], every_seconds: float = 1.0) -> None:
    """Run `call` in a thread and `tick` in this one until it ends; raises what it raised. For calls of Ray's that, in the
    main thread, take Ctrl-C for themselves and end as if workers had died."""
    raised: list[BaseException] = []

    def called() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=called, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=every_seconds)
        tick()
    for error in raised:
        raise error


def _start_private(*, dashboard: bool) -> None:
    store_bytes = int(min(2 * 2**30, 0.15 * psutil.virtual_memory().total))
    if Path("/dev/shm").exists():
        # Ray falls back to a slow disk store, with a warning per object, when shared memory is too small.
        store_bytes = min(store_bytes, int(0.8 * psutil.disk_usage("/dev/shm").free))
    for is_last in (False, True):  # on a busy machine Ray's own processes may take longer than it waits for them
        try:
            with _quiet_stderr():
                ray.init(
                    address="local",
                    include_dashboard=dashboard,
                    dashboard_host="127.0.0.1",
                    object_store_memory=max(store_bytes, 100 * MIB),
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    # A search of two trials takes 14 processes: with Ray's own limit, a CPU each, it would warn of them.
                    _system_config={"worker_maximum_startup_concurrency": _STARTING_WORKERS},
                )
            return
        except Exception as error:  # Ray raises the base class itself here
            ray.shutdown()
            if is_last:
                raise ResourcesError(f"Ray could not start on this machine: {error}") from error


def _connect(address: str) -> None:
    try:
        with _quiet_stderr():
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, ConnectionError, OSError, ValueError) as error:
        raise ResourcesError(
            f"no Ray cluster answers at RAY_ADDRESS={address} (RAY_AUTH_MODE={os.environ.get('RAY_AUTH_MODE')}): {error}. "
            f"Unset RAY_ADDRESS to run on this machine alone."
        ) from error


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Nothing on file descriptor 2 for the time of the block: Ray's C++ core announces its log level there, whatever
    that level is. Errors come as exceptions."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def streamed_rows(dataset: ray.data.Dataset, *, stall_timeout_seconds: int) -> Iterator[pa.Table]:
    """The rows of `dataset`, one at a time, in order of completion. Raises the error of ours that ended it, or one
    that says in a sentence what Ray said in pages."""
    try:
        # No prefetch: Ray fills that window before it hands out the first row, and a killed driver would lose the window.
        for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for index in range(batch.num_rows):
                yield batch.slice(index, 1)
    except (RayError, RayDataUserCodeException, SystemException) as error:
        ours = error_of_ours(error)
        if ours is not None:
            raise ours from error
        if "ExecutionTimeout" in type(error).__name__ or "no progress" in str(error).lower():
            raise ResourcesError(
                f"nothing moved for {stall_timeout_seconds} s, so the run was ended; what was done is kept. Either the "
                f"cluster lost what it needs, or one unit takes longer than pools.stall_timeout_seconds."
            ) from error
        raise NrrayError(
            f"Ray ended the run; what was done is kept. {type(error).__name__}: {_last_line(error)}"
        ) from error


def data_context(*, stall_timeout_seconds: int, store_bytes: int | None = None) -> DataContext:
    """Ray Data as both stages of a run want it: silent, bounded, every row a block of its own, so that it moves on as
    soon as it is done. `store_bytes` bounds what waits between the stages; Ray's own bound is half the object store.
    """
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = stall_timeout_seconds
    context.max_consecutive_actor_init_deaths = 3
    context.max_errored_blocks = 0
    context.target_max_block_size = 1
    context.target_min_block_size = 1
    if store_bytes is not None:
        context.execution_options.resource_limits = ExecutionResources.for_limits(object_store_memory=store_bytes)
    return context


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip() and not line.startswith(" ")]
    return lines[-1] if lines else "no reason given"


def error_of_ours(error: BaseException) -> NrrayError | None:
    """The error of ours that ended a Ray task, found behind Ray's wrappers."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, NrrayError):
            return current
        queue += [getattr(current, "cause", None), current.__cause__, current.__context__]
    return None
