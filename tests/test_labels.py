import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from nrray.errors import ConfigError
from nrray.labels import Activity, LabelSet, Rules, read_label_set


def activity(name="suction", **values):
    text = dict.fromkeys(("definition", "starts", "ends", "question"), "text")
    return Activity(name=name, **{**text, **values})


def test_the_shipped_label_set_is_complete():
    shipped = read_label_set()
    assert len(set(shipped.names)) == len(shipped.names) >= 4
    for item in shipped.activities:
        assert item.question.strip().endswith("?")
        assert all(text.strip() for text in (item.definition, item.starts, item.ends))


def test_names_are_in_order():
    assert LabelSet(name="s", activities=(activity("b"), activity("a"))).names == ("b", "a")


def test_the_digest_is_of_the_content_not_of_the_layout(tmp_path):
    body = "name: s\nactivities:\n- {name: a, definition: d, starts: s, ends: e, question: q}\n"
    (tmp_path / "one.yaml").write_text(body)
    (tmp_path / "two.yaml").write_text(
        "# other layout\n" + body.replace("{name: a, definition: d,", "{definition: d, name: 'a',")
    )
    (tmp_path / "three.yaml").write_text(body.replace("question: q", "question: r"))
    one, two, three = (read_label_set(tmp_path / f"{name}.yaml").digest for name in ("one", "two", "three"))
    assert one == two != three


def test_the_order_of_activities_is_part_of_the_digest():
    one = LabelSet(name="s", activities=(activity("a"), activity("b")))
    assert one.digest != LabelSet(name="s", activities=(activity("b"), activity("a"))).digest


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("name: s\nactivities: []", "expected 1 or more"),
        ("activities:\n- {name: a, definition: d, starts: s, ends: e, question: q}", "name: is required"),
        ("name: s\nactivities:\n- {name: a, definition: d, starts: s, ends: e}", "activities.0.question: is required"),
        ("name: s\nactivities:\n- {name: A b, definition: d, starts: s, ends: e, question: q}", "activities.0.name"),
        (
            "name: s\nactivities:\n- {name: a, definition: d, starts: s, ends: e, quesion: q}",
            "did you mean 'activities.0.question'",
        ),
    ],
)
def test_a_label_set_that_cannot_be_used_is_refused(tmp_path, body, message):
    (tmp_path / "labels.yaml").write_text(body)
    with pytest.raises(ConfigError, match=message):
        read_label_set(tmp_path / "labels.yaml")


def test_a_macro_average_is_without_the_activity_that_says_that_there_is_somebody():
    activities = (activity("b"), activity("seen"), activity("a"))
    assert LabelSet(name="s", activities=activities).macro_activities == ("b", "seen", "a")
    label_set = LabelSet(name="s", activities=activities, rules=Rules(requires_visible="seen"))
    assert label_set.macro_activities == ("b", "a")
    assert label_set.excluded_from_macro == ("seen",)


def test_repeated_names_are_refused():
    with pytest.raises(ValueError, match="repeat"):
        LabelSet(name="s", activities=(activity("a"), activity("a")))


@pytest.mark.parametrize("rules", [Rules(requires_visible="ghost"), Rules(exclusive=(("a", "ghost"),))])
def test_rules_about_unknown_activities_are_refused(rules):
    with pytest.raises(ValueError, match="ghost"):
        LabelSet(name="s", activities=(activity("a"),), rules=rules)


def test_an_activity_that_excludes_itself_is_refused():
    with pytest.raises(ValueError, match="exclude themselves"):
        LabelSet(name="s", activities=(activity("a"),), rules=Rules(exclusive=(("a", "a"),)))


def test_of_many_exclusive_activities_every_pair_excludes_itself():
    phases = tuple(activity(name) for name in "abc")
    rules = LabelSet(name="s", activities=phases, rules=Rules(exclusive=(("a", "b", "c"),))).rules
    assert rules.exclusive_pairs == (("a", "b"), ("a", "c"), ("b", "c"))


@pytest.mark.parametrize("group", [("a",), ()])
def test_a_group_of_one_excludes_nothing_and_is_refused(group):
    with pytest.raises(ValueError, match="expected two or more"):
        Rules(exclusive=(group,))


