"""Pools fit the cluster in all and node by node, and are refused with the settings to lower where they cannot."""

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrray.errors import ResourcesError
from nrray.models import Device
from nrray.pipelines.on_ray.pools import Capacity, Pool, PoolRequest, planned_pools, pools_sentence
from nrray.pipelines.relabel.graph import decoder_request, labeler_request, runs_on_gpu
from nrray.pipelines.workers import Pools
from nrray.wording import counted

GIB, MIB = 2**30, 2**20


def machine(*, cpus: float, gpus: float = 0, gib: float = 64.0) -> Capacity:
    return Capacity(num_cpus=cpus, num_gpus=gpus, memory_bytes=gib * GIB)


def cluster(*nodes: Capacity) -> Capacity:
    return Capacity(
        num_cpus=sum(node.num_cpus for node in nodes),
        num_gpus=sum(node.num_gpus for node in nodes),
        memory_bytes=sum(node.memory_bytes for node in nodes),
        nodes=nodes,
    )


def relabel_pools(capacity: Capacity, *, num_units: int = 1000, **asked: object) -> tuple[Pool, ...]:
    """The pools of a relabelling run that asks for `asked`."""
    pools = Pools.model_validate(asked)
    requests = (decoder_request(pools), labeler_request(pools, on_gpu=runs_on_gpu(Device.AUTO, capacity)))
    return planned_pools(requests, capacity, num_units=num_units)


def requests_of(*names: str, on_gpu: Sequence[str] = (), mib: int = 64) -> list[PoolRequest]:
    return [
        PoolRequest(name=name, count="auto", needs_gpu=name in on_gpu, memory_bytes=mib * MIB, count_setting=name)
        for name in names
    ]


def three_pools(capacity: Capacity, *, on_gpu: Sequence[str] = ()) -> tuple[Pool, ...]:
    return planned_pools(requests_of("decoders", "labelers", "judges", on_gpu=on_gpu), capacity, num_units=1000)


def counts(pools: Sequence[Pool]) -> list[int]:
    return [pool.count for pool in pools]


def test_without_gpus_decoders_and_labelers_share_every_cpu_in_halves():
    decoders, labelers = relabel_pools(machine(cpus=4))
    assert decoders == Pool(name="decoders", count=4, cpus=0.5, gpus=0.0, memory_bytes=768 * MIB)
    assert labelers == Pool(name="labelers", count=4, cpus=0.5, gpus=0.0, memory_bytes=1536 * MIB)
    assert pools_sentence((decoders, labelers)) == "4 decoders and 4 labelers on CPU"


@pytest.mark.parametrize("num_gpus", [1, 8])
def test_with_gpus_each_has_a_labeler_that_reserves_no_cpu_and_each_cpu_a_decoder(num_gpus):
    decoders, labelers = relabel_pools(machine(cpus=16, gpus=num_gpus))
    assert (decoders.count, decoders.cpus, decoders.gpus) == (16, 1.0, 0.0)
    assert (labelers.count, labelers.cpus, labelers.gpus) == (num_gpus, 0.0, 1.0)
    assert pools_sentence((decoders, labelers)) == f"16 decoders and {counted(num_gpus, 'labeler')} on GPU"


def test_a_pool_alone_has_a_worker_per_whole_cpu():
    (probers,) = planned_pools(requests_of("probers"), machine(cpus=3.5), num_units=1000)
    assert (probers.count, probers.cpus) == (3, 1.0)
    assert pools_sentence([probers]) == "3 probers on CPU"


def test_no_pool_has_more_workers_than_there_are_units():
    assert counts(relabel_pools(machine(cpus=4), num_units=1)) == [1, 1]
    assert counts(relabel_pools(machine(cpus=4, gpus=8), num_units=3)) == [3, 3]


def test_counts_that_are_asked_for_are_kept_and_the_others_still_chosen():
    assert counts(relabel_pools(machine(cpus=4), decoders=1)) == [1, 4]
    assert counts(relabel_pools(machine(cpus=4, gpus=2), labelers=1)) == [4, 1]


def test_short_memory_takes_decoders_and_labelers_away_until_they_fit():
    assert counts(relabel_pools(machine(cpus=8, gib=7.0))) == [3, 3]  # 2304 MiB for one of each


def test_short_memory_takes_no_labeler_from_a_gpu():
    assert counts(relabel_pools(machine(cpus=8, gpus=2, gib=4.0))) == [1, 2]  # 1 GiB is left for decoders


