"""JSON documents of an output as strict types: a key that is missing, unknown or wrong is an error that names the file."""

from typing import ClassVar, TypeVar

from pydantic import ValidationError

from nrray.config import Section
from nrray.errors import DataError
from nrray.setting_problems import setting_problems


class Document(Section):
    """The content of one JSON file that has a version. `newest_version` is the one that this nrray writes, `oldest_version` the
    first whose figures mean the same."""

    newest_version: ClassVar[int]
    oldest_version: ClassVar[int] = 1

    schema_version: int


SectionT = TypeVar("SectionT", bound=Section)
DocumentT = TypeVar("DocumentT", bound=Document)

_REMEDY = "Put a copy of the file back, or leave this folder and use another."


def document_from(cls: type[DocumentT], data: object, *, name: str, folder: str) -> DocumentT:
    """`data`, the JSON of the file `name` in `folder`, as a `cls`. Raises DataError, also for one of a newer nrray or of a too
    old one."""
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > cls.newest_version:
        raise DataError(
            f"{name} of {folder} has schema_version {version}; expected at most {cls.newest_version}. A newer nrray wrote "
            f"it: read it with that one."
        )
    if isinstance(version, int) and version < cls.oldest_version:
        raise DataError(
            f"{name} of {folder} has schema_version {version}; expected at least {cls.oldest_version}. An older nrray wrote it, "
            f"whose figures were computed otherwise: delete it and run the command that made it again."
        )
    return section_from(cls, data, name=name, folder=folder)


def section_from(cls: type[SectionT], data: object, *, name: str, folder: str) -> SectionT:
    """As document_from, for a file without a version."""
    if not isinstance(data, dict):
        raise DataError(f"{name} of {folder} holds a {type(data).__name__}; expected a mapping of keys. {_REMEDY}")
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        raise DataError(f"{name} of {folder} {'; '.join(_problems(cls, error))}. {_REMEDY}") from None


def _problems(cls: type[Section], error: ValidationError) -> list[str]:
    """Clauses that begin with a verb: of all missing keys one, of all unknown ones one, of each other key one."""
    keys: dict[str, list[str]] = {"missing": [], "extra_forbidden": []}
    for problem in error.errors(include_url=False):
        if problem["type"] in keys:
            keys[problem["type"]].append(".".join(str(part) for part in problem["loc"]))
    clauses = []
    if missing := keys["missing"]:
        clauses.append(f"lacks {', '.join(missing)}; expected the keys {', '.join(sorted(cls.model_fields))}")
    if unknown := keys["extra_forbidden"]:
        clauses.append(f"has unknown keys {', '.join(unknown)}")
    return clauses + [f"has {line}" for line in setting_problems(cls, error, without=keys)]
