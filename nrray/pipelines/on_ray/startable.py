"""What a private instance of Ray needs of this machine. It is looked at before Ray is started: Ray itself waits for its processes
for minutes, and then shows their stacks, or hangs."""

import os
import resource
import shutil
from pathlib import Path

import psutil
from ray._common.utils import get_default_ray_temp_dir

from nrray.errors import ResourcesError
from nrray.pipelines.on_ray.memory_limit import memory_limit
from nrray.pipelines.on_ray.pools import MIB

LEAST_FREE_BYTES = 64 * MIB  # in Ray's folder: logs and sockets
_SOCKET_BYTES = 107  # of a path, on Linux
_SOCKET_OF_A_SESSION = "session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_SHARED_MEMORY = Path("/dev/shm")


def check_startable() -> None:
    """Raises ResourcesError where Ray's processes would not come up on this machine, or would die of the first work."""
    folder = ray_folder()
    _check_name(folder)
    _check_room(folder)
    check_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def ray_folder() -> Path:
    """Where Ray keeps its sockets, logs and spilled objects: `ray` in RAY_TMPDIR, TMPDIR or /tmp."""
    return Path(get_default_ray_temp_dir())


def check_open_files(limit: int) -> None:
    """Raises ResourcesError where processes may not have enough files open for Ray. On 2 CPUs its raylet dies with 64 and lives
    with 160; it has some for each worker."""
    least = 128 + 16 * (os.cpu_count() or 1)
    if limit != resource.RLIM_INFINITY and limit < least:
        raise ResourcesError(
            f"a process of yours may have {limit} files open at once (ulimit -Hn); Ray's need {least} at least on this machine. "
            f"Raise the limit: ulimit -n {least}, where the system's own limit (limits.conf, LimitNOFILE, docker run --ulimit) "
            f"lets you."
        )


def object_store_bytes() -> int:
    """The size of Ray's store of objects, in bytes."""
    limit = memory_limit()
    memory_bytes = psutil.virtual_memory().total if limit is None else limit.limit_bytes
    num_bytes = int(min(2 * 2**30, 0.15 * memory_bytes))
    if object_store_folder() is None and _SHARED_MEMORY.exists():
        # Ray falls back to a slow disk store, with a warning per object, when shared memory is too small.
        num_bytes = min(num_bytes, int(0.8 * psutil.disk_usage(str(_SHARED_MEMORY)).free))
    return max(num_bytes, 100 * MIB)


def workers_bytes() -> int | None:
    """Memory for workers, in bytes, where a control group limits it; None: what Ray finds."""
    limit = memory_limit()
    if limit is None:
        return None
    return max(0, min(limit.free_bytes, psutil.virtual_memory().available) - object_store_bytes())


def object_store_folder() -> str | None:
    """A folder for Ray's store of objects where it would wait without end for shared memory that cannot be written; None: Ray's
    own choice."""
    if not _SHARED_MEMORY.exists() or _is_writable(_SHARED_MEMORY):
        return None
    return str(ray_folder())


def _check_name(folder: Path) -> None:
    if not str(folder).isascii():
        raise ResourcesError(
            f"Ray's folder would be {folder}: found letters beyond ASCII in its name, which Ray cannot write. Name another "
            f"folder: RAY_TMPDIR=/tmp."
        )
    spare = _SOCKET_BYTES - len(os.fsencode(folder / _SOCKET_OF_A_SESSION))
    if spare < 0:
        raise ResourcesError(
            f"Ray's folder would be {folder}: its name is {-spare} letters too long, as names of sockets in it may have "
            f"{_SOCKET_BYTES} in all. Name a shorter folder: RAY_TMPDIR=/tmp."
        )


def _check_room(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourcesError(
            f"Ray's folder {folder} cannot be made: {error.strerror}. Name another folder: RAY_TMPDIR=DIR."
        ) from error
    if not _is_writable(folder):
        raise ResourcesError(
            f"Ray's folder {folder} cannot be written: it is somebody else's, or on a disk that may only be read. Name another "
            f"folder: RAY_TMPDIR=DIR."
        )
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise ResourcesError(
            f"the disk of Ray's folder {folder} has {free / MIB:.0f} MiB free, and Ray needs {LEAST_FREE_BYTES / MIB:.0f} MiB at "
            f"least for its logs. Make room there, or name a folder of another disk: RAY_TMPDIR=DIR."
        )


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder; root's rights say nothing of a file system that is mounted to be read alone."""
    return os.access(folder, os.W_OK)
