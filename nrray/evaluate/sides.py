"""Two values of one kind: the candidate's and the reference's."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Sides(Generic[T]):
    """One value of each side of an evaluation."""

    candidate: T
    reference: T
