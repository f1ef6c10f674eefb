"""ELAN's .eaf, read and written: a tier per activity, or a tier per annotator with the activity as value.

Times are milliseconds of the annotation document; the video's TIME_ORIGIN is added so that they are the video's.
"""

from collections import Counter
from dataclasses import dataclass
from xml.etree import ElementTree

from nrray.errors import DataError
from nrray.formats.elan_slots import SlotTimes
from nrray.formats.elan_writing import elan_text
from nrray.formats.file_format import FileFormat, ReadContext, SourceKept
from nrray.formats.options import ActivityFrom
from nrray.formats.reading import Observation, ParsedFile, ParsedSegment
from nrray.formats.videos import KnownVideos
from nrray.wording import counted


class _NoDoctype(ElementTree.TreeBuilder):
    """A tree builder that refuses a DOCTYPE, which is where entities that grow without bound are declared."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError(f"found a DOCTYPE ({name}), which no ELAN file has: entities are not read. Remove it.")


@dataclass(frozen=True, kw_only=True)
class _Annotation:
    """`first` and `last` are slot ids of an ALIGNABLE annotation; `parent` is the id that a REF annotation names."""

    number: str
    value: str
    tier: str
    first: str | None = None
    last: str | None = None
    parent: str | None = None


def read_elan(data: bytes, *, file: str, context: ReadContext) -> ParsedFile:
    """A tier whose id is a known name is an activity. Problems and DataError name tier and annotation."""
    options = context.options
    root = _root(data, file=file)
    header = root.find("HEADER")
    units = header.get("TIME_UNITS", "milliseconds") if header is not None else None
    if units != "milliseconds":
        raise DataError(f'{file}: times are in {units!r}, expected a HEADER with TIME_UNITS="milliseconds"')
    video_name, origin_us, notes = _media(root, videos=context.videos, file=file)
    annotations: dict[str, _Annotation] = {}
    for tier in root.iter("TIER"):
        for element in tier.iter():
            with context.problems.gathering():
                if (item := _annotation(element, tier.get("TIER_ID", ""), file=file)) is not None:
                    annotations[item.number] = item
    if context.problems.errors:  # others may refer to those that cannot be used
        return ParsedFile(observations=[])
    slots = SlotTimes(root, file=file, mode=options.unset_time_slots)
    by_tier: dict[str, list[_Annotation]] = {}
    for item in annotations.values():
        by_tier.setdefault(item.tier, []).append(item)
    for items in by_tier.values():
        slots.fill([(item.first, item.last, item.number) for item in items if item.first and item.last])
    observations: dict[str | None, list[ParsedSegment]] = {}
    skipped: Counter[str] = Counter()
    for tier in root.iter("TIER"):
        tier_id = tier.get("TIER_ID", "")
        activity, suffix = _activity_of_tier(tier_id, options.activity_from, context.known_names)
        annotator = tier.get("ANNOTATOR") or tier.get("PARTICIPANT") or (tier_id if activity is None else suffix)
        mine = observations.setdefault(annotator or None, []) if by_tier.get(tier_id) or activity is not None else []
        for item in by_tier.get(tier_id, []):
            with context.problems.gathering():
                where = f"{file}, tier {tier_id!r}, annotation {item.number}"
                timed = _timed_ancestor(item, annotations, where=where)
                skipped["of REF annotations taken from their parents"] += timed is not item
                name = activity if activity is not None else item.value.strip()
                if not name:
                    skipped["empty"] += 1
                    continue
                start_us, end_us = (slots.time_us(slot, where=where) + origin_us for slot in (timed.first, timed.last))
                mine.append(ParsedSegment(label=name, start_us=start_us, end_us=end_us, where=where))
    if skipped["empty"]:
        notes.append(f"{counted(skipped.pop('empty'), 'annotation')} without a value left out.")
    if num_times := skipped["of REF annotations taken from their parents"]:
        notes.append(
            f"{counted(num_times, 'annotation')} of dependent tiers took the time of the annotation that they refer to."
        )
    notes += slots.notes
    return ParsedFile(
        observations=[
            Observation(name=annotator or file, video_name=video_name, annotator=annotator, segments=segments)
            for annotator, segments in (observations or {None: []}).items()
        ],
        notes=notes,
    )


def _root(data: bytes, *, file: str) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_NoDoctype())
    try:
        parser.feed(data)
        root: ElementTree.Element = parser.close()
    except ElementTree.ParseError as error:
        raise DataError(f"{file} is not XML: {error}") from None
    except (ValueError, LookupError) as error:
        raise DataError(f"{file} is in an encoding that cannot be read: {error}. Save it as UTF-8.") from None
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DataError(f"{file}: found <{root.tag}>, expected ELAN's <ANNOTATION_DOCUMENT>")
    return root


def _media(root: ElementTree.Element, *, videos: KnownVideos, file: str) -> tuple[str | None, int, list[str]]:
    """(name, time origin in us, notes) of the document's video: the first that is not sound."""
    media = list(root.iter("MEDIA_DESCRIPTOR"))
    pictured = [item for item in media if not item.get("MIME_TYPE", "").startswith("audio/")]
    notes = []
    if not pictured and media and videos.only is None:
        url = media[0].get("MEDIA_URL")
        raise DataError(f"{file}: its media are sound only ({url!r}), no video is named. Set video=PATH.")
    if len(pictured) > 1 and videos.only is None:
        others = [item.get("MEDIA_URL") for item in pictured[1:]]
        notes.append(f"Segments went to the first video; {counted(len(others), 'other video')} named: {others[:3]}.")
    chosen = (pictured or media)[:1]
    if not chosen:
        return None, 0, notes
    origin = chosen[0].get("TIME_ORIGIN", "0")
    try:
        origin_us = int(origin) * 1000
    except ValueError:
        raise DataError(f"{file}: TIME_ORIGIN is {origin!r}, expected whole milliseconds") from None
    if origin_us:
        notes.append(f"TIME_ORIGIN of {origin_us // 1000} ms added to all times.")
    return chosen[0].get("MEDIA_URL") or chosen[0].get("RELATIVE_MEDIA_URL") or None, origin_us, notes


