"""The catalogue is complete: what import and export ask of a format is in its line."""

from collections import Counter

import pytest

from nrray.formats.catalogue import CATALOGUE, WRITE_OPTIONS
from nrray.formats.options import ExportConfig, Format, ReadOptions


@pytest.mark.parametrize("kind", Format)
def test_every_format_has_a_line(kind):
    assert CATALOGUE[kind].suffix.startswith(".")


def test_every_option_concerns_a_format_and_every_format_names_options_that_exist():
    assert set().union(*(entry.read_options for entry in CATALOGUE.values())) == set(ReadOptions.model_fields)
    assert set().union(*(entry.write_options for entry in CATALOGUE.values())) == set(WRITE_OPTIONS)
    assert set(WRITE_OPTIONS) <= set(ExportConfig.model_fields)


def test_a_suffix_that_a_format_owns_is_of_no_other_format():
    suffixes = Counter(entry.suffix for entry in CATALOGUE.values())
    assert {suffixes[entry.suffix] for entry in CATALOGUE.values() if entry.owns_suffix} == {1}


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        (b"Tier\tBegin Time - msec\tEnd Time - msec", {Format.ELAN_TAB}),
        (b"default\t\tBegin Time - hh:mm:ss.ms", {Format.ELAN_TAB}),
        (b"Observation id\tMedia file\tBehavior\tBehavior type", {Format.BORIS_AGGREGATED}),
        (b"Observation id\tTime\tBehavior", set()),
        (b"suction\t1000\t2500\t1500", set()),
    ],
)
def test_a_first_line_is_of_one_format_at_most(line, kinds):
    found = {kind for kind, entry in CATALOGUE.items() if entry.is_first_line is not None and entry.is_first_line(line)}
    assert found == kinds


@pytest.mark.parametrize(
    ("value", "kinds"), [({"observations": {}}, {Format.BORIS}), ([], {Format.LABEL_STUDIO}), ({}, set()), ("x", set())]
)
def test_a_json_value_is_of_one_format_at_most(value, kinds):
    assert {kind for kind, entry in CATALOGUE.items() if entry.is_json is not None and entry.is_json(value)} == kinds
