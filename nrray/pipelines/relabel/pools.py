"""The pools that relabel asks for: one request per stage of its graph, in the order of the stages."""

from nrray.errors import ResourcesError
from nrray.models import Device
from nrray.pipelines.on_ray.pools import MIB, Capacity, PoolRequest
from nrray.pipelines.workers import Pools


def runs_on_gpu(device: Device, capacity: Capacity) -> bool:
    """Whether labelers get GPUs. Raises ResourcesError where the config wants some and the cluster has none."""
    if device is Device.CUDA and capacity.num_gpus < 1:
        raise ResourcesError(f"model.device=cuda, but the cluster has {capacity}: set model.device=auto or cpu")
    return device is Device.CUDA or (device is Device.AUTO and capacity.num_gpus >= 1)


def pool_requests(pools: Pools, *, on_gpu: bool) -> tuple[PoolRequest, ...]:
    """Decoders on CPUs, labelers on GPUs or CPUs."""
    return (
        PoolRequest(
            name="decoders",
            count=pools.decoders,
            memory_bytes=pools.decoder_memory_mib * MIB,
            count_setting="pools.decoders",
            memory_setting="pools.decoder_memory_mib",
        ),
        PoolRequest(
            name="labelers",
            count=pools.labelers,
            needs_gpu=on_gpu,
            memory_bytes=pools.labeler_memory_mib * MIB,
            count_setting="pools.labelers",
            memory_setting="pools.labeler_memory_mib",
        ),
    )
