"""ELAN's .eaf of one video's segments: a tier per activity and source, more where its segments overlap."""

from collections.abc import Sequence
from urllib.parse import quote
from xml.etree import ElementTree

from nrray.formats.file_format import VideoAnnotations
from nrray.types import Segment

_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
_MIME_TYPES = {"mp4": "video/mp4", "mpg": "video/mpeg", "mpeg": "video/mpeg", "mov": "video/quicktime"}


def elan_text(video: VideoAnnotations) -> str:
    """The document of one video."""
    video_path, segments = video.path, video.segments
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "nrray",
            "DATE": "1970-01-01T00:00:00+00:00",  # required by the schema; the same input gives the same file
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _SCHEMA,
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    header = ElementTree.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    media = {"MEDIA_URL": f"file:///{quote(video_path)}", "RELATIVE_MEDIA_URL": f"./{quote(video_path)}"}
    mime_type = _MIME_TYPES.get(video_path.rsplit(".", 1)[-1].lower(), "video/*")
    ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", {**media, "MIME_TYPE": mime_type})
    order = ElementTree.SubElement(root, "TIME_ORDER")
    times = sorted((time_us // 1000, index) for index, time_us in enumerate(_borders(segments)))
    slots = {index: f"ts{place}" for place, (_, index) in enumerate(times, start=1)}
    for time_ms, index in times:
        ElementTree.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slots[index], "TIME_VALUE": str(time_ms)})
    for (activity, source, layer), numbers in _tiers(segments).items():
        tier_id = f"{activity}@{source}" + (f" ({layer + 1})" if layer else "")
        tier = ElementTree.SubElement(
            root, "TIER", {"TIER_ID": tier_id, "ANNOTATOR": source, "LINGUISTIC_TYPE_REF": "activity"}
        )
        for number in numbers:
            annotation = ElementTree.SubElement(ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION")
            annotation.set("ANNOTATION_ID", f"a{number + 1}")
            annotation.set("TIME_SLOT_REF1", slots[2 * number])
            annotation.set("TIME_SLOT_REF2", slots[2 * number + 1])
            ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = activity
    kind = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "activity", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", kind)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _borders(segments: Sequence[Segment]) -> list[int]:
    return [time_us for segment in segments for time_us in (segment.start_us, segment.end_us)]


def _tiers(segments: Sequence[Segment]) -> dict[tuple[str, str, int], list[int]]:
    """Segment numbers by (activity, source, layer): a tier of ELAN cannot hold two annotations at one time."""
    tiers: dict[tuple[str, str, int], list[int]] = {}
    for number in sorted(range(len(segments)), key=lambda number: segments[number].start_us):
        segment, layer = segments[number], 0
        while (held := tiers.get((segment.activity, segment.source, layer))) and (
            segments[held[-1]].end_us > segment.start_us
        ):
            layer += 1
        tiers.setdefault((segment.activity, segment.source, layer), []).append(number)
    return tiers
