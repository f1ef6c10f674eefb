"""Two nodes share the work, and one of them dies in the middle of it: what is left behind is what an undisturbed run
leaves."""

import threading
from pathlib import Path

import numpy as np
import pytest
import ray
from ray._private.node import Node
from ray._private.ray_constants import PROCESS_TYPE_RAYLET
from ray.cluster_utils import Cluster

from nrray.config import validate_mapping
from nrray.console.reporter import Reporter
from nrray.pipelines.finetune.run import run_finetune
from nrray.pipelines.relabel.job import LedgerConfig, RelabelConfig
from nrray.pipelines.relabel.report import Relabelled
from nrray.pipelines.relabel.run import RelabelOptions, relabel
from nrray.pipelines.scan.run import ScanConfig, scan
from nrray.pipelines.simulate import simulate
from nrray.pipelines.study.document import StudyDocument
from nrray.pipelines.study.job import StudyConfig
from nrray.pipelines.study.run import run_study
from nrray.pipelines.tune.run import run_tune
from nrray.pipelines.tune.trials import TrialStatus
from nrray.pipelines.workers import Pools
from nrray.plan import Packing
from nrray.simulate import SimulateConfig
from nrray.storage import Folder
from tests.pipelines.study.made_study import figures, study_settings
from tests.pipelines.support import assert_same_tables, descendants, ledger_units, make_archive, wait_until
from tests.pipelines.training_support import (
    config_of,
    losses,
    make_annotated_archive,
    settings,
    starts,
    tune_config_of,
)

QUIET = Reporter(is_json=True)
NUM_UNITS = 40

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def annotated_archive(tmp_path_factory):
    return make_annotated_archive(tmp_path_factory.mktemp("annotated"))


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


def working(node: Node, text: str) -> bool:
    """Whether a worker of `node` is at a task whose name holds `text`."""
    raylet = node.all_processes[PROCESS_TYPE_RAYLET][0].process.pid
    return bool(descendants(raylet, text))


def test_cases_are_drawn_on_both_nodes_and_a_lost_one_costs_nothing(cluster, tmp_path):
    nodes, lost = cluster

    def config(output: Path) -> SimulateConfig:
        return SimulateConfig(output=str(output), num_cases=6, case_seconds=60.0, videos_per_case=1, seed=5)

    simulate(config(tmp_path / "undisturbed"), QUIET)

    def lose_the_node() -> None:
        wait_until(
            lambda: all(working(node, "_rendered") for node in (nodes.head_node, lost)), what="drawing on both nodes"
        )
        nodes.remove_node(lost, allow_graceful=False)

    loser = threading.Thread(target=lose_the_node)
    loser.start()
    drawn = simulate(config(tmp_path / "out"), QUIET)
    loser.join(timeout=60)
    assert not loser.is_alive()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 1
    assert drawn.num_videos == 6
    expected, found = files_of(tmp_path / "undisturbed"), files_of(tmp_path / "out")
    assert found.keys() == expected.keys()
    assert all(found[name] == expected[name] for name in expected if name.endswith(".mp4"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


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


def test_a_training_goes_on_with_the_workers_that_are_left(annotated_archive, cluster, tmp_path):
    nodes, lost = cluster
    output, alone = tmp_path / "out", tmp_path / "alone"
    elastic = {"workers__num_workers": 2, "workers__min_workers": 1, "workers__decoders": 1}
    states = Folder(str(output / "checkpoints"))

    def lose_the_node() -> None:
        wait_until(lambda: states.names(".safetensors")[-1:] >= ["step-00000006"], what="step 6")
        nodes.remove_node(lost, allow_graceful=False)

    loser = threading.Thread(target=lose_the_node)
    loser.start()
    run_finetune(config_of(settings(annotated_archive, output, **elastic)), QUIET)
    loser.join(timeout=60)
    assert not loser.is_alive()
    assert [workers for _, workers in starts(output)] == [2, 1]
    run_finetune(config_of(settings(annotated_archive, alone, workers__num_workers=1, workers__decoders=1)), QUIET)
    assert [workers for _, workers in starts(alone)] == [1]
    ours, theirs = losses(output), losses(alone)
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose([ours[key] for key in theirs], list(theirs.values()), rtol=1e-3, atol=1e-5)


def test_a_search_that_loses_a_node_accounts_for_every_trial(annotated_archive, cluster, tmp_path):
    nodes, lost = cluster
    output = tmp_path / "out"
    search = {
        "space__rank": "[2, 4]",
        "space__learning_rate": "{low: 1.0e-4, high: 1.0e-2, scale: log}",
        "search__num_trials": 4,
        "search__grace_percent": 100,  # none is given up
        "workers__num_workers": 1,
        "workers__decoders": 1,
    }

    def lose_the_node() -> None:
        wait_until(lambda: len(running_trials(output)) == 2, what="a trial on each node")
        nodes.remove_node(lost, allow_graceful=False)

    loser = threading.Thread(target=lose_the_node)
    loser.start()
    result = run_tune(tune_config_of(settings(annotated_archive, output, **search)), QUIET)
    loser.join(timeout=60)
    assert not loser.is_alive()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 1
    assert [trial.status for trial in result.trials] == [TrialStatus.FINISHED] * 4
    assert sum(len(starts(trial.folder)) for trial in result.trials) > 4  # one at least began again
    assert all(trial.steps == trial.num_steps for trial in result.trials)
    wait_until(
        lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"],
        timeout_seconds=60,
        what="everything to be free",
    )


def test_a_study_that_loses_a_node_has_the_table_of_one_that_did_not(cluster, tmp_path):
    nodes, lost = cluster
    made = study_settings(tmp_path / "archive", output=tmp_path / "whole")
    trained, asked = made["rows"]
    training = {**trained["finetune"], "training": {**trained["finetune"]["training"], "num_steps": 8}}
    workers = {"num_workers": 1, "decoders": 1}  # pools are sized anew for each row, by what is left
    rows = [{**trained, "finetune": training, "workers": workers}, asked]

    def study(output: Path) -> StudyDocument:
        config = validate_mapping(StudyConfig, {**made, "rows": rows, "output": str(output)}, where="test")
        return run_study(config, QUIET).document

    whole = study(tmp_path / "whole")
    output = tmp_path / "out"
    states = Folder(str(output / "rows/trained/seed-0/training/checkpoints"))

    def lose_the_node() -> None:
        wait_until(lambda: states.names(".safetensors"), what="a state of the training")
        nodes.remove_node(lost, allow_graceful=False)

    loser = threading.Thread(target=lose_the_node)
    loser.start()
    found = study(output)
    loser.join(timeout=60)
    assert not loser.is_alive()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 1
    assert not found.missing, found.missing
    assert figures(found) == figures(whole)
    assert found.differences == whole.differences


def running_trials(output: Path) -> list[Path]:
    """Trials that have saved a state and are not at their end."""
    states = (output / "trials").glob("*/checkpoints/*.safetensors")
    return sorted({state.parent.parent for state in states if not (state.parent.parent / "adapter").exists()})
