"""Input is bounded: a file of a few lines, or of a few levels too many, costs a sentence and no second."""

import ast
import json
import time
from pathlib import Path

import pytest
import yaml

from nrray.config import load_config, read_mapping
from nrray.errors import ConfigError, DataError, ModelError, NrrayError
from nrray.formats.reading import json_value
from nrray.isolation import PACKAGE_PARENT
from nrray.labels import read_label_set
from nrray.models.metadata import METADATA_FILE, read_metadata
from nrray.nested import json_from, yaml_from
from nrray.pipelines.scan.run import ScanConfig
from nrray.storage import Folder

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
HOSTILE = {
    "aliases to aliases": BOMB,
    "merged aliases": "a: &a {x: 1}\n" + "".join(f"b{n}: &b{n} {{<<: *a, y: *a}}\n" for n in range(3)) + BOMB,
    "an alias to itself": "a: &a [*a]\n",
    "20,000 brackets": "a: " + "[" * 20_000,
    "20,000 closed brackets": "a: " + "[" * 20_000 + "]" * 20_000,
    "20,000 braces": "{a: " * 20_000 + "1" + "}" * 20_000,
    "20,000 dashes": "- " * 20_000 + "a",
    "5,000 steps to the right": "\n".join(" " * n + "a:" for n in range(5_000)),
    "a long list of keys": "\n".join(f"k{n}: 1" for n in range(5_000)) + "\n[",
    "two megabytes": "a: " + "x" * (2 << 20),
}


def seconds_of(call, kind):
    started = time.process_time()
    with pytest.raises(kind) as raised:
        call()
    assert isinstance(raised.value, NrrayError)
    assert len(str(raised.value)) < 600
    return time.process_time() - started


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_yaml_is_a_sentence_within_a_second(text, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert seconds_of(lambda: load_config(ScanConfig, file), ConfigError) < 2.5
    assert seconds_of(lambda: read_label_set(str(file)), ConfigError) < 2.5


@pytest.mark.parametrize("value", ["[" * 20_000, "[" * 20_000 + "]" * 20_000, "&a [*a]"])
def test_hostile_settings_of_a_command_line_are_sentences(value):
    assert seconds_of(lambda: load_config(ScanConfig, None, [f"archive={value}"]), ConfigError) < 2.5


def test_what_a_config_may_have_is_still_read(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("a: &a {x: 1, y: [1, 2]}\nb:\n  <<: *a\n  x: 2\nc: [*a, *a]\n# [[[[\n")
    assert read_mapping(file)["b"] == {"x": 2, "y": [1, 2]}
    assert yaml_from("", yaml.SafeLoader) is None
    deep = "[" * 50 + "]" * 50
    assert yaml_from(f"a: {deep}", yaml.SafeLoader)["a"] == json.loads(deep)


def test_a_device_is_no_config():
    assert seconds_of(lambda: read_mapping("/dev/zero"), ConfigError) < 2.5


DEEP_JSON = "[" * 20_000 + "]" * 20_000


def test_hostile_json_is_an_error_of_ours_wherever_it_stands(tmp_path):
    with pytest.raises(ValueError, match="nested too deep"):
        json_from('{"a":' * 200_000)
    assert json_from("[[1]]") == [[1]]
    (tmp_path / "x.json").write_text(DEEP_JSON)
    (tmp_path / METADATA_FILE).write_text(DEEP_JSON)
    assert seconds_of(lambda: Folder(str(tmp_path)).read_json("x.json"), DataError) < 1
    assert seconds_of(lambda: json_value(DEEP_JSON.encode(), file="x.json"), DataError) < 1
    assert seconds_of(lambda: read_metadata(tmp_path), ModelError) < 1


def test_no_rule_is_an_assertion_that_optimized_python_leaves_out():
    """`assert` says to the type checker what is known; it calls nothing that has an effect, and checks no input."""
    known = {"isinstance", "is_dataclass"}
    for file in Path(PACKAGE_PARENT, "nrray").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Assert):
                calls = {ast.unparse(call.func) for call in ast.walk(node.test) if isinstance(call, ast.Call)}
                assert calls <= known, f"{file}:{node.lineno}"
