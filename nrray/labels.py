"""The label set: activities, their definitions, questions and rules. Read from one YAML file; knows no model."""

import hashlib
import json
from importlib import resources
from pathlib import Path

from pydantic import Field, model_validator

from nrray.config import Section, read_mapping, validate_mapping


class Activity(Section):
    """One activity; it must cover the share `positive_coverage` of a window for the window to be positive."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    definition: str
    starts: str
    ends: str
    question: str
    positive_coverage: float = Field(0.5, gt=0, le=1)


class Rules(Section):
    """Combinations of activities that cannot be present at once."""

    requires_visible: str | None = None
    exclusive: tuple[tuple[str, str], ...] = ()


class LabelSet(Section):
    """An ordered set of activities; a model's head has one output per activity, in this order."""

    name: str
    activities: tuple[Activity, ...] = Field(min_length=1)
    rules: Rules = Rules()

    @model_validator(mode="after")
    def _names_exist(self) -> "LabelSet":
        names = [activity.name for activity in self.activities]
        if len(set(names)) != len(names):
            raise ValueError(f"activity names repeat: {names}")
        mentioned = {name for pair in self.rules.exclusive for name in pair}
        if self.rules.requires_visible is not None:
            mentioned.add(self.rules.requires_visible)
        if unknown := sorted(mentioned - set(names)):
            raise ValueError(f"rules name unknown activities {unknown}; activities are {names}")
        if alone := [first for first, second in self.rules.exclusive if first == second]:
            raise ValueError(f"rules say that {alone} exclude themselves: expected pairs of two activities")
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

    @property
    def digest(self) -> str:
        """sha256 of the whole content, independent of YAML layout."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def read_label_set(path: str | Path | None = None) -> LabelSet:
    """The label set in `path`, or the newborn-resuscitation set that ships with the package. Raises ConfigError."""
    if path is None:
        shipped = resources.files("nrray") / "data" / "labels.yaml"
        with resources.as_file(shipped) as file:
            return validate_mapping(LabelSet, read_mapping(file), where="the shipped label set")
    return validate_mapping(LabelSet, read_mapping(path), where=str(path))