def test_definition_start_and_end_are_optional_and_leave_no_empty_phrase(tmp_path):
    (tmp_path / "labels.yaml").write_text('name: s\nactivities:\n- {name: a, question: "Is it?"}\n')
    (alone,) = read_label_set(tmp_path / "labels.yaml").activities
    assert alone.description == ""
    assert activity(definition="A tool", starts=None, ends=" ").description == "A tool."
    assert activity(definition="D.", starts="s", ends="e!").description == "D. It starts: s. It ends: e!"


def covered(share, covered_us, window_us=3_000_000):
    item = activity(positive_coverage=share)
    return bool(item.is_positive(np.array([covered_us]), np.array([window_us]))[0])


def test_an_activity_that_must_cover_all_of_a_window_does_so_by_covering_all_of_it():
    assert covered(1.0, 3_000_000)
    assert not covered(1.0, 2_999_999)
    assert not covered(1.0, 0)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3, 0.5, 0.7, 0.9])
def test_a_window_is_positive_from_a_microsecond_more_than_the_share_on(share):
    exact = round(share * 3_000_000)  # in floats some of these products fall short of their whole number
    assert not covered(share, exact)
    assert covered(share, exact + 1)
    assert not covered(share, 0)


def indicator(**values):
    return LabelSet(name="s", activities=(activity("a"), activity("b")), indicators=(values,)).indicators[0]


def test_an_indicator_is_named_by_its_kind_and_activity_or_as_it_says():
    assert indicator(kind="episodes", activity="a").title == "a episodes"
    assert indicator(kind="begun_within", activity="a", seconds=30).title == "a within 30 s"
    assert indicator(kind="total", activity="a", name="a in all").title == "a in all"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "fraction", "activity": "a"}, "needs `seconds`"),
        ({"kind": "total", "activity": "a", "seconds": 3}, "has no `seconds`"),
        ({"kind": "inside_gaps", "activity": "a"}, "needs `other`"),
        ({"kind": "inside_gaps", "activity": "a", "other": "a"}, "expected two activities"),
        ({"kind": "often", "activity": "a"}, "time_to_first"),
    ],
)
def test_an_indicator_that_cannot_be_read_from_the_labels_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        indicator(**values)


def test_indicators_of_one_name_are_refused():
    twice = ({"kind": "total", "activity": "a"}, {"kind": "total", "activity": "a"})
    with pytest.raises(ValueError, match=r"repeat.*total a"):
        LabelSet(name="s", activities=(activity("a"),), indicators=twice)


def test_the_digest_is_of_what_decides_a_label_and_indicators_decide_none():
    plain = LabelSet(name="s", activities=(activity("a"), activity("b")))
    counted = {"clock": {"zero": ["birth"]}, "indicators": ({"kind": "total", "activity": "a"},)}
    assert LabelSet(name="s", activities=plain.activities, **counted).digest == plain.digest
    for change in ({"definition": "Other."}, {"starts": None}, {"question": "Is it?"}):
        changed = (activity("a", **change), activity("b"))
        assert LabelSet(name="s", activities=changed).digest != plain.digest
    exclusive = LabelSet(name="s", activities=plain.activities, rules=Rules(exclusive=(("a", "b"),)))
    assert exclusive.digest != plain.digest


def test_prompts_are_no_part_of_the_digest_which_is_that_of_the_release_before():
    plain = LabelSet(name="s", activities=(activity("a"),))
    prompted = LabelSet(name="s", activities=plain.activities, prompts={"preamble": "Look.", "caption": "What?"})
    assert plain.digest == prompted.digest
    assert read_label_set().digest == "09110f055f502c33e7b7050c825d29284683f008b2fcc831ea531fa48ad5cdff"


def test_the_shipped_digest_is_that_of_the_models_that_were_trained_for_it():
    trained = json.loads((resources.files("nrray") / "models/embedded/nrray.json").read_text(encoding="utf-8"))
    assert read_label_set().digest == trained["labels"]["digest"]


def test_the_label_set_of_the_readme_can_be_used(tmp_path):
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(name: .*?)```", text, re.DOTALL)
    (tmp_path / "kitchen.yaml").write_text(example, encoding="utf-8")
    kitchen = read_label_set(tmp_path / "kitchen.yaml")
    assert len(kitchen.rules.exclusive_pairs) == 3
    assert [each.title for each in kitchen.indicators] == ["waiting time", "frying episodes"]


def test_a_label_set_that_is_not_there_is_no_config(tmp_path):
    with pytest.raises(
        ConfigError, match=r"label set file not found: .*none\.yaml\. `nrray init --config labels` writes one"
    ):
        read_label_set(tmp_path / "none.yaml")
