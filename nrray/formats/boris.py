"""BORIS project files (JSON, format 7.0): states are unpaired toggles per subject and behaviour, written as such.

Event times count from the start of the observation over all files of player 1, plus the observation's time offset.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from nrray.errors import DataError
from nrray.formats.file_format import FileFormat, ReadContext, SourceKept, VideoAnnotations, json_file
from nrray.formats.options import OpenStates
from nrray.formats.reading import (
    Observation,
    ParsedFile,
    ParsedSegment,
    Problems,
    json_value,
    list_of,
    mapping_of,
    seconds_us,
)
from nrray.formats.videos import seconds_text
from nrray.intervals import Interval
from nrray.types import Extent, Segment
from nrray.wording import counted

_FIELDS = 3  # an event is [time, subject, behaviour, modifiers, comment, ...]


@dataclass(frozen=True, kw_only=True)
class MediaFile:
    """A file of an observation and where it stands on the observation's time; `end_us` None: its length is not known."""

    name: str
    start_us: int
    end_us: int | None


def read_boris(data: bytes, *, file: str, context: ReadContext) -> ParsedFile:
    """Problems and DataError name observation, behaviour and time."""
    project = json_value(data, file=file)
    if not isinstance(project, dict) or not isinstance(project.get("observations"), dict):
        raise DataError(f"{file} is no BORIS project: expected a mapping with `observations`")
    ethogram = mapping_of(project.get("behaviors_conf"), where=f"{file}, behaviors_conf").values()
    behaviours = [mapping_of(item, where=f"{file}, behaviors_conf") for item in ethogram]
    types = {str(item.get("code")): str(item.get("type")) for item in behaviours}
    observations: list[Observation] = []
    live: list[int] = []
    parallel: list[str] = []
    left_out: Counter[str] = Counter()
    for name, value in project["observations"].items():
        with context.problems.gathering():
            where = f"{file}, observation {name!r}"
            observation = mapping_of(value, where=where)
            events = list_of(observation.get("events"), where=f"{where}, events")
            media = _media(observation, where=where)
            if not media:
                live.append(len(events))
                continue
            if sum(bool(files) for files in observation["file"].values()) > 1:
                parallel.append(name)
            offset_us, num_before = _offset_us(observation, where=where), len(context.problems.errors)
            toggles = _toggles(
                events, types, offset_us=offset_us, left_out=left_out, problems=context.problems, where=where
            )
            if len(context.problems.errors) == num_before:  # else a start or a stop is missing in the pairs
                observations += _observations(name, toggles, media, observation, context=context, where=where)
    notes = []
    if live:
        notes.append(f"{counted(len(live), 'observation')} without video with {counted(sum(live), 'event')} left out.")
    if parallel:
        notes.append(f"Where several videos ran at a time, segments went to player 1's: {parallel}.")
    if left_out["points"]:
        notes.append(f"{counted(left_out['points'], 'point event')} left out: an instant is no interval.")
    if left_out["modifiers"]:
        notes.append(f"Modifiers of {counted(left_out['modifiers'], 'state event')} not kept.")
    if left_out["subjects"]:
        notes.append(f"Subjects of {counted(left_out['subjects'], 'state event')} not kept.")
    return ParsedFile(observations=observations, notes=notes)


def _toggles(
    events: Sequence[Any],
    types: Mapping[str, str],
    *,
    offset_us: int,
    left_out: Counter[str],
    problems: Problems,
    where: str,
) -> dict[tuple[str, str, str], list[int]]:
    """Media times of state events by (subject, behaviour, modifiers), which is how BORIS itself pairs them."""
    toggles: dict[tuple[str, str, str], list[int]] = {}
    for event in events:
        with problems.gathering():
            if not isinstance(event, list) or len(event) < _FIELDS:
                raise DataError(f"{where}: found the event {event!r}, expected [time, subject, behaviour, ...]")
            subject, behaviour, modifiers = str(event[1]), str(event[2]), str(event[3]) if len(event) > _FIELDS else ""
            if behaviour not in types:
                raise DataError(f"{where}: behaviour {behaviour!r} at {event[0]} s is not in the project's ethogram")
            if "point" in types[behaviour].lower():
                left_out["points"] += 1
                continue
            modifiers = "" if modifiers == "None" else modifiers
            left_out["modifiers"] += modifiers != ""
            left_out["subjects"] += subject != ""
            time_us = seconds_us(event[0], where=f"{where}, {behaviour!r}") - offset_us
            toggles.setdefault((subject, behaviour, modifiers), []).append(time_us)
    return toggles


