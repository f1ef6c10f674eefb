"""Which reader a file takes, by its suffix and its first lines, and which options concern which format."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePosixPath

from nrray.errors import ConfigError, DataError
from nrray.formats.boris import read_boris
from nrray.formats.boris_aggregated import read_boris_aggregated
from nrray.formats.delimited import read_delimited, read_elan_tab
from nrray.formats.elan import read_elan
from nrray.formats.label_studio import read_label_studio
from nrray.formats.millisecond_text import read_millisecond_file
from nrray.formats.options import Format, ImportConfig, ReadOptions
from nrray.formats.reading import ParsedFile
from nrray.formats.webvtt import read_webvtt

Reader = Callable[..., ParsedFile]
"""(data, *, file, options, videos) to a ParsedFile."""

_CONCERNED: Mapping[str, tuple[Format, ...]] = {
    "columns": (Format.DELIMITED, Format.ELAN_TAB),
    "time_unit": (Format.DELIMITED, Format.ELAN_TAB),
    "delimiter": (Format.DELIMITED,),
    "skip_rows": (Format.DELIMITED, Format.ELAN_TAB),
    "fps": (Format.DELIMITED, Format.LABEL_STUDIO),
    "activity_from": (Format.ELAN,),
    "unset_time_slots": (Format.ELAN,),
    "open_states": (Format.BORIS,),
}


def reader_of(kind: Format, *, known_names: frozenset[str]) -> Reader:
    """`known_names` are the activity names that make an ELAN tier's id an activity."""
    readers: dict[Format, Reader] = {
        Format.MILLISECOND_TEXT: read_millisecond_file,
        Format.DELIMITED: read_delimited,
        Format.ELAN: partial(read_elan, known_names=known_names),
        Format.ELAN_TAB: read_elan_tab,
        Format.BORIS: read_boris,
        Format.BORIS_AGGREGATED: read_boris_aggregated,
        Format.LABEL_STUDIO: read_label_studio,
        Format.WEBVTT: read_webvtt,
    }
    return readers[kind]


def format_of(file: str, data: bytes, config: ImportConfig) -> Format:
    """The format that is set, or else the one that the file's suffix and beginning show. Raises DataError."""
    if config.format != "auto":
        return config.format
    suffix = PurePosixPath(file.lower()).suffix
    if fixed := {".eaf": Format.ELAN, ".boris": Format.BORIS, ".vtt": Format.WEBVTT}.get(suffix):
        return fixed
    if suffix == ".json":
        return _json_format(data, file=file)
    if suffix in (".txt", ".tsv", ".csv"):
        return _text_format(data, suffix, config, file=file)
    raise DataError(f"{file}: nothing known reads {suffix or 'a file without suffix'}; {_choices()}")


def check_options(config: ImportConfig, kinds: set[Format]) -> None:
    """Raises ConfigError for an option that was set and concerns none of the formats that are read."""
    for name, concerned in _CONCERNED.items():
        is_set = getattr(config, name) != ReadOptions.model_fields[name].default
        if is_set and not kinds & set(concerned):
            raise ConfigError(
                f"{name} has no effect: it concerns {' and '.join(item.value for item in concerned)}, and the files are "
                f"{', '.join(sorted(kind.value for kind in kinds))}. Leave it out, or set format."
            )


def _json_format(data: bytes, *, file: str) -> Format:
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON in UTF-8: {error}") from None
    if isinstance(value, dict) and "observations" in value:
        return Format.BORIS
    if isinstance(value, list):
        return Format.LABEL_STUDIO
    raise DataError(f"{file}: neither a BORIS project nor Label Studio's list of tasks; {_choices()}")


def _text_format(data: bytes, suffix: str, config: ImportConfig, *, file: str) -> Format:
    """BORIS and ELAN write their own headers; a map of columns, or a suffix of tables, means delimited."""
    first = data.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    if b"Observation id" in first and b"Behavior type" in first:
        return Format.BORIS_AGGREGATED
    if first.startswith(b"Observation id"):
        raise DataError(
            f"{file}: tabular events of BORIS, with starts and stops on lines of their own. Import the BORIS project, or "
            f"export with Observations > Export events > Aggregated events."
        )
    if first.startswith(b"Tier\t") or b"\tBegin Time - " in first:
        return Format.ELAN_TAB
    if config.columns is not None or config.time_unit is not None or suffix in (".csv", ".tsv"):
        return Format.DELIMITED
    return Format.MILLISECOND_TEXT


def _choices() -> str:
    return f"set format to one of {[item.value for item in Format]}"
