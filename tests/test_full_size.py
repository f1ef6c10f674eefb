"""The benchmarks that wait for a GPU run to their end on tiny models: their figures say nothing here, their code is held."""

import json
import sys

import pytest

from tests.benchmarks import full_size, full_size_training

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """A function that runs a benchmark's main on tiny models; the lines that it printed."""

    def lines(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark", "--folder", str(tmp_path), "--tiny", *arguments])
        main()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    return lines


def test_every_way_of_labelling_is_measured(said, monkeypatch):
    monkeypatch.setattr(full_size, "LEAST_SECONDS", 0.0)
    found = said(full_size.main, "--models", "Qwen3-VL-2B", "TimeSformer", "--windows", "2")
    asked = [line["way"] for line in found if line["model"] == "Qwen3-VL-2B"]
    assert asked == ["head", *full_size.WAYS]
    assert [line["way"] for line in found if line["model"] == "TimeSformer"] == ["head"]
    assert sum(line["model"] == "Mistral-7B" for line in found) == 2
    for line in found:
        seconds = full_size.STUDY_WINDOWS / line["windows_per_second"]
        assert line["study_hours"] == pytest.approx(seconds / 3600, abs=0.011)


def test_trainings_are_measured_and_one_that_fails_ends_no_other(said):
    settings = ["--batch", "4", "--loaders", "1", "--settings", "4:nf4:step", "2", "2:tower:step"]
    refused, looped, alone = said(full_size_training.main, *settings)
    assert "no GPU" in refused["error"]
    assert looped["loop, windows per second"] > 0
    assert looped["step alone, windows per second"] > 0
    assert "loop, windows per second" not in alone
