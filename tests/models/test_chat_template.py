"""A chat template that loops is told within seconds."""

import shutil
import sys
import time

import pytest

from nrray.errors import ModelError
from nrray.models.measure import synthetic_frames
from nrray.models.strategies.yes_no import YesNoStrategy
from tests.model_fixtures import labeler_of

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
RECURS = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"


@pytest.mark.parametrize("template", [LOOPS, RECURS], ids=["loops", "recurs"])
def test_a_template_without_an_end_is_an_error(
    template, image_folder, tmp_path, label_set, small_sampling, monkeypatch
):
    monkeypatch.setattr("nrray.models.chat_template.MAX_SECONDS", 0.5)
    folder = shutil.copytree(image_folder, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(template)
    tracing, started = sys.gettrace(), time.thread_time()
    with pytest.raises(ModelError, match="chat template did not end"):
        labeler_of(folder, label_set, strategy=YesNoStrategy()).label(synthetic_frames(small_sampling, num_windows=1))
    assert time.thread_time() - started < 10
    assert sys.gettrace() is tracing
