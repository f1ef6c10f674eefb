"""The folder in which a Ray job runs: a copy that is deleted afterwards. Imports no Ray."""

import os
from pathlib import Path

from nrray.errors import ConfigError
from nrray.storage import is_local

JOB_FOLDER = "runtime_resources/working_dir_files"  # where Ray unpacks a job's --working-dir


def refuse_job_folder(uri: str, setting: str) -> None:
    """Raises ConfigError for a relative path in a Ray job: there it lies in a copy of the working folder, which has no
    videos and is deleted afterwards."""
    if is_local(uri) and not Path(uri.removeprefix("file://")).expanduser().is_absolute() and JOB_FOLDER in os.getcwd():
        raise ConfigError(
            f"{setting}: found the relative path {uri!r} in a Ray job, where it names a folder inside a copy that is "
            f"deleted afterwards; give an absolute path or a URI that all nodes know, e.g. --set {setting}=/data/{uri}"
        )