def test_counts_that_are_asked_for_do_not_shrink():
    with pytest.raises(ResourcesError, match=r"8 decoders and 8 labelers on CPU do not fit.* 18 GiB of memory of 7\b"):
        relabel_pools(machine(cpus=8, gib=7.0), decoders=8)


def test_too_many_workers_are_refused_with_the_settings_to_lower():
    with pytest.raises(ResourcesError) as refused:
        relabel_pools(machine(cpus=2, gib=8), decoders=50, labelers=2)
    assert str(refused.value) == (
        "50 decoders and 2 labelers on CPU do not fit: they ask for 26 CPUs of 2; 40.5 GiB of memory of 8. Lower "
        "pools.decoders, pools.labelers or their memory (pools.decoder_memory_mib and pools.labeler_memory_mib), or add "
        "nodes or memory (batch systems and containers limit it). They would wait for ever, so nothing was started."
    )


def test_a_pool_without_settings_is_refused_with_the_advice_to_add_nodes():
    big = PoolRequest(name="probers", count="auto", memory_bytes=2 * GIB)
    with pytest.raises(
        ResourcesError,
        match=r"1 prober on CPU do not fit.* of memory of 1\. Add nodes or memory \(batch.* limit it\)\. They",
    ):
        planned_pools([big], machine(cpus=1, gib=1), num_units=9)


def test_a_pool_without_workers_is_refused():
    with pytest.raises(ResourcesError, match="at least one prober is needed"):
        planned_pools([PoolRequest(name="probers", count=0)], machine(cpus=2), num_units=9)


def test_a_cluster_without_a_whole_cpu_is_refused():
    with pytest.raises(ResourcesError, match="at least one CPU is needed to decode"):
        relabel_pools(machine(cpus=0.5))


def test_a_pool_that_needs_gpus_is_refused_where_there_is_none():
    with pytest.raises(ResourcesError, match="judges need a GPU, but the cluster has 2 CPUs, 0 GPUs"):
        three_pools(machine(cpus=2), on_gpu=["judges"])
    with pytest.raises(ResourcesError, match=r"model\.device=cuda, .*: set model\.device=auto or cpu"):
        runs_on_gpu(Device.CUDA, machine(cpus=2))


def test_labelers_run_on_gpus_where_there_are_some_unless_the_config_says_cpu():
    assert runs_on_gpu(Device.AUTO, machine(cpus=2, gpus=1))
    assert not runs_on_gpu(Device.AUTO, machine(cpus=2))
    assert not runs_on_gpu(Device.CPU, machine(cpus=2, gpus=1))


def test_three_pools_without_gpus_share_every_cpu_in_thirds():
    pools = three_pools(machine(cpus=4))
    assert counts(pools) == [4, 4, 4]
    assert {pool.cpus for pool in pools} == {0.3333}  # Ray counts in ten-thousandths, and three are not more than one
    assert pools_sentence(pools) == "4 decoders, 4 labelers and 4 judges on CPU"


@pytest.mark.parametrize(
    ("num_gpus", "labelers", "judges", "share"),
    [(1, 1, 1, 0.5), (2, 1, 1, 1.0), (3, 2, 1, 1.0), (8, 4, 4, 1.0)],
)
def test_two_pools_with_gpus_split_them_evenly_and_a_single_one_in_halves(num_gpus, labelers, judges, share):
    pools = three_pools(machine(cpus=8, gpus=num_gpus), on_gpu=["labelers", "judges"])
    assert counts(pools) == [8, labelers, judges]
    assert [pool.gpus for pool in pools] == [0.0, share, share]
    assert [pool.cpus for pool in pools] == [1.0, 0.0, 0.0]


def test_a_judge_on_cpus_shares_them_with_the_decoders_while_labelers_have_the_gpus():
    pools = three_pools(machine(cpus=8, gpus=2), on_gpu=["labelers"])
    assert [(pool.count, pool.cpus, pool.gpus) for pool in pools] == [(8, 0.5, 0.0), (2, 0.0, 1.0), (8, 0.5, 0.0)]


def test_gpus_that_one_pool_leaves_go_to_the_others():
    labelers = PoolRequest(name="labelers", count=6, needs_gpu=True)
    judges = PoolRequest(name="judges", count="auto", needs_gpu=True)
    assert counts(planned_pools([labelers, judges], machine(cpus=1, gpus=8), num_units=99)) == [6, 2]


