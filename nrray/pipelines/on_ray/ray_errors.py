"""The reason behind an error of Ray: an error of nrray that Ray has wrapped, or one line of Ray's pages."""

from collections.abc import Iterator
from typing import TypeVar

from ray.exceptions import RayError, RayTaskError

from nrray.errors import NrrayError

ErrorT = TypeVar("ErrorT", bound=BaseException)

RAY_ADVICE = "apply UDF transform"  # Ray Data appends `Failed to`, this and more to the message of a stage's error


def error_of_ours(error: BaseException) -> NrrayError | None:
    """The error of ours that ended a Ray task, found behind Ray's wrappers."""
    for current in errors_behind(error):
        if isinstance(current, NrrayError):
            return _without_advice(current)
    return None


def errors_behind(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it came of. Of a task's error its cause stands for it: it passes for that cause's class, with Ray's
    pages for a message."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, RayTaskError):
            queue.append(current.cause)
        else:
            yield current
        queue += [current.__cause__, current.__context__]


def reason_of(error: RayError) -> str:
    """The class and one line of an error, of its cause where Ray knows that."""
    cause = _without_advice(error.cause) if isinstance(error, RayTaskError) else error
    lines = [line for line in str(cause).strip().splitlines() if line.strip() and not line.startswith(" ")]
    return f"{type(cause).__name__}: {lines[-1] if lines else 'no reason given'}"


def _without_advice(error: ErrorT) -> ErrorT:
    """Ray Data appends advice on its own settings to the message of an error that a stage raised."""
    if error.args and isinstance(error.args[0], str):
        error.args = (error.args[0].split(f"\nFailed to {RAY_ADVICE}")[0], *error.args[1:])
    return error
