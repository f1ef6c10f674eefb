"""nrray.yaml: where the things of a project lie, so that no verb has to be told them again. Knows no verb's code.

The file of the working folder alone is read: one that lies elsewhere, such as in an archive, changes nothing.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field

from nrray.config import Section, read_mapping, validate_mapping
from nrray.errors import DataError
from nrray.storage import absolute_uri, located, storage_errors

PROJECT_FILE = "nrray.yaml"

_ARCHIVE = {"manifest": "manifest", "label_set": "label_set"}
_TRAINED = {**_ARCHIVE, "annotations": "annotations", "cases": "cases", "split": "split"}
_MEASURED = {"reference": "annotations", "cases": "cases", "split": "split", "label_set": "label_set"}
_TAKEN: dict[str, dict[str, str]] = {
    "scan": {"archive": "archive", "cases": "cases", "output": "scan"},
    "import": {**_ARCHIVE, "output": "annotations"},
    "export": {"input": "labels/latest", "manifest": "manifest", "output": "exported"},
    "split": {**_ARCHIVE, "annotations": "annotations", "cases": "cases", "output": "split"},
    "relabel": {**_ARCHIVE, "output": "labels"},
    "calibrate": {"labels": "labels", **_MEASURED, "output": "calibration"},
    "probe": {**_MEASURED, "manifest": "manifest", "output": "probe"},
    "finetune": {**_TRAINED, "output": "finetuned"},
    "tune": {**_TRAINED, "output": "tuned"},
    "evaluate": {"candidate": "labels", **_MEASURED, "manifest": "manifest", "output": "evaluation"},
    "compare": {**_MEASURED, "output": "comparison"},
    "study": {**_TRAINED, "output": "study"},
}
"""Verb to its settings that a project gives, each with what it is: a key of the project, or a name in its output."""
_IF_THERE = {
    ("split", "annotations"),
    ("evaluate", "split"),
    ("compare", "split"),
    ("probe", "split"),
    ("calibrate", "split"),
}


class Project(Section):
    """Where the things of a project lie; what is None lies in `output`, under the name that its verb gives it."""

    archive: str = Field(description="folder or URI of the videos")
    cases: str | None = Field(None, description="case sidecar (CSV or Parquet); without one a video is its own case")
    label_set: str | None = Field(None, description="label set file; the one in the package where none is given")
    output: str = Field("runs", description="folder or URI in which every verb has a folder of its own")
    manifest: str | None = Field(None, description="OUTPUT/scan/manifest.parquet where none is given")
    annotations: str | None = Field(None, description="OUTPUT/annotations where none is given")
    split: str | None = Field(None, description="OUTPUT/split.json where none is given")

    def place(self, name: str) -> str:
        """A folder or file in `output`."""
        return f"{self.output.rstrip('/')}/{name}"


def read_project() -> Project | None:
    """The project of the working folder, None where it has none. Raises ConfigError."""
    file = Path(PROJECT_FILE)
    return validate_mapping(Project, read_mapping(file), where=PROJECT_FILE) if file.is_file() else None


def verb_settings(project: Project, verb: str) -> dict[str, str]:
    """The settings that a project gives to a verb, but for those that nobody gave and for files that a verb can do without and
    that are not there yet."""
    places = {
        "archive": project.archive,
        "cases": project.cases,
        "label_set": project.label_set,
        "manifest": project.manifest or project.place("scan/manifest.parquet"),
        "annotations": project.annotations or project.place("annotations"),
        "split": project.split or project.place("split.json"),
    }
    settings = {}
    for setting, name in _TAKEN.get(verb, {}).items():
        value = places[name] if name in places else project.place(name)
        is_missing = (verb, setting) in _IF_THERE and value is not None and not _exists(value)
        if value is not None and not is_missing:
            settings[setting] = value
    return settings


def next_command(verb: str, settings: Mapping[str, str | None], *, output: str | None = None) -> str:
    """The command line of a verb with these settings but for those that the project of the working folder gives it anyway; a
    setting that is None is none. output: where there is no project, or one that gives none. Raises ConfigError where nrray.yaml
    cannot be read."""
    project = read_project()
    given = verb_settings(project, verb) if project is not None else {}
    place = {"output": given.get("output", output)} if output is not None else {}
    words = ["nrray", verb]
    for key, value in {**settings, **place}.items():
        if value is not None and (key not in given or absolute_uri(given[key]) != absolute_uri(value)):
            words += ["--set", f"{key}={value}"]
    return shlex.join(words)


def project_text(project: Project) -> str:
    """The content of nrray.yaml; what lies where it would be looked for anyway is a comment."""
    lines = [
        "# nrray: where the things of this project lie. Every verb that is called beside this file takes them from it."
    ]
    for name, field in Project.model_fields.items():
        value = getattr(project, name)
        line = (
            yaml.safe_dump({name: value}, allow_unicode=True, width=1000).strip() if value is not None else f"# {name}:"
        )
        lines.append(f"{line}  # {field.description}")
    return "\n".join(lines) + "\n"


def write_project(project: Project) -> Path:
    """Write the project of the working folder. Raises DataError where it has another one, StorageError."""
    file = Path(PROJECT_FILE).absolute()
    text = project_text(project)
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise DataError(f"{file}: found a project already, expected none. Edit it, or delete it first.")
    with storage_errors(f"cannot write {file}"):
        file.write_text(text, encoding="utf-8")
    return file


def _exists(uri: str) -> bool:
    file_system, path = located(uri)
    return bool(file_system.exists(path))
