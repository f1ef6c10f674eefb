"""The memory that control groups leave a process, in both versions of their files, whichever group around it is the closest."""

import pytest

from nrray.pipelines.on_ray.memory_limit import MemoryLimit, memory_limit

MIB = 2**20
V1 = "11:memory:{group}\n4:cpu,cpuacct:/elsewhere\n1:name=systemd:/x\n0::/x\n"
V2 = "0::{group}\n"


def group(folder, *, version, limit_mib, used_mib=0, cache_mib=0):
    """A control group's files, as the kernel writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    limit = (
        0x7FFFFFFFFFFFF000 if limit_mib is None and version == 1 else "max" if limit_mib is None else limit_mib * MIB
    )
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }
    limit_name, usage_name, cache_name = names[version]
    (folder / limit_name).write_text(f"{limit}\n")
    (folder / usage_name).write_text(f"{used_mib * MIB}\n")
    (folder / "memory.stat").write_text(f"cache 7\n{cache_name} {cache_mib * MIB}\nhierarchical_memsw_limit 1 \n")


@pytest.mark.parametrize(("version", "membership"), [(1, V1), (2, V2)])
class TestBothVersions:
    def top(self, root, version):
        return root / "memory" if version == 1 else root

    def test_the_group_that_leaves_least_counts_and_cache_is_free(self, tmp_path, version, membership):
        top = self.top(tmp_path, version)
        group(top, version=version, limit_mib=None)
        group(top / "jobs", version=version, limit_mib=1000, used_mib=900, cache_mib=100)
        group(top / "jobs/mine", version=version, limit_mib=500, used_mib=100, cache_mib=40)
        found = memory_limit(membership.format(group="/jobs/mine"), root=tmp_path)
        assert found == MemoryLimit(limit_bytes=1000 * MIB, used_bytes=800 * MIB)
        assert found.free_bytes == 200 * MIB

    def test_a_container_sees_its_group_at_the_top(self, tmp_path, version, membership):
        group(self.top(tmp_path, version), version=version, limit_mib=300, used_mib=400)
        found = memory_limit(membership.format(group="/docker/not/here"), root=tmp_path)
        assert found.limit_bytes == 300 * MIB
        assert found.free_bytes == 0

    def test_no_limit_is_none(self, tmp_path, version, membership):
        assert memory_limit(membership.format(group="/jobs"), root=tmp_path) is None
        group(self.top(tmp_path, version) / "jobs", version=version, limit_mib=None)
        assert memory_limit(membership.format(group="/jobs"), root=tmp_path) is None
        group(self.top(tmp_path, version) / "jobs", version=version, limit_mib=1 << 30)  # a petabyte
        assert memory_limit(membership.format(group="/jobs"), root=tmp_path) is None
