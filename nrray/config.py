"""Strict YAML configs: text in, frozen pydantic sections out. Unknown keys are errors that name the closest match.

Each section class lives beside the code that it configures; a verb's config composes sections. This module knows none
of them.
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from nrray.errors import ConfigError
from nrray.nested import MAX_YAML_BYTES, yaml_from
from nrray.setting_problems import setting_problems


class Section(BaseModel):
    """Base of all config sections: frozen, no unknown keys, defaults checked too, every number finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_values_are_not_converted(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            allowed = {
                getattr(each, "__origin__", each) for each in (annotation, *get_args(annotation))
            }  # of Annotated
            if bool not in allowed and allowed & {int, float, str}:
                raise ValueError("YAML reads yes, no, on and off as truth values; give a number, or text in quotes")
        return value


SectionT = TypeVar("SectionT", bound=Section)


_MAX_SHOWN = 200  # characters of a setting that was given
# Text that begins with one of these is YAML of its own, not plain text.
_YAML_MARKS = ("'", '"', "[", "{", "|", ">", "&", "*", "!")


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice: YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node in (key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"):
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                line = node.start_mark.line + 1
                raise ConfigError(f"key '{key}' is given twice in the mapping that starts at line {line}: keep one.")
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load_config(
    cls: type[SectionT],
    path: str | Path | None,
    overrides: Sequence[str] = (),
    *,
    defaults: Mapping[str, Any] | None = None,
) -> SectionT:
    """Read `path` (or only the defaults where it is None), apply `key.path=value` overrides, validate. defaults: of whole keys,
    before those of `cls`.

    Raises ConfigError with one line per problem, each with the key's path and, for a misspelt key, its closest match.
    """
    data: dict[str, Any] = {}
    where = "the settings"
    if path is not None:
        where = f"{path} and --set" if overrides else str(path)
        data = read_mapping(path)
    for override in overrides:
        _apply_override(data, override)
    data = {**(defaults or {}), **data}
    return validate_mapping(cls, data, where=where)


def read_mapping(path: str | Path, *, kind: str = "config", name: str = "VERB") -> dict[str, Any]:
    """The YAML mapping in `path`: a file of this kind, of which `nrray init --config NAME` writes one. Raises ConfigError where
    there is none."""
    file = Path(path)
    try:
        with file.open("rb") as stream:  # of a device, which has no end, no more than a config may have
            text = stream.read(4 * MAX_YAML_BYTES + 1).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{kind} file not found: {file}. `nrray init --config {name}` writes one.") from None
    except IsADirectoryError:
        raise ConfigError(
            f"{kind} file {file}: found a folder, expected a YAML file. A folder goes into a setting, such as "
            f"--set archive={file}."
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{kind} file {file}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8. Save the file as UTF-8."
        ) from None
    except OSError as error:
        raise ConfigError(f"{kind} file {file} cannot be read: {error.strerror}. Change its mode or owner.") from None
    try:
        data = yaml_from(text, _UniqueKeyLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{file} is not valid YAML: {_yaml_problem(error)}") from None
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{file} holds a {type(data).__name__}; expected a mapping of settings.")
    return data


def _yaml_problem(error: yaml.YAMLError | ValueError) -> str:
    """Where a text stops to be YAML, and why, on one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    why = ", ".join(part for part in (error.context, error.problem) if part)
    return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {why}. Mend the text there."


def validate_mapping(cls: type[SectionT], data: dict[str, Any], *, where: str) -> SectionT:
    """`data` as a `cls`. Raises ConfigError that lists all problems at once."""
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        lines = setting_problems(cls, error)
        raise ConfigError(f"{where}: {len(lines)} problem(s)\n" + "\n".join(f"  {line}" for line in lines)) from None


def _apply_override(data: dict[str, Any], override: str) -> None:
    key_path, equals, text = override.partition("=")
    if not equals or not key_path.strip():
        raise ConfigError(f"--set {_shown(override)}: expected key.path=value, for example --set model.device=cpu")
    try:
        value = yaml_from(text, _UniqueKeyLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--set {_shown(override)}: the value is not valid YAML: {_yaml_problem(error)}") from None
    if isinstance(value, str) and not text.lstrip().startswith(_YAML_MARKS):
        value = text.strip()  # YAML would cut a path at " #"
    *parents, last = key_path.strip().split(".")
    target = data
    for parent in parents:
        if target.get(parent) is None:  # absent, or a section left empty
            target[parent] = {}
        child = target[parent]
        if not isinstance(child, dict):
            raise ConfigError(f"--set {_shown(override)}: '{parent}' is a single value, it has no '{last}'.")
        target = child
    target[last] = value


def _shown(override: str) -> str:
    return repr(override if len(override) <= _MAX_SHOWN else f"{override[:_MAX_SHOWN]}...")