def split_over_media(
    start_us: int, end_us: int, media: Sequence[MediaFile], *, where: str
) -> list[tuple[str, int, int]]:
    """(file, start, end) in each file's own time of an interval on the observation's time, cut at borders of files."""
    last = media[-1]
    if last.end_us is not None and end_us > last.end_us + 1_000_000:
        raise DataError(f"{where}: ends at {seconds_text(end_us)}, the media end at {seconds_text(last.end_us)}")
    parts = []
    for item in media:
        item_end_us = end_us if item is last or item.end_us is None else item.end_us
        first, stop = max(start_us, item.start_us if item is not media[0] else start_us), min(end_us, item_end_us)
        if first < stop or (first == stop == start_us == end_us):
            parts.append((item.name, first - item.start_us, stop - item.start_us))
            if start_us == end_us:
                break
    return parts or [(last.name, start_us - last.start_us, end_us - last.start_us)]


def boris_text(video: VideoAnnotations) -> str:
    """A project with one observation per source; the segments of one activity and source do not overlap.

    Where a source has one extent it is the observation's time interval.
    """
    return json_file(_project(video.path, video.segments, video.extents, length_us=video.length_us))


def _project(
    video_path: str, segments: Sequence[Segment], extents: Sequence[Extent], *, length_us: int
) -> dict[str, Any]:
    names = sorted({segment.activity for segment in segments})
    observations = {}
    for source in sorted({item.source for item in segments} | {item.source for item in extents}):
        mine = [segment for segment in segments if segment.source == source]
        seen = [extent for extent in extents if extent.source == source]
        interval = [seen[0].start_us / 1e6, seen[0].end_us / 1e6] if len(seen) == 1 else [0, 0]
        times = [(time, item.activity) for item in mine for time in (item.start_us, item.end_us)]
        observations[source] = {
            "file": {"1": [video_path]},
            "type": "MEDIA",
            "date": "1970-01-01T00:00:00",  # required; the same input gives the same file
            "description": "",
            "time offset": 0.0,
            "events": [[time_us / 1e6, "", activity, "", ""] for time_us, activity in sorted(times)],
            "observation time interval": interval,
            "independent_variables": {},
            "close_behaviors_between_videos": False,
            "media_info": {
                "length": {video_path: length_us / 1e6},
                "fps": {},
                "hasVideo": {video_path: True},
                "hasAudio": {},
                "offset": {"1": 0.0},
            },
        }
    behaviour = {"type": "State event", "key": "", "description": "", "category": "", "modifiers": {}, "excluded": ""}
    return {
        "time_format": "hh:mm:ss",
        "project_date": "1970-01-01T00:00:00",
        "project_name": video_path,
        "project_description": "",
        "project_format_version": "7.0",
        "subjects_conf": {},
        "behaviors_conf": {str(n): {**behaviour, "code": name, "coding map": ""} for n, name in enumerate(names)},
        "behavioral_categories": [],
        "independent_variables": {},
        "coding_map": {},
        "converters": {},
        "observations": observations,
    }


def _media(observation: Mapping[str, Any], *, where: str) -> list[MediaFile]:
    """The files of player 1 one after the other. Raises DataError where a length is missing that is needed."""
    players = observation.get("file")
    if observation.get("type") != "MEDIA" or not isinstance(players, dict):
        return []
    files = list_of(players.get("1"), where=f"{where}, file of player 1")
    if not all(isinstance(name, str) for name in files) or len(set(files)) < len(files):
        raise DataError(f"{where}: found the files {files}, expected names, each once")
    if not files:
        return []
    info = mapping_of(observation.get("media_info"), where=f"{where}, media_info")
    lengths = mapping_of(info.get("length"), where=f"{where}, media_info, length")
    missing = [name for name in files if not lengths.get(name)]
    if missing and len(files) > 1:
        raise DataError(
            f"{where}: has {len(files)} videos one after the other, and media_info has no length of {missing}: it is "
            f"not known where each starts. Open the observation once in BORIS, which measures them, and save."
        )
    if missing:
        return [MediaFile(name=files[0], start_us=0, end_us=None)]
    lengths_us = [seconds_us(lengths[name], where=f"{where}, length of {name!r}") for name in files]
    ends = list(accumulate(lengths_us))
    return [
        MediaFile(name=name, start_us=end - length, end_us=end)
        for name, length, end in zip(files, lengths_us, ends, strict=True)
    ]


