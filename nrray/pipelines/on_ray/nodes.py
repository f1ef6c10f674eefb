"""Whether the nodes of a cluster have this nrray: told before work is sent there."""

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nrray import __version__
from nrray.errors import ResourcesError
from nrray.wording import counted

_ANSWER_SECONDS = 60.0


def check_nodes() -> None:
    """Ask a worker of every node on which there may be work. One that does not answer in time, or dies, is passed over: whoever
    needs it waits for it, and says so. Raises ResourcesError where a node has no nrray, or another version."""

    def version() -> str | None:  # within this function, so that it is sent whole, not by the name of this module
        try:
            import nrray
        except ImportError:
            return None
        return nrray.__version__

    asked = {}
    for node in ray.nodes():
        if node["Alive"] and (node["Resources"].get("CPU", 0) or node["Resources"].get("GPU", 0)):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(version).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
            asked[task.remote()] = str(node["NodeManagerAddress"])
    if not asked:
        return
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_SECONDS)
    differing = []
    for answer in answered:
        try:
            found = ray.get(answer)
        except RayError:
            continue
        if found != __version__:
            differing.append(f"{asked[answer]} ({'none' if found is None else found})")
    if differing:
        raise ResourcesError(
            f"found another nrray, or none, on {counted(len(differing), 'node')} of the cluster: {', '.join(differing[:5])}; "
            f"expected {__version__}, which this is. Install the same on all nodes, in the Python that `ray start` runs in there."
        )
