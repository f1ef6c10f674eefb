"""What an examination finds, and what is to be done about it."""

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """The verdict on a finding. Only `fail` stops a run on this machine."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One examined property; `advice` is the remedy, empty where none is needed."""

    name: str
    value: str
    verdict: Verdict = Verdict.OK
    advice: str = ""
