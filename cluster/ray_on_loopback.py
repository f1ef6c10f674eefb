"""`ray` for a cluster of one machine: `python cluster/ray_on_loopback.py start ...`. All processes listen on 127.0.0.1 alone.

Ray takes 127.0.0.1 for the machine's own address, and its processes then listen on all interfaces. Where Ray knows no clusters
(on Windows and macOS, unless a variable says that it does), it takes 127.0.0.1 for itself. All processes of a node are told
that by the variable; the command itself would then start no second node, so that it is told of the address alone.
"""

import os
import sys

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

from ray._private import ray_constants, services
from ray.scripts.scripts import main


def loopback(address: str | None = None) -> str:
    """In place of the address at which other machines see this one."""
    return "127.0.0.1"


if __name__ == "__main__":
    ray_constants.ENABLE_RAY_CLUSTER = True
    services.get_node_ip_address = loopback
    sys.argv[0] = "ray"
    main()
