"""The installed Ray has all that nrray uses of it: run this file alone against a new Ray (docs/contributing.md). Starts no
Ray; reads the uses from nrray's sources, so that a new one is checked as soon as it is written."""

import importlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.data
import ray.train
import ray.tune
from ray._private.node import Node
from ray.train import ControllerError
from ray.tune.experiment import Trial

from nrray.pipelines.job_folder import JOB_FOLDER
from nrray.pipelines.on_ray.ray_errors import RAY_ADVICE, error_of_ours
from tests.pipelines.on_ray.ray_uses import Call, RayUses, modules_that_import_ray, uses_of_ray

# Names without a promise that they stay, each with a reason to use them. Another one is added here with its reason.
NOT_PUBLIC = {
    "ray.__version__": "a cluster of another Ray is told by name",
    "ray._private.grpc_utils.init_grpc_channel": "a cluster is asked with Ray's own token and certificates",
    "ray._private.ray_constants": "of the one below",
    "ray._private.ray_constants.ENABLE_RAY_CLUSTER": "a private instance binds to loopback alone; no other way to have that",
    "ray._private.ray_constants.PROCESS_TYPE_GCS_SERVER": "the name of a process that a run does not outlive",
    "ray._private.ray_constants.PROCESS_TYPE_RAYLET": "the name of a process that a run does not outlive",
    "ray._private.worker": "of the two below",
    "ray._private.worker._global_node": "the processes of a private instance, and where they listen and log",
    "ray._private.worker.print_to_stdstream": "what Ray prints between our lines goes into the run's log",
    "ray._common.utils.get_default_ray_temp_dir": "where sockets will lie, whose names may be too long",
    "ray._private.services": "of the two below",
    "ray._private.services.canonicalize_bootstrap_address": "the address that `auto` stands for, as ray.init finds it",
    "ray._private.services.find_node_ids": "whether this machine is a node, without which ray.init waits for a minute",
    "ray._private.state": "of the one below",
    "ray._private.state.actors": "how often workers were started again; the public state API needs the dashboard",
    "ray.cluster_resources": "the planner's capacity",
    "ray.nodes": "the planner's capacity node by node; the public state API needs the dashboard",
    "ray.data.DataContext": "fields that bound a run and its crashes; no other way to set them",
    "ray.data.exceptions.ExecutionTimeoutError": "a run in which nothing moves",
    "ray.train.v2._internal.exceptions.WorkerGroupStartupFailedError": "workers that the cluster has no room for",
    "ray.train.v2._internal.exceptions.WorkerGroupStartupTimeoutError": "workers that the cluster has no room for",
    "ray.tune.schedulers.TrialScheduler": "the decisions of a scheduler",
    "ray.tune.search.Searcher": "a type alone",
}

# Methods of Ray's objects: the class that has them. The reader of sources knows a method only by its last name.
METHODS: dict[str, list[Any]] = {
    ".map_batches": [ray.data.Dataset],
    ".iter_batches": [ray.data.Dataset],
    ".get_trial_id": [ray.tune.TuneContext],
    ".get_world_rank": [ray.train.TrainContext],
    ".get_world_size": [ray.train.TrainContext],
    ".get_error": [Trial],
    ".dead_processes": [Node],
    ".get_logs_dir_path": [Node],
    ".get_session_dir_path": [Node],
}

TAKES_BY_TEXT = {"ray.init", "ray.remote"}  # private settings and options, out of `**kwargs`
TAKES_ANY = {"ray.tune.with_parameters"}  # and hands them on


@pytest.fixture(scope="module")
def uses() -> RayUses:
    return uses_of_ray()


def resolved(name: str) -> Any:
    """The object of a dotted name; raises ImportError or AttributeError."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


def refused_keywords(call: Call, function: Any) -> set[str]:
    """Of the call's keywords, those that the function does not name: as parameters, or in its text where it takes any."""
    if call.name in TAKES_ANY or not call.keywords:
        return set()
    unknown = call.keywords - set(inspect.signature(function).parameters)
    return {name for name in unknown if call.name not in TAKES_BY_TEXT or name not in inspect.getsource(function)}