def _offset_us(observation: Mapping[str, Any], *, where: str) -> int:
    if observation.get("media_creation_date_as_offset"):
        raise DataError(f"{where}: counts from the media's creation date. Untick that in BORIS and save.")
    return seconds_us(observation.get("time offset", 0), where=f"{where}, time offset")


def _observations(
    name: str,
    toggles: Mapping[tuple[str, str, str], list[int]],
    media: Sequence[MediaFile],
    observation: Mapping[str, Any],
    *,
    context: ReadContext,
    where: str,
) -> list[Observation]:
    """One for each file of the observation, but those that its time interval leaves out and that have no segment."""
    segments = _segments_by_file(toggles, media, context=context, where=where)
    stated = list_of(observation.get("observation time interval"), where=f"{where}, observation time interval")
    if len(stated) not in (0, 2):
        raise DataError(f"{where}: found the observation time interval {stated}, expected [start, end]")
    first_us, last_us = (seconds_us(value, where=f"{where}, observation time interval") for value in stated or [0, 0])
    observations = []
    for item in media:
        ends_us = [end_us for end_us in (item.end_us, last_us) if end_us]  # an interval that ends at 0 has no end
        start_us, end_us = max(item.start_us, first_us), min(ends_us, default=None)
        examined = None
        if end_us is not None and end_us > start_us:
            examined = Interval(start_us=start_us - item.start_us, end_us=end_us - item.start_us)
        elif end_us is not None and not segments[item.name]:
            continue
        observations.append(
            Observation(
                name=name, video_name=item.name, annotator=None, segments=segments[item.name], examined=examined
            )
        )
    return observations


def _segments_by_file(
    toggles: Mapping[tuple[str, str, str], list[int]], media: Sequence[MediaFile], *, context: ReadContext, where: str
) -> dict[str, list[ParsedSegment]]:
    segments: dict[str, list[ParsedSegment]] = {item.name: [] for item in media}
    for (subject, behaviour, modifiers), unsorted in toggles.items():
        times = sorted(unsorted)
        place = f"{where}, behaviour {behaviour!r}" + (f", subject {subject!r}" if subject else "")
        place += f", modifiers {modifiers!r}" if modifiers else ""
        if len(times) % 2:
            with context.problems.gathering():
                times.append(_open_end_us(times[-1], media, context.options.open_states, where=place))
        for start_us, end_us in zip(times[::2], times[1::2], strict=False):
            at = f"{place}, {seconds_text(start_us)}"
            with context.problems.gathering():
                for video, first, stop in split_over_media(start_us, end_us, media, where=at):
                    segments[video].append(ParsedSegment(label=behaviour, start_us=first, end_us=stop, where=at))
    return segments


def _open_end_us(start_us: int, media: Sequence[MediaFile], mode: OpenStates, *, where: str) -> int:
    """The end of a state that was never stopped."""
    end_us = media[-1].end_us
    if mode is not OpenStates.TO_END or end_us is None:
        advice = "set open_states=to_end" if end_us is not None else "the media's length is not known"
        raise DataError(f"{where}: started at {seconds_text(start_us)} and not stopped. Stop it in BORIS, or {advice}.")
    return end_us


BORIS = FileFormat(
    read=read_boris,
    write=boris_text,
    suffix=".boris",
    owns_suffix=True,
    is_json=lambda value: isinstance(value, dict) and "observations" in value,
    read_options=frozenset({"open_states"}),
    source_kept=SourceKept.PER_OBSERVATION,
    states_lengths=True,
    holds_extents=True,
    holds_overlaps=False,
)
