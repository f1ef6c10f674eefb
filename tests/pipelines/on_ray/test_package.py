"""Who imports Ray finds its settings chosen, and who does not need Ray neither imports it nor gets a token."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

WITHOUT_RAY = (
    "nrray.cli",
    "nrray.cli.app",
    "nrray.cli.training",
    "nrray.cli.measuring",
    "nrray.evaluate.evaluation",
    "nrray.pipelines.doctor",
    "nrray.pipelines.finetune.job",
    "nrray.pipelines.relabel.job",
    "nrray.pipelines.relabel.report",
    "nrray.pipelines.relabel.status",
    "nrray.pipelines.scan.listing",
    "nrray.pipelines.tune.job",
    "nrray.pipelines.tune.trials",
)
WITH_RAY = (
    "nrray.pipelines.finetune.run",
    "nrray.pipelines.relabel.run",
    "nrray.pipelines.scan.run",
    "nrray.pipelines.simulate",
    "nrray.pipelines.tune.run",
)

_STATE = """
import json, os, sys
mode, token = (os.environ.get(f"RAY_AUTH_{name}") for name in ("MODE", "TOKEN"))
print(json.dumps({"ray": "ray" in sys.modules, "mode": mode, "token": token}))
"""

# A child for each module, forked before anything of it is imported.
_IMPORTED_EACH = """
import importlib, os, sys
for name in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(name)
        {state}
        sys.stdout.flush()
        os._exit(0)
    if os.wait()[1]:
        raise SystemExit(name)
""".format(state="\n        ".join(_STATE.strip().splitlines()))


def run_python(program: str, *arguments: str, **environment: str) -> list[dict[str, Any]]:
    """The lines of JSON that `program` prints in a process without settings of Ray's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(
        command, env={**inherited, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_importing_what_needs_no_ray_neither_imports_it_nor_makes_a_token():
    program = "import " + ", ".join(WITHOUT_RAY) + "\n" + _STATE
    assert run_python(program) == [{"ray": False, "mode": None, "token": None}]


def test_every_verb_on_ray_has_chosen_a_token_of_its_own_when_ray_is_imported():
    states = run_python(_IMPORTED_EACH, *WITH_RAY)
    assert [state["ray"] for state in states] == [True] * len(WITH_RAY)
    assert [state["mode"] for state in states] == ["token"] * len(WITH_RAY)
    assert len({state["token"] for state in states}) == len(WITH_RAY)
    assert all(len(state["token"]) == 64 for state in states)


def test_a_mode_that_the_user_chose_is_kept():
    (state,) = run_python("import nrray.pipelines.simulate\n" + _STATE, RAY_AUTH_MODE="disabled")
    assert (state["mode"], state["token"]) == ("disabled", None)


def test_for_a_cluster_no_token_is_made(tmp_path):
    program = "import nrray.pipelines.simulate\n" + _STATE
    (open_cluster,) = run_python(program, RAY_ADDRESS="127.0.0.1:1", HOME=str(tmp_path))
    assert (open_cluster["mode"], open_cluster["token"]) == ("disabled", None)
    (with_token,) = run_python(program, RAY_ADDRESS="127.0.0.1:1", RAY_AUTH_TOKEN_PATH="/token", HOME=str(tmp_path))
    assert (with_token["mode"], with_token["token"]) == ("token", None)


def test_a_private_ray_leaves_no_token_in_the_home_folder(tmp_path: Path):
    program = """
from nrray.pipelines.on_ray.session import ray_session
import ray
with ray_session():
    assert ray.get(ray.remote(lambda: 1).remote()) == 1
"""
    assert run_python(program, HOME=str(tmp_path)) == []
    assert [file for file in tmp_path.rglob("*") if stat.S_ISREG(file.lstat().st_mode) and "token" in file.name] == []
