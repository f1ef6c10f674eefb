"""The verb that begins a project: init."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import nrray

if TYPE_CHECKING:
    from nrray.console.reporter import Reporter


def init(
    reporter: "Reporter",
    archive: Annotated[str | None, typer.Argument(help="Folder or URI of the videos.")] = None,
    cases: Annotated[str | None, typer.Option(help="Case sidecar (CSV or Parquet): which case a video shows.")] = None,
    annotations: Annotated[str | None, typer.Option(help="Folder of imported annotations, where there is one.")] = None,
    label_set: Annotated[str | None, typer.Option(help="Label set file; the one in the package by default.")] = None,
    output: Annotated[str, typer.Option(help="Folder or URI in which every verb has a folder of its own.")] = "runs",
    config: Annotated[
        list[str] | None,
        typer.Option(metavar="VERB", help="Also write VERB.yaml, its settings; or labels. May be repeated."),
    ] = None,
) -> None:
    """Write nrray.yaml, from which every verb takes where things lie; or a config of a verb, or a label set, to edit."""
    from nrray.errors import ConfigError
    from nrray.project import Project, write_project
    from nrray.storage import absolute_uri

    if archive is None and not config:
        raise ConfigError("init: found no archive, expected the folder of the videos: nrray init FOLDER.")
    written = [_written_config(name) for name in config or ()]
    if archive is not None:
        found = {
            "archive": archive,
            "cases": cases,
            "annotations": annotations,
            "label_set": label_set,
            "output": output,
        }
        project = Project(**{key: absolute_uri(value) for key, value in found.items() if value is not None})
        _check(project)
        written.append(write_project(project))
    for file in written:
        reporter.say(f"Written: {file}")
    if archive is not None:
        reporter.next_command("nrray scan")
    reporter.finish({"written": [str(file) for file in written]})


def _written_config(name: str) -> Path:
    """A copy of a config that comes with the package, in the working folder. Raises ConfigError, DataError."""
    from nrray.errors import ConfigError, DataError
    from nrray.storage import storage_errors

    inside = Path(nrray.__file__).parent / "configs"
    folder = inside if inside.is_dir() else inside.parents[1] / "configs"  # of an editable installation
    source = folder / f"{name}.yaml"
    if not source.is_file():
        names = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ConfigError(f"--config {name}: found no config of that name, expected one of {names}.")
    file = Path(source.name).absolute()
    if file.exists():
        raise DataError(f"{file}: found a file already, expected none. Edit it, or delete it first.")
    with storage_errors(f"cannot write {file}"):
        shutil.copyfile(source, file)
    return file


def _check(project: "nrray.project.Project") -> None:
    """Raise ConfigError for what was given and is not there."""
    from nrray.errors import ConfigError
    from nrray.labels import read_label_set
    from nrray.storage import Folder

    for key in ("archive", "cases", "annotations"):
        value = getattr(project, key)
        if value is not None and not Folder(value).exists():
            raise ConfigError(f"{key}: found nothing at {value}, expected the project's {key}.")
    read_label_set(project.label_set)