def _annotation(item: ElementTree.Element, tier_id: str, *, file: str) -> _Annotation | None:
    """The annotation that an element of a tier is, None where it is something else."""
    if item.tag not in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
        return None
    is_timed = item.tag == "ALIGNABLE_ANNOTATION"
    needed = ("ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2") if is_timed else ("ANNOTATION_ID", "ANNOTATION_REF")
    if missing := [name for name in needed if not item.get(name)]:
        raise DataError(f"{file}, tier {tier_id!r}: annotation {item.get('ANNOTATION_ID')} lacks {missing}")
    return _Annotation(
        number=item.get("ANNOTATION_ID", ""),
        value=item.findtext("ANNOTATION_VALUE") or "",
        tier=tier_id,
        first=item.get("TIME_SLOT_REF1") if is_timed else None,
        last=item.get("TIME_SLOT_REF2") if is_timed else None,
        parent=None if is_timed else item.get("ANNOTATION_REF"),
    )


def _timed_ancestor(item: _Annotation, annotations: dict[str, _Annotation], *, where: str) -> _Annotation:
    seen = {item.number}
    while item.parent is not None:
        if item.parent not in annotations or item.parent in seen:
            raise DataError(f"{where}: refers to {item.parent!r}, which is missing or refers back: mend it in ELAN")
        item = annotations[item.parent]
        seen.add(item.number)
    return item


def _activity_of_tier(tier_id: str, mode: ActivityFrom, known_names: frozenset[str]) -> tuple[str | None, str | None]:
    """(activity, annotator) that a tier's id gives: `ACTIVITY`, or `ACTIVITY@ANNOTATOR`; (None, None) where values tell."""
    base, _, suffix = tier_id.partition("@")
    if mode is ActivityFrom.VALUE:
        return None, None
    if tier_id in known_names:
        return tier_id, None
    if mode is ActivityFrom.TIER or base in known_names:
        return base, suffix or None
    return None, None


ELAN = FileFormat(
    read=read_elan,
    write=elan_text,
    suffix=".eaf",
    owns_suffix=True,
    read_options=frozenset({"activity_from", "unset_time_slots"}),
    source_kept=SourceKept.PER_SEGMENT,
)
