"""The label set: activities, their definitions and questions, rules, prompts, and the indicators of a case. Read from one YAML
file; knows no model and no domain."""

import hashlib
import json
from collections import Counter
from enum import Enum
from importlib import resources
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from nrray.config import Section, read_mapping, validate_mapping
from nrray.label_prompts import NOTHING_SEEN, ActivityPrompts, Prompts, claims_and_denials, claims_any

NAME_PATTERN = r"^[a-z][a-z0-9_]*$"


class Activity(Section):
    """One activity; a window of which it covers more than the share `positive_coverage`, or all, is positive."""

    name: str = Field(pattern=NAME_PATTERN)
    definition: str | None = None
    starts: str | None = None
    ends: str | None = None
    question: str
    positive_coverage: float = Field(0.5, gt=0, le=1)

    @property
    def description(self) -> str:
        """What definition, start and end say, in sentences; "" where they say nothing."""
        parts = ((self.definition, ""), (self.starts, "It starts: "), (self.ends, "It ends: "))
        return " ".join(f"{before}{_sentence(text)}" for text, before in parts if text and text.strip())

    def is_positive(self, covered_us: NDArray[np.int64], window_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(W,) whether (W,) covered microseconds make windows of (W,) microseconds positive: more than the share of each, as
        the field counts, or the whole window, which no activity can exceed."""
        # Products such as 0.7 * 3,000,000 fall short of a whole number by a rounding error, far below a microsecond.
        is_more = covered_us - self.positive_coverage * window_us > 1e-3
        positive: NDArray[np.bool_] = is_more | ((covered_us >= window_us) & (covered_us > 0))
        return positive


class Rules(Section):
    """Combinations of activities that cannot be present at once. exclusive: groups, such as phases, of which at most one goes
    on at a time."""

    requires_visible: str | None = None
    exclusive: tuple[tuple[str, ...], ...] = ()

    @field_validator("exclusive")
    @classmethod
    def _groups_of_two_or_more(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for group in groups:
            if repeated := [name for name, count in Counter(group).items() if count > 1]:
                raise ValueError(f"{repeated} exclude themselves in {list(group)}: expected different activities")
            if len(group) < 2:
                raise ValueError(f"found the group {list(group)}, expected two or more activities")
        return groups

    @property
    def exclusive_pairs(self) -> tuple[tuple[str, str], ...]:
        """Every pair of every group, in their order."""
        return tuple(pair for group in self.exclusive for pair in combinations(group, 2))


class IndicatorKind(str, Enum):
    """What an indicator says of its `activity` in one case. Gaps up to the merge gap are closed first."""

    TIME_TO_FIRST = "time_to_first"  # s from the zero of the clock to the first onset
    BEGUN_WITHIN = "begun_within"  # yes or no: the first onset is at most `seconds` after the zero
    FRACTION = "fraction"  # share of the `seconds` from the first onset on
    INTERRUPTION = "interruption"  # s without it, of the `seconds` from the first onset on
    INTERRUPTION_DURING = "interruption_during"  # share of that interruption in which `other` goes on
    EPISODES = "episodes"  # number
    TOTAL = "total"  # s
    MEDIAN_EPISODE = "median_episode"  # s
    BEFORE_FIRST = "before_first"  # s before the first onset of `other`
    INSIDE_GAPS = "inside_gaps"  # s in the gaps between the first onset and the last end of `other`
    ALONE = "alone"  # s in which no other activity of the label set goes on


_NEEDS_SECONDS = (
    IndicatorKind.BEGUN_WITHIN,
    IndicatorKind.FRACTION,
    IndicatorKind.INTERRUPTION,
    IndicatorKind.INTERRUPTION_DURING,
)
_NEEDS_OTHER = (IndicatorKind.INTERRUPTION_DURING, IndicatorKind.BEFORE_FIRST, IndicatorKind.INSIDE_GAPS)


class IndicatorSection(Section):
    """One indicator of a case. About an activity that the label set or a source does not label it is not known, and says so: a
    label set may lack an activity and keep the indicators about it."""

    kind: IndicatorKind
    activity: str
    seconds: float | None = Field(
        None, gt=0, description="of begun_within, fraction, interruption, interruption_during"
    )
    other: str | None = Field(None, description="of interruption_during, before_first, inside_gaps")
    name: str | None = Field(
        None, min_length=1, description="in reports; made of kind and activity where none is given"
    )

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "IndicatorSection":
        for key, kinds in (("seconds", _NEEDS_SECONDS), ("other", _NEEDS_OTHER)):
            is_given = getattr(self, key) is not None
            if is_given != (self.kind in kinds):
                what = "needs" if self.kind in kinds else "has no"
                raise ValueError(f"an indicator of kind {self.kind.value} {what} `{key}`")
        if self.other == self.activity:
            raise ValueError(f"found {self.activity} as `activity` and as `other`, expected two activities")
        return self

    @property
    def title(self) -> str:
        """The name that reports print."""
        activity, other = self.activity, self.other
        seconds = "" if self.seconds is None else f"{self.seconds:g} s"
        return (
            self.name
            or {
                IndicatorKind.TIME_TO_FIRST: f"time to first {activity}",
                IndicatorKind.BEGUN_WITHIN: f"{activity} within {seconds}",
                IndicatorKind.FRACTION: f"{activity} fraction, first {seconds}",
                IndicatorKind.INTERRUPTION: f"interruption in the first {seconds} of {activity}",
                IndicatorKind.INTERRUPTION_DURING: f"interruption in the first {seconds} of {activity} during {other}",
                IndicatorKind.EPISODES: f"{activity} episodes",
                IndicatorKind.TOTAL: f"total {activity}",
                IndicatorKind.MEDIAN_EPISODE: f"median {activity} episode",
                IndicatorKind.BEFORE_FIRST: f"{activity} before first {other}",
                IndicatorKind.INSIDE_GAPS: f"{activity} inside {other} gaps",
                IndicatorKind.ALONE: f"{activity} alone",
            }[self.kind]
        )


class ClockSection(Section):
    """The instants of a case that indicators count from. An instant is a column of the case sidecar without its `_us`."""

    zero: tuple[str, ...] = Field(
        (), description="times count from the first of these that is known of a case, else from where it can be seen"
    )
    arrival: str | None = Field(None, description="the instant from which on cameras can see the case")


class LabelSet(Section):
    """An ordered set of activities; a model's head has one output per activity, in this order."""

    name: str
    activities: tuple[Activity, ...] = Field(min_length=1)
    rules: Rules = Rules()
    prompts: Prompts = Prompts()
    clock: ClockSection = ClockSection()
    indicators: tuple[IndicatorSection, ...] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> "LabelSet":
        names = [activity.name for activity in self.activities]
        if len(set(names)) != len(names):
            raise ValueError(f"activity names repeat: {names}")
        mentioned = {name for group in self.rules.exclusive for name in group}
        if self.rules.requires_visible is not None:
            mentioned.add(self.rules.requires_visible)
        if unknown := sorted(mentioned - set(names)):
            raise ValueError(f"rules name unknown activities {unknown}; activities are {names}")
        if unknown := sorted(set(self.prompts.activities) - set(names)):
            raise ValueError(f"prompts name unknown activities {unknown}; activities are {names}")
        if twice := [title for title, count in Counter(each.title for each in self.indicators).items() if count > 1]:
            raise ValueError(f"indicators repeat: {twice}; give each its own `name`")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(activity.name for activity in self.activities)

    @property
    def excluded_from_macro(self) -> tuple[str, ...]:
        """The activity that tells whether there is somebody to see: it is nearly always there and would flatter an average."""
        return () if self.rules.requires_visible is None else (self.rules.requires_visible,)

    @property
    def macro_activities(self) -> tuple[str, ...]:
        """Activities that a macro average is taken over."""
        return tuple(name for name in self.names if name not in self.excluded_from_macro)

    def caption_focus(self, name: str) -> str:
        """What a caption about an activity pays attention to."""
        activity = self._activity(name)
        return self._prompts(name).focus or activity.description or activity.question

    def present_example(self, name: str) -> str:
        """A caption of which an activity is true."""
        definition = (self._activity(name).definition or "").strip()
        return self._prompts(name).present_example or _sentence(definition or f"This is seen: {_spaced(name)}")

    def absent_example(self, name: str) -> str:
        """A caption of which an activity is not true."""
        return self._prompts(name).absent_example or NOTHING_SEEN

    def claims(self, name: str) -> tuple[str, ...]:
        """Phrases by which a caption claims an activity, as `ActivityPrompts` has them."""
        return self._prompts(name).claims or (_spaced(name),)

    def claimed(self, caption: str) -> tuple[bool, ...]:
        """Whether a caption claims each activity, in order."""
        negations = self.prompts.negations
        return tuple(claims_any(caption, self.claims(name), negations=negations) for name in self.names)

    def claimed_and_denied(self, caption: str, name: str) -> tuple[bool, bool]:
        """Whether a caption claims an activity, and whether it denies it; neither where it says nothing of it."""
        return claims_and_denials(caption, self.claims(name), negations=self.prompts.negations)

    def _activity(self, name: str) -> Activity:
        return self.activities[self.names.index(name)]

    def _prompts(self, name: str) -> ActivityPrompts:
        return self.prompts.activities.get(name, ActivityPrompts())

    @property
    def digest(self) -> str:
        """sha256 of all that can decide a label by itself, independent of YAML layout. Prompts decide one where a model is given
        them, and stand in the identity of its output; indicators are read from labels and decide none."""
        content = self.model_dump(mode="json", exclude={"prompts", "clock", "indicators"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_label_set(path: str | Path | None = None) -> LabelSet:
    """The label set in `path`, or the one that ships with the package. Raises ConfigError."""
    if path is None:
        shipped = resources.files("nrray") / "data" / "labels.yaml"
        with resources.as_file(shipped) as file:
            return validate_mapping(LabelSet, read_mapping(file), where="the shipped label set")
    return validate_mapping(LabelSet, read_mapping(path, kind="label set", name="labels"), where=str(path))


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _sentence(text: str) -> str:
    stripped = text.strip()
    return stripped if stripped.endswith((".", "!", "?")) else f"{stripped}."
