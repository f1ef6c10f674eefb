"""What a prompt says of a label set before it asks: its preamble, its rules, and its activities. Pure text."""

from enum import Enum

from nrray.labels import Activity, LabelSet


class Wording(str, Enum):
    """What of an activity a prompt says."""

    DEFINED = "defined"  # its definition, start and end, and its question
    QUESTION = "question"  # its question alone


class RuleUse(str, Enum):
    """What becomes of the label set's rules where a model answers in words."""

    IGNORED = "ignored"
    TOLD = "told"  # sentences in the prompt
    APPLIED = "applied"  # answers that contradict each other by the rules are unsure, all that take part


def spaced(name: str) -> str:
    """The name of an activity as words."""
    return name.replace("_", " ")


def joined(*parts: str) -> str:
    """The parts that say something, in a row."""
    return " ".join(part for part in parts if part)


def preface(label_set: LabelSet, rules: RuleUse) -> str:
    """What stands before every prompt: the preamble and, where they are told, the rules; "" where there is neither."""
    told = rules_told(label_set) if rules is RuleUse.TOLD else ""
    return joined((label_set.prompts.preamble or "").strip(), told)


def rules_told(label_set: LabelSet) -> str:
    """The rules as sentences; "" where there are none."""
    visible = label_set.rules.requires_visible
    sentences = [
        f"At most one of these goes on at a time: {', '.join(map(spaced, group))}."
        for group in label_set.rules.exclusive
    ]
    if visible is not None:
        sentences.insert(0, f"Nothing else goes on where this is not so: {spaced(visible)}.")
    return " ".join(sentences)


def activity_lines(label_set: LabelSet, wording: Wording, *, spaced_names: bool) -> str:
    """A line for each activity: its name, and what is said of it."""
    return "\n".join(
        f"- {spaced(activity.name) if spaced_names else activity.name}: {_said(activity, wording)}"
        for activity in label_set.activities
    )


def _said(activity: Activity, wording: Wording) -> str:
    return (activity.description if wording is Wording.DEFINED else "") or activity.question
