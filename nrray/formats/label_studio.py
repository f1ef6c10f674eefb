"""Label Studio's JSON: timeline labels as frame ranges that count from 1 and include their last frame, or regions
in seconds.

A frame range [a, b] is the time [(a - 1) / fps, b / fps).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nrray.errors import DataError
from nrray.formats.file_format import FileFormat, ReadContext, SourceKept, VideoAnnotations, json_file
from nrray.formats.reading import (
    Observation,
    ParsedFile,
    ParsedSegment,
    json_value,
    list_of,
    mapping_of,
    seconds_us,
)
from nrray.formats.videos import KnownVideos
from nrray.types import US_PER_SECOND, Extent, Segment
from nrray.wording import counted

_VIDEO_KEYS = ("video", "video_url")


def read_label_studio(data: bytes, *, file: str, context: ReadContext) -> ParsedFile:
    """Problems and DataError name task and region."""
    tasks = json_value(data, file=file)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise DataError(
            f"{file}: expected a list of tasks with `data` and `annotations`. Export as JSON, not JSON-MIN."
        )
    observations: list[Observation] = []
    skipped: Counter[str] = Counter()
    for index, task in enumerate(tasks, start=1):
        with context.problems.gathering():
            observations += _observations(task, index, skipped, file=file, context=context)
    return ParsedFile(
        observations=observations,
        notes=[f"{counted(count, noun)} left out." for noun, count in sorted(skipped.items()) if count],
    )


def _observations(
    task: Mapping[str, Any], index: int, skipped: Counter[str], *, file: str, context: ReadContext
) -> list[Observation]:
    """One for each annotation of a task; what is left out is counted in `skipped`."""
    videos = context.videos
    task_place = f"{file}, task {index} (id {task.get('id')})"
    skipped["prediction"] += len(list_of(task.get("predictions"), where=f"{task_place}, predictions"))
    given = [
        mapping_of(item, where=f"{task_place}, annotations")
        for item in list_of(task.get("annotations"), where=f"{task_place}, annotations")
    ]
    annotations = [item for item in given if not item.get("was_cancelled")]
    skipped["skipped annotation"] += len(given) - len(annotations)
    skipped["unannotated task"] += not annotations
    if not annotations:
        return []
    name = _video_name(task["data"])
    if name is None and videos.only is None:
        raise DataError(
            f"{task_place}: its data names no video under {list(_VIDEO_KEYS)}: {task['data']!r}. Set video=PATH."
        )
    observations = []
    for item in annotations:
        where = f"{task_place}, annotation {item.get('id')}"
        segments: list[ParsedSegment] = []
        for region in list_of(item.get("result"), where=where):
            with context.problems.gathering():
                found = _parsed_segments(mapping_of(region, where=where), name, videos=videos, file=file, where=where)
                skipped["other region"] += found is None
                segments += found or []
        observations.append(
            Observation(
                name=f"{index}.{item.get('id')}",
                video_name=name,
                annotator=_annotator(item.get("completed_by")),
                segments=segments,
            )
        )
    return observations


def label_studio_text(video: VideoAnnotations) -> str:
    """One task with one annotation per source."""
    assert video.frames_per_second is not None  # the format counts frames
    return json_file(_tasks(video.path, video.segments, video.extents, fps=video.frames_per_second))


def _tasks(
    video_path: str, segments: Sequence[Segment], extents: Sequence[Extent], *, fps: float
) -> list[dict[str, Any]]:
    annotations = []
    for number, source in enumerate(
        sorted({item.source for item in segments} | {item.source for item in extents}), start=1
    ):
        result = [
            {
                "id": f"region_{index}",
                "from_name": "timeline",
                "to_name": "video",
                "type": "timelinelabels",
                "origin": "manual",
                "value": {
                    "ranges": [
                        {
                            "start": round(segment.start_us * fps / US_PER_SECOND) + 1,
                            "end": round(segment.end_us * fps / US_PER_SECOND),
                        }
                    ],
                    "timelinelabels": [segment.activity],
                },
            }
            for index, segment in enumerate((item for item in segments if item.source == source), start=1)
        ]
        annotations.append({"id": number, "completed_by": {"email": source}, "result": result})
    return [{"id": 1, "data": {"video": video_path}, "annotations": annotations}]


def _parsed_segments(
    region: Mapping[str, Any], name: str | None, *, videos: KnownVideos, file: str, where: str
) -> list[ParsedSegment] | None:
    """None where a region is no labelled interval: a choice, a text, a tracked box."""
    value = region.get("value")
    where = f"{where}, region {region.get('id')}"
    if not isinstance(value, dict):
        return None
    labels = next((item for key, item in value.items() if key.endswith("labels") and isinstance(item, list)), None)
    if not labels or "sequence" in value:
        return None
    if isinstance(ranges := value.get("ranges"), list):
        video = videos.of(name, file=file, where=where)
        fps = videos.frame_rate(video, where=where)
        times = [_frame_times(item, fps, where=where) for item in ranges]
    elif "start" in value and "end" in value:
        times = [(seconds_us(value["start"], where=where), seconds_us(value["end"], where=where))]
    else:
        return None
    return [
        ParsedSegment(label=str(label), start_us=start_us, end_us=end_us, where=where)
        for start_us, end_us in times
        for label in labels
    ]


def _frame_times(item: Any, fps: float, *, where: str) -> tuple[int, int]:
    first, last = (item.get(key) if isinstance(item, dict) else None for key in ("start", "end"))
    if type(first) is not int or type(last) is not int:
        raise DataError(f"{where}: found the range {item!r}, expected whole frame numbers start and end")
    if first < 1 or last < first:
        raise DataError(
            f"{where}: found frames {first} to {last}; they count from 1, and the end is not before the start"
        )
    return round((first - 1) * US_PER_SECOND / fps), round(last * US_PER_SECOND / fps)


def _video_name(data: Any) -> str | None:
    if isinstance(data, dict):
        texts = [value for value in data.values() if isinstance(value, str)]
        found = next((data[key] for key in _VIDEO_KEYS if isinstance(data.get(key), str)), None)
        if found is not None or len(texts) == 1:
            return str(found if found is not None else texts[0])
    return None


def _annotator(completed_by: Any) -> str | None:
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return None if completed_by is None else str(completed_by)


LABEL_STUDIO = FileFormat(
    read=read_label_studio,
    write=label_studio_text,
    suffix=".json",
    is_json=lambda value: isinstance(value, list),
    read_options=frozenset({"fps"}),
    write_options=frozenset({"fps"}),
    source_kept=SourceKept.PER_SEGMENT,
    counts_frames=True,
)