def test_workers_of_many_nodes_are_counted_over_all_of_them():
    node = machine(cpus=4, gpus=1, gib=16)
    assert counts(relabel_pools(cluster(node, node, node))) == [12, 3]


def test_workers_that_fit_in_all_but_on_no_node_are_refused():
    nodes = [machine(cpus=2, gib=1.2)] * 4  # 4.8 GiB, but no labeler of 1.5 fits any
    with pytest.raises(ResourcesError, match="more than any way of placing them on the 4 nodes alone"):
        relabel_pools(cluster(*nodes), decoders=1, labelers=1)


def test_a_labeler_finds_its_gpu_node_before_decoders_fill_its_memory():
    gpu_node, cpu_node = machine(cpus=8, gpus=1, gib=2), machine(cpus=2, gib=8)
    assert counts(relabel_pools(cluster(gpu_node, cpu_node), decoders=2, decoder_memory_mib=1024)) == [2, 1]


def test_memory_that_suffices_in_all_but_not_beside_the_gpus_is_refused():
    gpu_nodes, cpu_node = [machine(cpus=1, gpus=1, gib=1)] * 2, machine(cpus=1, gib=30)
    with pytest.raises(ResourcesError, match="more than any way of placing them on the 3 nodes alone"):
        relabel_pools(cluster(*gpu_nodes, cpu_node), decoders=1)


requests = st.lists(
    st.builds(
        PoolRequest,
        name=st.sampled_from(["decoders", "labelers", "judges"]),
        count=st.one_of(st.just("auto"), st.integers(1, 4)),
        needs_gpu=st.booleans(),
        memory_bytes=st.sampled_from([0, 256 * MIB, GIB, 3 * GIB]),
    ),
    min_size=1,
    max_size=4,
)
machines = st.builds(machine, cpus=st.integers(0, 4), gpus=st.integers(0, 3), gib=st.sampled_from([0.5, 4.0, 16.0]))


@given(requests, st.lists(machines, min_size=1, max_size=3), st.integers(1, 6))
def test_planned_workers_fit_their_nodes_and_are_never_more_than_the_units(asked, nodes, num_units):
    try:
        pools = planned_pools(asked, cluster(*nodes), num_units=num_units)
    except ResourcesError:
        return
    assert [pool.name for pool in pools] == [request.name for request in asked]
    assert all(1 <= pool.count <= num_units for pool in pools)
    assert all(
        pool.count == min(request.count, num_units)
        for pool, request in zip(pools, asked, strict=True)
        if request.count != "auto"
    )
    assert can_be_packed(pools, nodes)


@given(requests, st.integers(1, 4), st.integers(0, 8))
def test_with_memory_enough_what_is_left_open_always_fits_one_machine(asked, num_cpus, num_gpus):
    left_open = [PoolRequest(name=r.name, count="auto", needs_gpu=r.needs_gpu and num_gpus > 0) for r in asked]
    pools = planned_pools(left_open, machine(cpus=num_cpus, gpus=num_gpus), num_units=1000)
    assert can_be_packed(pools, [machine(cpus=num_cpus, gpus=num_gpus)])
    if any(pool.gpus for pool in pools):
        assert sum(pool.count * pool.gpus for pool in pools) > num_gpus - 0.01, "a GPU is left idle"


def can_be_packed(pools: Sequence[Pool], nodes: Sequence[Capacity]) -> bool:
    """By trying all ways; on a node, a worker's GPUs are all of one GPU."""

    @cache
    def packed(left: tuple[int, ...], index: int) -> bool:
        if index == len(nodes):
            return not any(left)
        return any(
            packed(tuple(a - b for a, b in zip(left, here, strict=True)), index + 1)
            for here in placements(left, nodes[index])
        )

    def placements(left: tuple[int, ...], node: Capacity) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = [()]
        for most in left:
            found = [(*chosen, number) for chosen in found for number in range(most, -1, -1)]
            found = [chosen for chosen in found if fits(chosen, node)]
        return found

    def fits(chosen: tuple[int, ...], node: Capacity) -> bool:
        taken = list(zip(pools, chosen, strict=False))
        shares = [pool.gpus for pool, number in taken for _ in range(number) if pool.gpus]
        per_gpu = int(1 / max(shares, default=1.0))
        return (
            sum(pool.cpus * number for pool, number in taken) <= node.num_cpus
            and len(shares) <= node.num_gpus * per_gpu
            and sum(pool.memory_bytes * number for pool, number in taken) <= node.memory_bytes
        )

    return packed(tuple(pool.count for pool in pools), 0)
