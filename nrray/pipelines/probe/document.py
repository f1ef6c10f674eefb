"""The content of probe.json as a type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from nrray.documents import Document, document_from
from nrray.errors import DataError
from nrray.evaluate.hallucination import CaptionHallucination, Hallucination
from nrray.metrics.jackknife import Value
from nrray.models.shown import Shown
from nrray.pipelines.probe.job import ProbeConfig
from nrray.storage import Folder

PROBE_FILE = "probe.json"


@dataclass(frozen=True, kw_only=True)
class YesRates:
    """Of one activity and condition, the share of plain answers that claim it: in windows of which the video has it, and in the
    others; unparsed: the share of answers that could not be read."""

    where_present: Value
    where_absent: Value
    unparsed: Value


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Of the scores of one activity: Brier score and expected calibration error in ten bins; None where there are none."""

    brier: Value | None
    error: Value | None


class ProbeDocument(Document):
    """Mappings are by activity, and first by condition where there are conditions. contradiction: of windows that were answered
    plainly twice, in two wordings, the share of contradicting answers; None where there was one wording. captions: None of a
    strategy that asks for none."""

    newest_version: ClassVar[int] = 1

    candidate: str
    settings: ProbeConfig
    strategy: str
    num_cases: int
    num_windows: int
    hallucination: Hallucination
    shown: Mapping[Shown, Mapping[str, YesRates]]
    contradiction: Mapping[str, Value] | None
    captions: CaptionHallucination | None
    calibration: Mapping[str, Calibration]
    notes: tuple[str, ...]


def read_probe(folder: str) -> ProbeDocument:
    """The document in the output of `nrray probe`. Raises DataError, StorageError."""
    try:
        data = Folder(folder).read_json(PROBE_FILE)
    except FileNotFoundError:
        raise DataError(f"{folder}: found no {PROBE_FILE}. Give the output of `nrray probe`.") from None
    return document_from(ProbeDocument, data, name=PROBE_FILE, folder=folder)
