"""A node of a cluster dies in the middle of a run: the run goes on, and its tables are those of an undisturbed one."""

import threading
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from nrray.pipelines.cluster import Pools
from nrray.pipelines.console import Reporter
from nrray.pipelines.relabel import RelabelOptions, relabel
from nrray.pipelines.relabel_job import LedgerConfig, RelabelConfig
from nrray.pipelines.relabelled import Relabelled
from nrray.pipelines.scan import ScanConfig, scan
from nrray.plan import Packing
from tests.pipelines.support import assert_same_tables, ledger_units, make_archive, wait_until

QUIET = Reporter(is_json=True)
NUM_UNITS = 40

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster():
    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 200 * 2**20, "include_dashboard": False},
    )
    lost = nodes.add_node(num_cpus=1, object_store_memory=200 * 2**20)
    nodes.wait_for_nodes()
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        yield nodes, lost
    finally:
        ray.shutdown()
        nodes.shutdown()


def run(manifest: str, output: Path) -> Relabelled:
    config = RelabelConfig(
        manifest=manifest,
        output=str(output),
        packing=Packing(max_unit_windows=2),
        ledger=LedgerConfig(file_units=1),
        pools=Pools(decoders=2, labelers=2, stall_timeout_seconds=300),
    )
    return relabel(config, RelabelOptions(retry_failed=True), QUIET)


def test_a_lost_node_costs_nothing(cluster, tmp_path):
    nodes, lost = cluster
    archive = make_archive(tmp_path / "archive", num_videos=4, seconds=21.0)
    manifest = scan(ScanConfig(archive=str(archive), output=str(tmp_path / "scan")), QUIET).manifest
    run(manifest, tmp_path / "undisturbed")
    output = tmp_path / "out"

    def lose_the_node() -> None:
        wait_until(lambda: ledger_units(output) >= 6, what="6 units in the ledger")
        nodes.remove_node(lost, allow_graceful=False)

    loser = threading.Thread(target=lose_the_node)
    loser.start()
    result = run(manifest, output)
    loser.join(timeout=60)
    assert not loser.is_alive()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 1
    assert sum(result.counts.values()) == NUM_UNITS
    assert not result.counts["not_run"]
    # What the node was trying when it died may be a failed row; asked for again, it is done.
    again = run(manifest, output)
    assert again.counts == {"ok": NUM_UNITS, "failed": 0, "quarantined": 0, "not_run": 0}
    assert_same_tables(output, tmp_path / "undisturbed")
