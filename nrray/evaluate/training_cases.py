"""Measured cases that the models behind some labels were trained on: figures on them are too good."""

from collections.abc import Mapping, Sequence

from nrray.archive.cases import Cases
from nrray.archive.splits import path_digest, read_trained_split
from nrray.evaluate.labelling import Labelling
from nrray.results.version import RECORD_FILE, model_folders
from nrray.storage import Folder


def training_notes(
    labellings: Sequence[Labelling], uris: Sequence[str], paths: Sequence[str], cases: Cases
) -> list[str]:
    """A sentence for each labelling in `uris` whose model was trained on some of the videos `paths`."""
    notes, case_of = [], {path: cases.case_of(path) for path in paths}
    for labelling, uri in zip(labellings, uris, strict=True):
        parts = training_cases(uri, case_of)
        learned, chosen = (len(parts.get(part, frozenset())) for part in ("train", "validation"))
        if learned or chosen:
            notes.append(
                f"{labelling.name} was trained on {learned} of these {len(set(case_of.values()))} cases and chosen on {chosen}: "
                f"expect lower figures on other cases. Give the split=... of the model, and part=test."
            )
    return notes


def training_cases(uri: str, case_of: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Split part to the cases that the models behind the labels in `uri` were trained on, found by their names or by their
    videos in the split beside each model; empty without such a split. case_of: path of a video to its case."""
    folder = Folder(uri)
    if not folder.exists(RECORD_FILE):
        folder = folder / "latest"
    if not folder.exists(RECORD_FILE):
        return {}
    found: dict[str, frozenset[str]] = {}
    for model_folder in model_folders(folder):
        for part, cases in _cases_of_model(Folder(model_folder), case_of).items():
            found[part] = found.get(part, frozenset()) | cases
    return found


def _cases_of_model(model: Folder, case_of: Mapping[str, str]) -> dict[str, frozenset[str]]:
    split = read_trained_split(model)
    if split is None:
        return {}
    digests = {path: path_digest(path) for path in case_of}
    return {
        part: frozenset(
            case for path, case in case_of.items() if case in names or digests[path] in split.videos.get(part, ())
        )
        for part, names in split.parts.items()
    }
