from contextlib import suppress
from enum import Enum
from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from nrray.config import Section, load_config
from nrray.errors import ConfigError


class Color(str, Enum):
    RED = "red"
    GREEN = "green"


class Inner(Section):
    stride_seconds: float = Field(1.0, gt=0)
    name: str = "x"


class Outer(Section):
    inner: Inner = Inner()
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = Field(default_factory=dict)
    color: Color = Color.RED
    count: int = 3
    learning_rate: float = 1e-3


class Needy(Section):
    manifest: str


def loaded(tmp_path: Path, text: str, *overrides: str, cls=Outer):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(cls, path, overrides)


def refusal(tmp_path, text, *overrides, cls=Outer):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, *overrides, cls=cls)
    return str(caught.value)


def test_no_file_and_an_empty_file_are_the_defaults(tmp_path):
    assert load_config(Outer, None) == loaded(tmp_path, "") == loaded(tmp_path, "# nothing\n") == Outer()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("cuont: 1", "cuont"),
        ("inner: {stride_second: 1}", "inner.stride_second"),
        ("maybe: {stride_second: 1}", "maybe.stride_second"),
        ("many: [{name: a}, {stride_second: 1}]", "many.1.stride_second"),
        ("by_name: {left: {stride_second: 1}}", "by_name.left.stride_second"),
    ],
)
def test_an_unknown_key_names_its_path_and_the_closest_match(tmp_path, text, path):
    closest = "count" if path == "cuont" else f"{path}s"
    assert f"{path}: unknown key; did you mean '{closest}'?" in refusal(tmp_path, text)


def test_an_unknown_key_that_is_like_none_lists_what_there_is(tmp_path):
    message = refusal(tmp_path, "inner: {zzzzzz: 1}")
    assert "inner.zzzzzz: unknown key; known keys: name, stride_seconds" in message


def test_all_problems_are_told_at_once(tmp_path):
    message = refusal(tmp_path, "count: many\ncolor: blue\ninner: {stride_seconds: -1}")
    assert "3 problem(s)" in message
    assert all(part in message for part in ("count: found 'many'", "color: found 'blue'", "inner.stride_seconds"))
    assert "'red' or 'green'" in message


def test_a_missing_setting_is_named(tmp_path):
    assert "manifest: is required" in refusal(tmp_path, "", cls=Needy)


def test_overrides_are_yaml_and_come_last(tmp_path):
    config = loaded(tmp_path, "count: 1\ninner: {name: a}", "count=7", "inner.stride_seconds=0.5", "maybe.name=b")
    assert (config.count, config.inner.stride_seconds, config.inner.name) == (7, 0.5, "a")
    assert config.maybe == Inner(name="b")


def test_an_override_reaches_into_a_section_left_empty(tmp_path):
    assert loaded(tmp_path, "inner:\n", "inner.name=b").inner.name == "b"


def test_an_override_may_hold_an_equals_sign(tmp_path):
    assert loaded(tmp_path, "", "inner.name=a=b").inner.name == "a=b"


@pytest.mark.parametrize(
    "value", ["__import__('os').system('touch evil')", "!!python/object/apply:os.system ['touch evil']", "${HOME}"]
)
def test_the_value_of_an_override_is_never_evaluated(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    with suppress(ConfigError):
        assert loaded(tmp_path, "", f"inner.name={value}").inner.name == value
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("override", ["count", "=3", "count=[1", "count.inner=3", "nothing.like.this=1"])
def test_an_override_that_makes_no_sense_is_refused(tmp_path, override):
    assert override.split("=")[0].split(".")[0] in refusal(tmp_path, "count: 1", override)


@pytest.mark.parametrize("text", ["count: 1\ncount: 2", "inner: {name: a, name: b}", "many: [{name: a, name: b}]"])
def test_a_key_given_twice_is_refused(tmp_path, text):
    assert "is given twice" in refusal(tmp_path, text)


def test_a_key_given_twice_in_an_override_is_refused(tmp_path):
    assert "is given twice" in refusal(tmp_path, "", "inner={name: a, name: b}")


def test_an_anchor_may_be_merged_and_overridden(tmp_path):
    config = loaded(tmp_path, "inner: &base {name: a, stride_seconds: 2}\nmaybe: {<<: *base, name: b}")
    assert config.maybe == Inner(name="b", stride_seconds=2)


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "0.0001"])
def test_a_small_number_may_be_written_any_way(tmp_path, text):
    assert loaded(tmp_path, f"learning_rate: {text}").learning_rate == 1e-4
    assert loaded(tmp_path, "", f"learning_rate={text}").learning_rate == 1e-4