def stability(name: str) -> str:
    """PublicAPI, DeveloperAPI, Deprecated or none, as Ray marks the name or the class that it belongs to."""
    found = resolved(name)
    while not inspect.ismodule(found):
        kind = vars(found).get("_annotated_type") if hasattr(found, "__dict__") else None
        if kind is not None:
            return str(kind.value)
        name = name.rpartition(".")[0]
        found = resolved(name)
    return "module"  # a name that is not marked counts as public where its module is


def test_every_name_is_there(uses):
    assert len(uses.names) > 40
    missing = {}
    for name, where in uses.names.items():
        try:
            resolved(name)
        except (ImportError, AttributeError) as error:
            missing[name] = f"{where}: {error}"
    assert not missing


def test_names_that_may_go_without_notice_are_listed_with_a_reason(uses):
    public = {name for name in uses.names if stability(name) in ("PublicAPI", "module") and "._" not in name}
    classes = {name for name in NOT_PUBLIC if inspect.isclass(resolved(name))}
    members = {name for name in uses.names if name.rpartition(".")[0] in classes}
    assert set(uses.names) - public - members == set(NOT_PUBLIC)


def test_nothing_that_is_deprecated_is_used(uses):
    assert [name for name in uses.names if stability(name) == "Deprecated"] == []


def test_calls_give_no_keyword_that_ray_does_not_take(uses):
    checked, unknown = 0, {}
    for call in uses.calls:
        owners = METHODS.get(call.name, [])
        functions = [getattr(owner, call.name[1:]) for owner in owners] if owners else []
        if not call.name.startswith("."):
            functions = [resolved(call.name)]
        for function in functions:
            checked += 1
            if rest := refused_keywords(call, function):
                unknown[call.where] = f"{call.name}: {sorted(rest)}"
    assert checked > 30
    assert not unknown


def test_the_methods_of_rays_objects_are_called(uses):
    assert METHODS.keys() <= {call.name for call in uses.calls}


def test_hooks_of_subclasses_are_called_by_ray_with_these_parameters(uses):
    assert {hook.method for hook in uses.hooks} >= {
        "choose_trial_to_run",
        "on_trial_result",
        "on_trial_error",
        "stop_all",
    }
    for hook in uses.hooks:
        theirs = getattr(resolved(hook.base), hook.method)
        assert tuple(list(inspect.signature(theirs).parameters)[1:])[: len(hook.parameters)] == hook.parameters, hook


def test_fields_of_the_data_context_are_there(uses):
    assert len(uses.context_fields) >= 8
    context = ray.data.DataContext()
    for path in uses.context_fields:
        owner: Any = context
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        assert hasattr(owner, name), path


@cache
def sources_of_ray() -> tuple[bytes, ...]:
    root = Path(inspect.getfile(ray)).parent
    files = [
        file
        for file in root.rglob("*.py")
        if not {"rllib", "examples", "tests", "serve", "llm", "thirdparty_files"} & set(file.relative_to(root).parts)
    ]
    return tuple(file.read_bytes() for file in [*files, *root.glob("_raylet*")])


def is_in_sources(text: str) -> bool:
    return any(text.encode() in source for source in sources_of_ray())


def test_environment_variables_are_known_to_ray(uses):
    assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"} <= uses.variables
    assert [name for name in sorted(uses.variables) if not is_in_sources(name)] == []


def test_keys_of_the_system_config_are_known_to_ray(uses):
    assert uses.system_config == {"worker_maximum_startup_concurrency"}
    assert all(is_in_sources(key) for key in uses.system_config)


def test_texts_that_nrray_knows_ray_by_are_in_its_sources():
    assert all(is_in_sources(text) for text in (*JOB_FOLDER.split("/"), RAY_ADVICE, '"Alive"', '"Resources"'))


def test_errors_of_ray_hold_their_causes():
    failure = ValueError("no room")
    assert ControllerError(failure).controller_failure is failure
    assert ray.exceptions.RayTaskError("task", "pages of text", failure).cause is failure
    assert issubclass(ray.train.ControllerError, ray.train.TrainingFailedError)
    assert error_of_ours(ray.exceptions.RayTaskError("task", "pages of text", failure)) is None


def test_a_trial_of_tune_has_an_id():
    assert "trial_id" in inspect.signature(Trial).parameters


def test_ray_is_imported_by_its_box_and_by_the_loop_that_bench_compares_with():
    outside = {path for path in modules_that_import_ray() if not path.startswith("pipelines/on_ray/")}
    assert outside == {"pipelines/bench/loops.py"}
