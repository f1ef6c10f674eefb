"""Shared by the verbs: their options, how much they say, their settings, and a `--help` that lists the settings."""

import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from typer.core import TyperCommand

from nrray.config import Section, SectionT, load_config
from nrray.errors import ConfigError

if TYPE_CHECKING:
    from nrray.console.reporter import Reporter

ConfigArgument = Annotated[
    Path | None, typer.Argument(metavar="[CONFIG.yaml]", help="Settings; `nrray init --config VERB` writes one.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="key.path=value", help="Override one setting; may be repeated.")
]
_JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of sentences, also of an error.")
]
_QuietOption = Annotated[bool, typer.Option("--quiet", help="Print errors alone; the log in the output has the rest.")]
_VerboseOption = Annotated[bool, typer.Option("--verbose", help="Print details too, and the traceback of an error.")]
AllowRemoteOption = Annotated[
    bool,
    typer.Option("--allow-remote", help="Frames may go to a server outside this house (strategy.engine.kind=openai)."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.")]


def config_words(config: Path | None, overrides: list[str] | None) -> list[str]:
    """The words of a command line that gave these settings."""
    words = [str(config)] if config is not None else []
    return words + [word for override in overrides or () for word in ("--set", override)]


def with_reporter(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with options that say how much it prints; its first argument is the reporter that they choose."""
    _, *own = inspect.signature(verb).parameters.values()

    @wraps(verb)
    def call(*, as_json: bool, quiet: bool, verbose: bool, **arguments: Any) -> None:
        from nrray.console.reporter import Reporter

        reporter = Reporter(is_json=as_json, is_quiet=quiet, is_verbose=verbose)
        with reporter.started(verb.__name__.strip("_").replace("_", "-")):
            verb(reporter, **arguments)

    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in (("as_json", _JsonOption), ("quiet", _QuietOption), ("verbose", _VerboseOption))
    ]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *options)]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def settings_given(
    cls: type[SectionT], verb: str, config: Path | None, overrides: Sequence[str] | None, reporter: "Reporter"
) -> SectionT:
    """The settings of a verb: of the config file and --set, and what these do not give of nrray.yaml, which is said. Raises
    ConfigError."""
    from nrray.project import PROJECT_FILE, read_project, verb_settings

    project = read_project()
    given = verb_settings(project, verb) if project is not None else {}
    try:
        settings = load_config(cls, config, overrides or (), defaults=given)
    except ConfigError as error:
        if project is None and "is required and was not given" in str(error):
            raise ConfigError(f"{error}\n`nrray init` writes {PROJECT_FILE}, which gives them to every verb.") from None
        raise
    taken = [f"{key}={value}" for key, value in given.items() if getattr(settings, key) == value]
    if taken:
        reporter.say(f"{PROJECT_FILE}: {', '.join(taken)}")
    reporter.detail(f"settings of nrray {verb}: {settings.model_dump_json()}")
    return settings


def project_output(verb: str) -> str:
    """The output of a verb in the project of the working folder. Raises ConfigError where there is no project."""
    from nrray.project import PROJECT_FILE, read_project, verb_settings

    project = read_project()
    if project is None:
        raise ConfigError(
            f"found neither an output nor {PROJECT_FILE} in this folder, expected one of them: give the output."
        )
    return verb_settings(project, verb)["output"]


def with_settings(module: str, name: str) -> type[TyperCommand]:
    """A command whose `--help` ends with the settings of section `name`, which is imported only for that."""

    class WithSettings(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            super().format_help(ctx, formatter)
            table = Table.grid(padding=(0, 2))
            table.add_column(style="bold", no_wrap=True)
            table.add_column(overflow="fold", max_width=24)
            table.add_column()
            for key, default, description in settings_of(getattr(import_module(module), name)):
                table.add_row(*(escape(text) for text in (key, default, description)))
            title = "Settings: --set KEY=VALUE, or in CONFIG.yaml"
            Console(highlight=False).print(Panel(table, title=title, title_align="left", border_style="dim"))

    return WithSettings


def settings_of(
    section: type[Section], default: Section | None = None, prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Key path, default and description of every setting; those of a section in it follow where it stands. `default` is
    the section's value where no key of it is given, if that differs from its own defaults."""
    for name, field in section.model_fields.items():
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        if default is not None:
            value = getattr(default, name)
        if isinstance(value, Section):
            yield from settings_of(type(value), value, f"{prefix}{name}.")
        else:
            is_asked = field.is_required() and default is None
            yield f"{prefix}{name}", "required" if is_asked else _as_written(value), _described(field)


def _described(field: FieldInfo) -> str:
    """The description of a setting, and its choices where they are a few words."""
    kind = field.annotation
    choices = ""
    if isinstance(kind, type) and issubclass(kind, Enum):
        choices = ", ".join(str(member.value) for member in kind)
    return "; ".join(part for part in (field.description or "", choices) if part)


def _as_written(value: Any) -> str:
    """A default as it is written in YAML."""
    if value is None or value in ((), [], {}):
        return "-"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_as_written(item) for item in value)}]"
    return value if isinstance(value, str) else json.dumps(value, default=str)
