"""The outcome of a call of `nrray scan`, and its report in words."""

from collections import Counter
from dataclasses import dataclass

from nrray.archive.cases import Cases
from nrray.archive.manifest import duplicate_groups, problem_counts
from nrray.console.reporter import Reporter
from nrray.console.transcript import Transcript
from nrray.pipelines.scan.listing import Unlisted
from nrray.report.run_page import MAX_FAILURES, Failure, RunFile, RunPage
from nrray.types import ProbeStatus, Video, hours_of
from nrray.wording import counted

_MAX_UNLISTED_SHOWN = 20
_MAX_REMARKS_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """Manifest, videos and counts of one scan."""

    manifest: str
    videos: list[Video]
    num_probed: int
    num_removed: int
    seconds: float  # that probing took, the start of its workers included
    ignored: Counter[str]  # files that are no videos, by suffix
    unlisted: list[Unlisted]
    num_kept: int  # known from earlier scans, and now behind what could not be looked into
    cases: Cases

    @property
    def num_bad(self) -> int:
        return sum(video.status is ProbeStatus.BAD for video in self.videos)

    @property
    def has_failures(self) -> bool:
        """Whether there is something in the archive that could not be read."""
        return self.num_bad > 0 or bool(self.unlisted)


def report_scan(scanned: Scanned, reporter: Reporter) -> None:
    """Tables of videos, problems and duplicates, then the verdict and the manifest."""
    readable = [video for video in scanned.videos if video.status is ProbeStatus.OK]
    by_codec: dict[tuple[str, str], list[Video]] = {}
    for video in readable:
        by_codec.setdefault((str(video.codec), "/".join(str(video.container).split(",")[:2])), []).append(video)
    reporter.table(
        "Videos",
        ["codec", "container", "files", "hours", "GiB", "frame sizes", "frames/s", "variable rate"],
        [_codec_row(key, group) for key, group in sorted(by_codec.items())],
    )
    problems = problem_counts(scanned.videos)
    first = {str(video.error_kind): video for video in reversed(scanned.videos) if video.status is ProbeStatus.BAD}
    reporter.table(
        "Problems",
        ["kind", "files", "first", "reason"],
        [[kind, count, first[kind].path, first[kind].reason] for kind, count in sorted(problems.items())],
    )
    remarked = [video for video in readable if video.remarks]
    reporter.table(
        "Remarks",
        ["file", "what to know of it"],
        [[video.path, video.remarks] for video in remarked[:_MAX_REMARKS_SHOWN]],
    )
    if (more := len(remarked) - _MAX_REMARKS_SHOWN) > 0:
        reporter.say(f"and {more} more, in the column `remarks` of the manifest")
    shown = scanned.unlisted[:_MAX_UNLISTED_SHOWN]
    reporter.table("Not looked into", ["folder or link", "reason"], [[item.path, item.reason] for item in shown])
    if more := len(scanned.unlisted) - len(shown):
        reporter.say(f"and {more} more")
    duplicates = duplicate_groups(scanned.videos)
    reporter.table(
        "Same content",
        ["files", "first", "also"],
        [[len(group), group[0].path, _others(group[1:])] for group in duplicates[:10]],
    )
    if scanned.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in scanned.ignored.most_common(8))
        reporter.say(f"Ignored files: {kinds}")
    reporter.say(_verdict(scanned, readable, num_duplicates=len(duplicates)))
    reporter.say(f"Manifest: {scanned.manifest}")


def scan_page(scanned: Scanned, transcript: Transcript, *, archive: str) -> RunPage:
    """The page of a scan."""
    bad = [video for video in scanned.videos if video.status is ProbeStatus.BAD]
    readable = [video for video in scanned.videos if video.status is ProbeStatus.OK]
    return RunPage(
        title=f"Scan of {archive}",
        outcome=_verdict(scanned, readable, num_duplicates=len(duplicate_groups(scanned.videos))),
        facts=[
            ("video files", f"{len(scanned.videos):,}"),
            ("readable", f"{len(readable):,}, {hours_of(sum(video.duration_us or 0 for video in readable)):.2f} h"),
            ("not readable", f"{len(bad):,}"),
            ("probed by this call", _probed_text(scanned)),
            ("gone since the scan before", f"{scanned.num_removed:,}"),
            ("cases", _cases_text(scanned)),
        ],
        transcript=transcript,
        failures=[
            *(
                Failure(what=item.path, amount="folder or link", kind="not looked into", reason=item.reason)
                for item in scanned.unlisted
            ),
            *(
                Failure(what=video.path, amount="file", kind=str(video.error_kind), reason=str(video.reason))
                for video in bad
            ),
        ][:MAX_FAILURES],
        num_failures=len(bad) + len(scanned.unlisted),
        files=[
            RunFile(file="manifest.parquet", meaning="a row per video file, with the reason where it cannot be read"),
            RunFile(file="cases.parquet", meaning="the case that each video shows"),
        ],
    )


def _probed_text(scanned: Scanned) -> str:
    if not scanned.num_probed:
        return "none, all files were known"
    return f"{counted(scanned.num_probed, 'file')} in {scanned.seconds:.1f} s, workers' start included"


def _cases_text(scanned: Scanned) -> str:
    rows = scanned.cases.rows
    return f"{len({row.case_id for row in rows}):,}, of a sidecar" if rows else "one per video"


def _others(group: list[Video]) -> str:
    more = f" and {len(group) - 3} more" if len(group) > 3 else ""
    return ", ".join(video.path for video in group[:3]) + more


def _codec_row(key: tuple[str, str], group: list[Video]) -> list[object]:
    sizes = Counter(f"{video.width_px}x{video.height_px}" for video in group)
    rates = sorted(video.measured_fps or video.nominal_fps or 0.0 for video in group)
    shown = ", ".join(size for size, _ in sizes.most_common(3)) + (" ..." if len(sizes) > 3 else "")
    return [
        *key,
        len(group),
        hours_of(sum(video.duration_us or 0 for video in group)),
        sum(video.size_bytes for video in group) / 2**30,
        shown,
        f"{rates[0]:.4g}" if rates[0] == rates[-1] else f"{rates[0]:.4g}-{rates[-1]:.4g}",
        sum(bool(video.is_variable_fps) for video in group),
    ]


def _verdict(scanned: Scanned, readable: list[Video], *, num_duplicates: int) -> str:
    hours = hours_of(sum(video.duration_us or 0 for video in readable))
    parts = [f"{counted(len(readable), 'video')}, {hours:.2f} h, can be labelled"]
    if not readable:
        parts = [f"none of the {counted(len(scanned.videos), 'file')} can be read"]
    elif scanned.num_bad:
        parts.append(f"{counted(scanned.num_bad, 'file')} cannot be read")
    if num_remarked := sum(bool(video.remarks) for video in readable):
        parts.append(f"{counted(num_remarked, 'video')} with remarks")
    if num_duplicates:
        parts.append(f"{num_duplicates} of them have several names")
    if scanned.unlisted:
        kept = (
            f", {counted(scanned.num_kept, 'video')} that earlier scans found there are kept"
            if scanned.num_kept
            else ""
        )
        parts.append(f"{len(scanned.unlisted)} folders or links could not be looked into{kept}")
    return "Verdict: " + "; ".join(parts) + "."
