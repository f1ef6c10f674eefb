"""A private instance of Ray is private: its ports are on loopback, its token is nowhere to be read, and no module of the working
folder is imported by a process of it."""

import json
import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from ray.job_config import JobConfig

from nrray.isolation import PACKAGE_PARENT
from tests.marker_modules import lay_markers, left_marks

SCRIPT = """
import json, os, sys
from nrray.pipelines.on_ray.session import ray_session
import psutil, ray

def looked_around():
    import importlib, sys, time
    time.sleep(2)  # while the driver looks at sockets
    for name in ("av", "multiprocessing", "logging.config"):
        importlib.import_module(name)
    return sys.path

with ray_session(dashboard=len(sys.argv) > 1):
    pending = ray.remote(looked_around).options(num_cpus=0.1).remote()
    ray.wait([pending], timeout=1)
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening, commands = [], []
    for process in processes:
        try:
            commands.append(process.cmdline())
            listening += [
                [process.name(), found.laddr.ip] for found in process.net_connections("inet") if found.status == "LISTEN"
            ]
        except psutil.Error:
            pass
    print(json.dumps({
        "path": ray.get(pending),
        "listening": listening,
        "commands": commands,
        "token": os.environ["RAY_AUTH_TOKEN"],
        "folder": ray._private.worker._global_node.get_session_dir_path(),
    }))
"""


@pytest.fixture(scope="module", params=["", "dashboard"])
def instance(request, tmp_path_factory):
    """The facts of an instance that was started in a hostile working folder."""
    folder = tmp_path_factory.mktemp("archive")
    lay_markers(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    finished = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, *filter(None, [request.param])],
        cwd=folder,
        env={**environment, "PYTHONPATH": PACKAGE_PARENT, "RAY_ADDRESS": "", "RAY_raylet_start_wait_time_s": "300"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return folder, json.loads(finished.stdout.splitlines()[-1])


def test_no_process_listens_beyond_loopback(instance):
    _, facts = instance
    addresses = [ip_address(address) for _, address in facts["listening"]]
    assert len(addresses) >= 6, "the store of state, the raylet, its agents, the driver and workers"
    far = [address for address in addresses if not (getattr(address, "ipv4_mapped", None) or address).is_loopback]
    assert not far, facts["listening"]


def test_no_process_takes_modules_from_the_working_folder(instance):
    folder, facts = instance
    assert str(folder) not in facts["path"]
    assert left_marks(folder) == []


def test_the_token_stands_in_no_argument_and_in_no_log(instance):
    _, facts = instance
    assert len(facts["token"]) >= 32
    assert not [command for command in facts["commands"] if facts["token"] in " ".join(command)]
    logs = [file for file in Path(facts["folder"], "logs").rglob("*") if file.is_file()]
    assert len(logs) > 5
    assert not [file for file in logs if facts["token"].encode() in file.read_bytes()]


def test_ray_has_the_list_that_is_fixed():
    assert JobConfig()._py_driver_sys_path == []
