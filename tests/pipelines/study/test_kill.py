"""A study that is killed again and again ends with the table of one that was let run."""

import json
import random
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from nrray.config import validate_mapping
from nrray.pipelines.study.document import StudyDocument
from nrray.pipelines.study.job import StudyConfig
from nrray.pipelines.study.run import run_study
from tests.pipelines.study.made_study import QUIET, figures, study_settings
from tests.pipelines.support import nrray, one_ray, started

pytestmark = pytest.mark.timeout(2400)


@pytest.mark.parametrize(
    "num_kills", [pytest.param(2, marks=pytest.mark.harsh), pytest.param(10, marks=pytest.mark.slow)]
)
def test_a_study_that_is_killed_again_and_again_has_the_table_of_one_that_was_not(tmp_path, num_kills):
    moments = random.Random(0)
    with one_ray():
        settings = study_settings(tmp_path / "archive", output=tmp_path / "whole")
        began = time.monotonic()
        whole = run_study(validate_mapping(StudyConfig, settings, where="test"), QUIET)
        whole_seconds = time.monotonic() - began
        killed = {**settings, "output": str(tmp_path / "killed")}
        config = tmp_path / "study.yaml"
        config.write_text(yaml.safe_dump(killed))
        for number in range(num_kills):
            log = tmp_path / f"{number}.log"
            with started("study", str(config), log=log) as process, suppress(subprocess.TimeoutExpired):
                process.wait(timeout=moments.uniform(0.2, 1.2) * whole_seconds)
        ended = nrray("study", str(config), "--json", timeout_seconds=900)
    assert ended.returncode == 0, ended.stderr
    document = StudyDocument.model_validate(json.loads((Path(killed["output"]) / "study.json").read_text()))
    assert figures(document) == figures(whole.document)
    assert document.differences == whole.document.differences
