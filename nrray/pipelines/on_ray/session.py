"""Ray for the time of a verb: a private instance on this machine, or the cluster that RAY_ADDRESS names."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import psutil
import ray
from ray._private import ray_constants, worker
from ray.exceptions import RayError
from ray.job_config import JobConfig

from nrray.console.run_record import LOGGER
from nrray.errors import ResourcesError
from nrray.isolation import FixedPath
from nrray.pipelines.on_ray.answering import check_answers
from nrray.pipelines.on_ray.lost_ray import CORE, ClusterLoss, ended_with_ray, full_disk, private_loss, way_on
from nrray.pipelines.on_ray.nodes import check_nodes
from nrray.pipelines.on_ray.startable import (
    check_startable,
    object_store_bytes,
    object_store_folder,
    ray_folder,
    workers_bytes,
)
from nrray.pipelines.on_ray.watcher import Start, Watcher, watched

_STARTING_WORKERS = 16
_STUCK_AFTER_SECONDS = 30.0
_INTERRUPTED = threading.Event()


@contextmanager
def ray_session(*, dashboard: bool = False) -> Iterator[None]:
    """Ray for the time of the block: the cluster of RAY_ADDRESS where it is set (a Ray job has it), else a private
    instance on this machine, on loopback, with a token of its own. Within a running session it is that session. A block that
    raises leaves Ray running until the process ends.

    Raises ResourcesError where no Ray can be had: within seconds where nothing answers at RAY_ADDRESS, and where a node of that
    cluster has no nrray, or another one; RayLostError where it ends in mid-block, by itself or because the disk of its folder is
    full.
    """
    if ray.is_initialized():
        yield
        return
    for name in ("ray", "ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    worker.print_to_stdstream = (
        _noted  # of processes that died, with their stacks, between our lines or into our document
    )
    address = os.environ.get("RAY_ADDRESS", "").strip()
    is_private = address in ("", "local")
    if is_private:
        check_startable()
    else:
        check_answers(address)
    start = Start(needed=tuple(CORE) if is_private else (), folder=str(ray_folder()), way_on=way_on())
    with watched(start) as watcher:
        loss: Callable[[], str | None] = private_loss
        if is_private:
            _start_private(watcher, dashboard=dashboard)
        else:
            _connect(address)
            check_nodes()
            loss = ClusterLoss.of_connection()
        watcher.has_started()
        # After an error Ray ends with the process: while a graph still runs, shutting down may end the process at once, before
        # the error is printed.
        with ended_with_ray(loss, explained=full_disk, is_interrupted=_INTERRUPTED.is_set, before_exit=watcher.is_over):
            yield
        ray.shutdown()


@contextmanager
def terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM (sent by `ray job stop`, 3 s before SIGKILL) ends a run like Ctrl-C: pending results are written. Both end it even
    where a library caught the interrupt: the next `watched_call` raises it again. Enter it within `ray_session`: starting Ray
    sets a handler of its own."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        _INTERRUPTED.set()
        raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: the caller has its own signals
        yield
        return
    _INTERRUPTED.clear()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _INTERRUPTED.clear()


def watched_call(call: Callable[[], object], *, tick: Callable[[], None], every_seconds: float = 1.0) -> None:
    """Run `call` in a thread and `tick` in this one until it ends; raises its exception. For calls of Ray that, in the
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
        if _INTERRUPTED.is_set():
            raise KeyboardInterrupt
        tick()
    for error in raised:
        raise error


def _start_private(watcher: Watcher, *, dashboard: bool) -> None:
    for is_last in (False, True):  # on a busy machine Ray's own processes may take longer than it waits for them
        try:
            _init_private(dashboard=dashboard)
            return
        except Exception as error:  # Ray raises the base class itself where a process of its own does not come up
            ray.shutdown()
            check_startable()  # its disk may have filled up meanwhile
            if is_last:
                raise ResourcesError(f"Ray could not start on this machine: {error}") from error
            watcher.begin_again()


def _init_private(*, dashboard: bool) -> None:
    with _quiet_stderr(), _stuck_children_killed(), _loopback_alone():
        ray.init(
            address="local",
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            object_store_memory=object_store_bytes(),
            _memory=workers_bytes(),
            _plasma_directory=object_store_folder(),
            log_to_driver=False,
            logging_level=logging.ERROR,
            job_config=_isolated_job(),
            # A search of two trials takes 14 processes: with Ray's own limit, a CPU each, it would warn of them.
            _system_config={"worker_maximum_startup_concurrency": _STARTING_WORKERS},
        )


def _connect(address: str) -> None:
    try:
        with _quiet_stderr():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, job_config=_isolated_job())
    except (RayError, RuntimeError, OSError, ValueError) as error:
        raise ResourcesError(
            f"RAY_ADDRESS={address}: the cluster answers, and Ray could not connect to it: {error}. Unset RAY_ADDRESS to run on "
            f"this machine alone."
        ) from error


def _isolated_job() -> JobConfig:
    """Workers of this job look for modules where this process does: Ray would put the working folder before everything."""
    job = JobConfig()
    job._py_driver_sys_path = FixedPath()
    return job


def _noted(data: dict[str, Any], ignore_prefix: bool) -> None:
    """What Ray would print about its processes goes into the run's log."""
    LOGGER.info("Ray (%s): %s", data.get("pid"), "\n".join(data["lines"]))


@contextmanager
def _stuck_children_killed() -> Iterator[None]:
    """Ends, for the time of the block, new children that are a copy of this process for longer than `_STUCK_AFTER_SECONDS`.

    Ray runs Python between fork and exec of its processes (`preexec_fn`). Where another thread of this process held a lock
    at the fork, the child waits for it without end, and Popen waits for the child; once the child is dead, Ray notices.
    """
    this = psutil.Process()
    command, before = this.cmdline(), {child.pid for child in this.children()}
    is_over = threading.Event()

    def copies() -> set[psutil.Process]:
        found = set()
        for child in this.children():
            with suppress(psutil.Error):
                if child.pid not in before and child.cmdline() == command:
                    found.add(child)
        return found

    def watch() -> None:
        known: set[psutil.Process] = set()
        while not is_over.wait(_STUCK_AFTER_SECONDS):
            current = copies()
            for child in known & current:
                with suppress(psutil.Error):
                    child.kill()
            known = current

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


@contextmanager
def _loopback_alone() -> Iterator[None]:
    """A Ray that is started in the block binds every port of its own to loopback: as where Ray knows no clusters, it takes
    127.0.0.1 for the node's address, and its processes listen on that alone. With the address of this machine, all of them
    listen on all interfaces. Workers that start later have the node's address."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


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
