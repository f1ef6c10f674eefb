"""How much memory the control groups of this process leave it: batch systems, services and containers limit it so. Ray looks
at the outermost group alone."""

from dataclasses import dataclass
from pathlib import Path

import psutil

_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class MemoryLimit:
    """Bytes that a control group may use, and those that it uses and cannot give back at once."""

    limit_bytes: int
    used_bytes: int

    @property
    def free_bytes(self) -> int:
        """What is left of it, never below 0."""
        return max(0, self.limit_bytes - self.used_bytes)


def memory_limit(membership: str | None = None, *, root: Path = _ROOT) -> MemoryLimit | None:
    """The limit that leaves least, among those of this process's control groups (versions 1 and 2) and of the groups around
    them; None where none is below the machine's memory. membership: what /proc/self/cgroup says."""
    if membership is None:
        try:
            membership = Path("/proc/self/cgroup").read_text()
        except OSError:  # no Linux
            return None
    limits = []
    for line in membership.splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top, names = (root, _VERSION_2) if not controllers else (root / controllers, _VERSION_1)
        path = top / group.lstrip("/")
        # The groups around it too. A container sees its own group at the top, and may be told of a path that it cannot see.
        for folder in (path, *path.parents):
            if (found := _read(folder, names)) is not None:
                limits.append(found)
            if folder == top:
                break
    machine_bytes = psutil.virtual_memory().total
    binding = [limit for limit in limits if limit.limit_bytes < machine_bytes]
    return min(binding, key=lambda limit: limit.free_bytes, default=None)


_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")


def _read(folder: Path, names: tuple[str, str, str]) -> MemoryLimit | None:
    limit_name, usage_name, cache_name = names
    try:
        limit, usage = (folder / limit_name).read_text().strip(), (folder / usage_name).read_text()
        counts = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return MemoryLimit(limit_bytes=int(limit), used_bytes=max(0, int(usage) - int(counts.get(cache_name, 0))))