@pytest.mark.parametrize("word", ["no", "yes", "on", "off"])
def test_a_word_that_yaml_takes_for_a_truth_value_is_refused_where_text_or_a_number_is_meant(tmp_path, word):
    assert "inner.name: found" in refusal(tmp_path, f"inner: {{name: {word}}}")
    assert "count: found" in refusal(tmp_path, f"count: {word}")
    assert "learning_rate: found" in refusal(tmp_path, f"learning_rate: {word}")


class Switch(Section):
    enabled: bool = False
    colour: bool | str = "red"
    limit: int | None = None


@pytest.mark.parametrize("word", ["yes", "on"])
def test_a_truth_value_is_fine_where_one_may_stand(tmp_path, word):
    switch = loaded(tmp_path, f"enabled: {word}\ncolour: {word}", cls=Switch)
    assert (switch.enabled, switch.colour) == (True, True)


def test_a_truth_value_is_no_optional_number(tmp_path):
    assert "limit: found True" in refusal(tmp_path, "limit: yes", cls=Switch)
    assert loaded(tmp_path, "limit:", cls=Switch).limit is None


class BadDefault(Section):
    count: int = Field(0, ge=1)


def test_defaults_are_checked_too():
    with pytest.raises(ConfigError, match="count: found 0"):
        load_config(BadDefault, None)


def test_a_long_value_is_cut_in_the_message(tmp_path):
    message = refusal(tmp_path, f"count: [{', '.join(['1'] * 200)}]")
    (line,) = (line for line in message.splitlines() if "count: found" in line)
    assert "..., expected a whole number" in line
    assert len(line) < 160


def test_problems_are_those_of_the_file_and_of_the_overrides(tmp_path):
    assert f"{tmp_path / 'config.yaml'}: 1 problem" in refusal(tmp_path, "count: many")
    assert f"{tmp_path / 'config.yaml'} and --set: 1 problem" in refusal(tmp_path, "", "count=many")


@pytest.mark.parametrize(
    ("text", "name"), [('"a #1"', "a #1"), ("'a: b'", "a: b"), (" plain #1 ", "plain #1"), ("!!str 7", "7")]
)
def test_an_override_in_quotes_is_read_as_yaml(text, name):
    assert load_config(Outer, None, [f"inner.name={text}"]).inner.name == name


@pytest.mark.parametrize("text", ["- 1", "just text", "a: [", "\tx: 1", "? [a]\n: 1", "!!python/none"])
def test_a_file_that_is_no_mapping_is_refused_with_its_name(tmp_path, text):
    assert "config.yaml" in refusal(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("missing.yaml", "binary.yaml", "."):
        with pytest.raises(ConfigError) as caught:
            load_config(Outer, tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_a_folder_where_settings_are_expected_is_told_where_it_goes(tmp_path):
    with pytest.raises(ConfigError, match=rf"found a folder, expected a YAML file.*--set archive={tmp_path}"):
        load_config(Outer, tmp_path)


@pytest.mark.parametrize("text", ["/archive #1", "out 100% #1?[x]/"])
def test_an_override_of_plain_text_is_taken_whole(text):
    assert load_config(Outer, None, [f"inner.name={text}"]).inner.name == text


def test_a_section_does_not_change(tmp_path):
    with pytest.raises(ValidationError, match="frozen"):
        Outer().count = 5


def test_where_a_text_stops_to_be_yaml_is_told_on_one_line(tmp_path):
    message = refusal(tmp_path, "count: [1\ncolor: red\n")
    assert message.endswith(
        "config.yaml is not valid YAML: line 2, column 6: while parsing a flow sequence, expected ',' or ']', but got ':'. "
        "Mend the text there."
    )
    assert "--set 'count=[1': the value is not valid YAML: line 1, column 3" in refusal(tmp_path, "", "count=[1")


def test_a_file_that_is_no_utf_8_names_its_line(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("count: 1\ninner: {name: Stra\xdfe}\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml, line 2: byte 0xdf is not UTF-8\. Save the file as UTF-8"):
        load_config(Outer, tmp_path / "latin.yaml")
