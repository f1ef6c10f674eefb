"""Calls of one function as Ray tasks, a CPU each; results come back one at a time, as they are done."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import ray
from ray.exceptions import RayError

from nrray.errors import NrrayError
from nrray.pipelines.on_ray.ray_errors import error_of_ours, reason_of

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")

_MAX_RETRIES = 2  # of a call whose process died; Ray's own limit is three


@dataclass(frozen=True, kw_only=True)
class CompletedCall(Generic[ArgumentT, ResultT]):
    """An argument and the result of the call with it."""

    argument: ArgumentT
    result: ResultT


def completed_calls(
    call: Callable[[ArgumentT], ResultT], arguments: Sequence[ArgumentT], *, described: Callable[[ArgumentT], str]
) -> Iterator[CompletedCall[ArgumentT, ResultT]]:
    """Each call with one of `arguments`, in order of completion.

    Raises the error of ours that ended a call, else a NrrayError that names the call by its `described` argument.
    """
    task = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES)(_result)
    waiting = {task.remote(call, argument): argument for argument in arguments}
    while waiting:
        (done, *_), _ = ray.wait(list(waiting), num_returns=1)
        argument = waiting.pop(done)
        try:
            result = ray.get(done)
        except RayError as error:
            raise error_of_ours(error) or NrrayError(f"{described(argument)} failed: {reason_of(error)}") from error
        yield CompletedCall(argument=argument, result=result)


def _result(call: Callable[[ArgumentT], ResultT], argument: ArgumentT) -> ResultT:
    return call(argument)
