"""The command line says what it takes: every setting with its default and a phrase."""

import re
import subprocess
import sys

import pytest

from nrray.cli import main
from nrray.cli.options import settings_of
from nrray.config import validate_mapping
from nrray.console.reporter import Reporter
from nrray.errors import ConfigError
from nrray.evaluate.config import CompareConfig, EvaluateConfig, SplitConfig
from nrray.formats import ExportConfig, ImportConfig
from nrray.pipelines.finetune.job import FinetuneConfig
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.pipelines.scan.run import ScanConfig
from nrray.pipelines.tune.job import TuneConfig
from nrray.simulate import SimulateConfig

CONFIGS = {
    "simulate": SimulateConfig,
    "scan": ScanConfig,
    "relabel": RelabelConfig,
    "import": ImportConfig,
    "export": ExportConfig,
    "finetune": FinetuneConfig,
    "tune": TuneConfig,
    "evaluate": EvaluateConfig,
    "compare": CompareConfig,
    "split": SplitConfig,
}


@pytest.mark.parametrize("verb", CONFIGS)
def test_help_lists_every_setting_with_its_default_and_what_it_does(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    rows = list(settings_of(CONFIGS[verb]))
    assert [key for key, _, description in rows if not description] == []
    for key, default, _ in rows:
        assert re.search(rf"│ {re.escape(key)} +{re.escape(default.split()[0])}", printed), key


def test_a_default_is_that_of_the_section_that_holds_it():
    own = {key: default for key, default, _ in settings_of(FinetuneConfig)}
    assert own["training.augment.max_turn_degrees"] == "10.0"  # 20 in the recipe of the embedded model
    assert own["manifest"] == "required"
    assert own["cases"] == "-"


def test_every_verb_is_in_the_help(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"│ {verb} " in printed for verb in [*CONFIGS, "demo", "doctor", "status", "bench", "export-model"])


def test_reading_a_config_waits_for_no_torch():
    """It takes ten seconds to import, with what comes with it, and an error in a config must not take so long."""
    names = ("relabel.run", "relabel.stages", "finetune.run", "tune.run")
    verbs = "import " + ", ".join(f"nrray.pipelines.{name}" for name in names)
    heavy = "{'torch', 'transformers', 'peft', 'accelerate'} & set(sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; {verbs}; print({heavy})"], capture_output=True, text=True, check=True
    )
    assert found.stdout == "set()\n"


def test_a_verb_ends_without_taking_python_down():
    """Native threads that are still at work then would end the process by a signal, whatever the verb came to."""
    script = """
import atexit
from nrray.cli import process

class Left:
    def __del__(self):
        print("taken down")

left = Left()
atexit.register(print, "at exit")
process.main = lambda arguments: {code}
process.run()
"""
    ends = {
        code: subprocess.run(
            [sys.executable, "-c", script.replace("{code}", code)], capture_output=True, text=True, timeout=60
        )
        for code in ("process.EXIT_INTERRUPTED", "process.EXIT_ERROR")
    }
    assert [(end.returncode, end.stdout) for end in ends.values()] == [(130, "at exit\n"), (1, "at exit\n")]


def test_the_next_command_is_for_the_folder_that_one_is_in(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Reporter().next_command(
        f"nrray relabel --set manifest={tmp_path}/scan/m --set output=/data{tmp_path}/x {tmp_path}/y"
    )
    assert capsys.readouterr().out == f"Next: nrray relabel --set manifest=scan/m --set output=/data{tmp_path}/x y\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["relabel", "--limit", "0"], "found '0', expected 1 or more"),
        (["relabel", "--limit", "many"], "found 'many', expected a whole number"),
        (["tune", "--budget-minutes", "0"], "found '0', expected 0.1 or more"),
        (["tune", "--budget-minutes", "long"], "found 'long', expected a number"),
        (["demo", "x", "--cases", "2000"], "found '2000', expected 1000 or less"),
        (["bench", "sleep"], "'sleep' is not one of 'decode', 'relabel', 'plan'"),
    ],
)
def test_words_of_a_command_line_that_cannot_be_used_are_told_in_our_words(words, said, capsys):
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "Input should be" not in printed
    assert "Value error" not in printed


@pytest.mark.parametrize("cls", [EvaluateConfig, CompareConfig])
def test_a_part_without_a_split_would_have_no_effect_and_is_refused(cls, capsys):
    settings = {"reference": "r", **({"candidate": "c"} if cls is EvaluateConfig else {"candidates": ["a", "b"]})}
    assert (
        validate_mapping(cls, {**settings, "split": "s", "part": "validation"}, where="the settings").part
        == "validation"
    )
    with pytest.raises(ConfigError, match="found part 'validation' without a split, expected the split file too"):
        validate_mapping(cls, {**settings, "part": "validation"}, where="the settings")
