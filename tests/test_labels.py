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
        ("name: s\nactivities: []", "at least 1"),
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
