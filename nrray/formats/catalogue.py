"""The catalogue of formats: a line for each, the format of a file by its suffix and its beginning, and the settings that concern
each format."""

from collections.abc import Iterable, Mapping, Set
from pathlib import PurePosixPath

from nrray.errors import ConfigError, DataError
from nrray.formats.boris import BORIS
from nrray.formats.boris_aggregated import BORIS_AGGREGATED
from nrray.formats.delimited import DELIMITED, ELAN_TAB
from nrray.formats.elan import ELAN
from nrray.formats.file_format import FileFormat
from nrray.formats.label_studio import LABEL_STUDIO
from nrray.formats.millisecond_text import MILLISECOND_TEXT
from nrray.formats.options import ExportConfig, Format, ImportConfig, ReadOptions
from nrray.formats.webvtt import WEBVTT
from nrray.nested import json_from

CATALOGUE: Mapping[Format, FileFormat] = {
    Format.MILLISECOND_TEXT: MILLISECOND_TEXT,
    Format.DELIMITED: DELIMITED,
    Format.ELAN: ELAN,
    Format.ELAN_TAB: ELAN_TAB,
    Format.BORIS: BORIS,
    Format.BORIS_AGGREGATED: BORIS_AGGREGATED,
    Format.LABEL_STUDIO: LABEL_STUDIO,
    Format.WEBVTT: WEBVTT,
}
WRITE_OPTIONS = ("time_unit", "fps")


def format_of(file: str, data: bytes, config: ImportConfig) -> Format:
    """The format that is set, or else the one that the file's suffix and beginning show. Raises DataError."""
    if config.format != "auto":
        return config.format
    suffix = PurePosixPath(file.lower()).suffix
    for kind, found in CATALOGUE.items():
        if found.owns_suffix and suffix == found.suffix:
            return kind
    if suffix == ".json":
        return _json_format(data, file=file)
    if suffix in (".txt", ".tsv", ".csv"):
        return _text_format(data, suffix, config, file=file)
    named = f"with the suffix {suffix}" if suffix else "without a suffix"
    raise DataError(f"{file}: no format has files {named}; {_choices()}")


def check_read_options(config: ImportConfig, kinds: Set[Format]) -> None:
    """Raises ConfigError for an option that was set and concerns none of the formats that are read."""
    for name, field in ReadOptions.model_fields.items():
        concerned = [kind for kind, found in CATALOGUE.items() if name in found.read_options]
        if getattr(config, name) != field.default and not kinds & set(concerned):
            raise ConfigError(
                f"{name} has no effect: it concerns {_listed(concerned)}, and the files are "
                f"{', '.join(sorted(kind.value for kind in kinds))}. Leave it out, or set format."
            )


def check_write_options(config: ExportConfig) -> None:
    """Raises ConfigError for an option that was set and does not concern the format that is written."""
    for name in WRITE_OPTIONS:
        is_set = getattr(config, name) != ExportConfig.model_fields[name].default
        if is_set and name not in CATALOGUE[config.format].write_options:
            concerned = [kind for kind, found in CATALOGUE.items() if name in found.write_options]
            raise ConfigError(
                f"{name} has no effect: it concerns {_listed(concerned)}, and format is {config.format.value}"
            )


def _json_format(data: bytes, *, file: str) -> Format:
    try:
        value = json_from(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON in UTF-8: {error}") from None
    for kind, found in CATALOGUE.items():
        if found.is_json is not None and found.is_json(value):
            return kind
    raise DataError(f"{file}: neither a BORIS project nor Label Studio's list of tasks; {_choices()}")


def _text_format(data: bytes, suffix: str, config: ImportConfig, *, file: str) -> Format:
    """Programs write their own headers; a map of columns, or a suffix of tables, means delimited."""
    first = data.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    for kind, found in CATALOGUE.items():
        if found.is_first_line is not None and found.is_first_line(first):
            return kind
    if first.startswith(b"Observation id"):
        raise DataError(
            f"{file}: tabular events of BORIS, with starts and stops on lines of their own. Import the BORIS project, or "
            f"export with Observations > Export events > Aggregated events."
        )
    if config.columns is not None or config.time_unit is not None or suffix in (".csv", ".tsv"):
        return Format.DELIMITED
    return Format.MILLISECOND_TEXT


def _listed(kinds: Iterable[Format]) -> str:
    return " and ".join(kind.value for kind in kinds)


def _choices() -> str:
    return f"set format to one of {[item.value for item in Format]}"
