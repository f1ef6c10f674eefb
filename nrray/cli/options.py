"""Shared by the verbs that take settings: their arguments, and a `--help` that lists the settings."""

import json
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from typer.core import TyperCommand

from nrray.config import Section

ConfigArgument = Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", help="Settings; see configs/.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="key.path=value", help="Override one setting; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of sentences.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.")]


def config_words(config: Path | None, overrides: list[str] | None) -> list[str]:
    """The words of a command line that gave these settings."""
    words = [str(config)] if config is not None else []
    return words + [word for override in overrides or () for word in ("--set", override)]


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
