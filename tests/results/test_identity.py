import json

import pytest

from nrray.errors import DataError, IdentityError
from nrray.results.identity import (
    OutputIdentity,
    bind_identity,
    bound_identity,
    check_identity,
)
from nrray.sampling import Sampling
from nrray.storage import Folder
from tests.made_versions import IDENTITY
from tests.results.release_before import identity_json

HEAD = {"kind": "head", "applies_rules": True}
YES_NO = {"kind": "yes_no", "instruction": "Answer with one word, yes or no.", "parser": "plain"}


def changed(**fields):
    return OutputIdentity(**{**dict(IDENTITY), **fields})


def strategy(**fields):
    return changed(strategy={**IDENTITY.strategy, **fields})


@pytest.fixture
def output(tmp_path):
    return Folder(str(tmp_path))


def bind(output, identity):
    bind_identity(output, identity, unrecorded_strategy=HEAD)


def check(output, identity):
    check_identity(output, identity, unrecorded_strategy=HEAD)


def test_a_new_output_is_bound_to_what_is_read_back(output):
    assert bound_identity(output) is None
    check(output, IDENTITY)
    assert bound_identity(output) is None
    bind(output, IDENTITY)
    bind(output, IDENTITY)
    assert bound_identity(output) == IDENTITY
    document = output.read_json("identity.json")
    assert (document["schema_version"], document["strategy"]) == (2, IDENTITY.strategy)


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        (changed(model="xyz"), "model: this output 'abc', this run 'xyz'"),
        (changed(decoder="decord"), "decoder: this output 'pyav', this run 'decord'"),
        (changed(label_set="other"), "label_set: this output 'def', this run 'other'"),
        (changed(sampling=Sampling(stride_seconds=3)), "sampling.stride_seconds: this output 1.0, this run 3.0"),
        (
            strategy(instruction="Yes or no, please?"),
            "strategy.instruction: this output 'Yes or no?', this run 'Yes or no, please?'",
        ),
        (strategy(parser="lenient"), "strategy.parser: this output 'plain', this run 'lenient'"),
        (
            strategy(prompts={"suction": "A tube?"}),
            "strategy.prompts.suction: this output 'Suction?', this run 'A tube?'",
        ),
        (changed(strategy={"kind": "head"}), "strategy.kind: this output 'yes_no', this run 'head'"),
        (changed(strategy={"kind": "head"}), "strategy.parser: this output 'plain', this run None"),
        (changed(dtype="bfloat16"), "dtype: this output 'float32', this run 'bfloat16'"),
    ],
)
def test_another_identity_is_refused_with_the_key_and_both_values(output, identity, said):
    bind(output, IDENTITY)
    for refused in (bind, check):
        with pytest.raises(IdentityError) as caught:
            refused(output, identity)
        assert f"  {said}\n" in str(caught.value)
    assert bound_identity(output) == IDENTITY


@pytest.mark.parametrize(
    ("identity", "is_advised"),
    [
        (strategy(parser="lenient"), True),
        (strategy(parser="lenient", thresholds=0.4), True),
        (changed(label_set="other"), True),
        (strategy(parser="lenient", prompts={"suction": "A tube?"}), False),
        (changed(model="xyz"), False),
    ],
)
def test_where_only_the_reading_of_answers_differs_it_is_said_how_to_read_them_anew(output, identity, is_advised):
    bind(output, IDENTITY)
    with pytest.raises(IdentityError) as caught:
        bind(output, identity)
    assert ("nrray relabel --restate" in str(caught.value)) is is_advised


def test_a_dtype_that_no_device_has_decided_yet_is_not_compared_until_it_is_bound(output):
    bind(output, IDENTITY)
    check(output, changed(dtype=None))
    with pytest.raises(IdentityError, match="dtype"):
        bind(output, changed(dtype=None))
    with pytest.raises(IdentityError, match="decoder"):
        check(output, changed(dtype=None, decoder="decord"))


def before(output):
    """An output that the release before bound."""
    output.write_json("identity.json", identity_json())
    return output


@pytest.mark.parametrize("recorded", [HEAD, YES_NO])
def test_an_output_of_the_release_before_has_the_strategy_that_it_did_not_record(output, recorded):
    for go_on in (check_identity, bind_identity):
        go_on(before(output), changed(strategy=recorded), unrecorded_strategy=recorded)
    assert output.read_json("identity.json") == identity_json()


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (
            {**YES_NO, "instruction": "Say yes or no."},
            "strategy.instruction: this output 'Answer with one word, yes or no.'",
        ),
        ({**YES_NO, "parser": "lenient"}, "strategy.parser: this output '.*', this run 'lenient'"),
        (HEAD, "strategy.kind: this output 'yes_no', this run 'head'"),
    ],
)
def test_an_output_of_the_release_before_does_not_go_on_with_another_strategy(output, strategy, said):
    with pytest.raises(IdentityError, match=said):
        check_identity(before(output), changed(strategy=strategy), unrecorded_strategy=YES_NO)


def test_an_output_of_the_release_before_does_not_go_on_with_another_model(output):
    with pytest.raises(IdentityError, match="model: this output 'abc', this run 'xyz'"):
        check(before(output), changed(strategy=HEAD, model="xyz"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "not JSON"),
        ("[]", "holds a list"),
        ("{}", r"identity\.json of .* lacks model, label_set, sampling, packing, decoder"),
        (json.dumps({**identity_json(), "schema_version": 9}), "has schema_version 9; expected at most 2"),
        (json.dumps({**identity_json(), "schema_version": 1}), "lacks strategy"),
        (json.dumps({**identity_json(), "schema_version": 1, "strategy": {"parser": "x"}}), "strategy with its kind"),
    ],
)
def test_a_damaged_identity_is_named(output, document, said):
    output.write_bytes("identity.json", document.encode())
    with pytest.raises(DataError, match=said) as caught:
        check(output, IDENTITY)
    assert "identity.json" in str(caught.value)
