"""A relative path means nothing in a Ray job, whose folder is a copy that is deleted afterwards."""

import pytest

from nrray.errors import ConfigError
from nrray.pipelines.job_folder import JOB_FOLDER, refuse_job_folder


@pytest.mark.parametrize("uri", ["/data/out", "file:///data/out", "~/out", "s3://bucket/out"])
def test_paths_that_mean_the_same_everywhere_are_taken(uri, tmp_path, monkeypatch):
    folder = tmp_path / JOB_FOLDER / "_ray_pkg_1"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    refuse_job_folder(uri, "output")


def test_a_relative_path_is_refused_in_a_job_alone(tmp_path, monkeypatch):
    folder = tmp_path / JOB_FOLDER / "_ray_pkg_1"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    refuse_job_folder("runs/out", "output")
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"^output: found the relative path 'runs/out'.*--set output=/data/runs/out$"):
        refuse_job_folder("runs/out", "output")
