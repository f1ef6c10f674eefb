"""Wrong calls of every verb: how long each takes to be told, with which exit code, and whether its words say what was found,
what was expected and what to do, without a traceback and without a word of a library.

    python tests/benchmarks/wrong_calls.py DIR [--only TEXT]

Makes its inputs in DIR and leaves `DIR/wrong_calls.json`; ends with 1 where a call is told badly.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nrray.archive.manifest import manifest_table
from nrray.config import validate_mapping
from nrray.decode import DecodeConfig, GuardedDecoder
from nrray.formats import ImportConfig, import_annotations
from nrray.pipelines.scan.listing import listed_files
from nrray.pipelines.scan.run import probed_video
from nrray.storage import Folder
from nrray.writer_lock import WriterLock
from tests.pipelines.scan.support import under_permissions
from tests.videos import write_video

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 120.0
WORDS_OF_LIBRARIES = (
    *("Traceback (most recent call last)", "Input should be", "Value error,", "[type=", "errors.pydantic.dev"),
    *("ArrowInvalid", "Errno", "grpc", "StatusCode", "object at 0x"),
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A wrong command line, the exit code that it deserves, and what its words have to hold: regular expressions."""

    what: str
    words: tuple[str, ...]
    code: int
    found: str
    expected: str
    advice: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Told:
    """How a call was told; `lacks` is empty where it was told well."""

    what: str
    command: str
    seconds: float
    code: int | None
    first_line: str
    lacks: list[str]


def sets(**settings: object) -> tuple[str, ...]:
    """Settings as words; double underscores are dots."""
    return tuple(word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}"))


def make_inputs(folder: Path) -> None:
    """Right inputs, and wrong ones made of them."""
    archive = folder / "archive"
    for name in ("case1/a.mp4", "case2/b.mp4", "case3/c.mp4"):
        (archive / name).parent.mkdir(parents=True)
        write_video(archive / name, num_frames=100)
    decoder = GuardedDecoder(DecodeConfig())
    videos = [probed_video(file, decoder) for file in listed_files(str(archive), {".mp4"}).files]
    scan = Folder(str(folder / "scan"))
    scan.create()
    scan.write_table("manifest.parquet", manifest_table(videos))
    text = folder / "texts"
    text.mkdir()
    for name in ("a", "b", "c"):
        (text / f"{name}.txt").write_text("suction\t0\t2000\t2000\n")
    settings = {
        "files": [f"{text}/*.txt"],
        "manifest": f"{folder}/scan/manifest.parquet",
        "output": f"{folder}/annotations",
        "extent": "whole",
    }
    import_annotations(validate_mapping(ImportConfig, settings, where="the settings"))
    parts = {"train": ["case1/a.mp4"], "validation": ["case2/b.mp4"], "test": ["case3/c.mp4"]}
    (folder / "split.json").write_text(json.dumps({"parts": parts}))
    _make_wrong_inputs(folder)


def _make_wrong_inputs(folder: Path) -> None:
    manifest = (folder / "scan/manifest.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(manifest[: len(manifest) // 2])
    (folder / "text.parquet").write_text("no table")
    shutil.copy(folder / "annotations/segments.parquet", folder / "segments.parquet")
    (folder / "empty").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes/readme.md").write_text("nothing here")
    (folder / "broken").mkdir()
    (folder / "broken/a.mp4").write_bytes(b"no video" * 100)
    (folder / "broken/b.mp4").write_bytes(b"")
    shutil.copy(folder / "archive/case1/a.mp4", folder / "broken/c.mp4")
    (folder / "closed").mkdir(mode=0o555)
    (folder / "closed_archive").mkdir(mode=0)
    (folder / "busy").mkdir()
    (folder / "foreign").mkdir()
    (folder / "foreign/segments.parquet").write_bytes(b"precious")
    (folder / "bad.yaml").write_text("archive: [unclosed\noutput: x\n")
    (folder / "list.yaml").write_text("- archive\n")
    (folder / "twice.yaml").write_text("archive: a\narchive: b\noutput: x\n")
    (folder / "latin.yaml").write_bytes("archive: Stra\xdfe\n".encode("latin-1"))
    (folder / "cases.csv").write_text("case,path\n1,a\n")
    (folder / "other_cases.csv").write_text("case_id,video_path\nx,elsewhere/z.mp4\n")
    (folder / "split_text.json").write_text("train: a")
    parts = {"train": ["nobody"], "validation": [], "test": ["case3/c.mp4"]}
    (folder / "split_other.json").write_text(json.dumps({"parts": parts}))
    (folder / "labels.yaml").write_text(
        "name: other\nactivities:\n  - name: waving\n    definition: d\n    starts: s\n    ends: e\n    question: q?\n"
    )
    (folder / "bad_labels.yaml").write_text("name: other\nactivities:\n  - name: Waving Hands\n")
    (folder / "bad.txt").write_text("suction\t0\t2000\t2000\nsuction 1\nhumming\t1\t2\t1\nsuction\tx\t2\t3\n")
    (folder / "stranger.txt").write_text("suction\t0\t2000\t2000\n")
    (folder / "odd.xyz").write_text("x")
    (folder / "model").mkdir()
    (folder / "model/config.json").write_text("{}")


def calls(folder: Path, ports: dict[str, int]) -> Iterator[Call]:
    """All calls, verb by verb."""
    d = str(folder)
    manifest = f"{d}/scan/manifest.parquet"
    yield from _general(d)
    yield from _scan(d, ports)
    yield from _relabel(d, manifest)
    yield from _annotations(d, manifest)
    yield from _training(d, manifest)
    yield from _measuring(d, manifest)
    yield from _others(d)


def _general(d: str) -> Iterator[Call]:
    yield Call(
        what="no such verb",
        words=("relable",),
        code=2,
        found="relable",
        expected="relabel|No such command",
        advice="help",
    )
    yield Call(
        what="no such option",
        words=("scan", "--archive", d),
        code=2,
        found="--archive",
        expected="No such option",
        advice="help",
    )
    yield Call(what="no settings", words=("scan",), code=2, found="not given", expected="required", advice="nrray init")
    yield Call(
        what="config that is not there",
        words=("scan", f"{d}/none.yaml"),
        code=2,
        found="not found: .*none.yaml",
        expected="config file",
        advice="nrray init|configs",
    )
    yield Call(
        what="folder as config",
        words=("scan", f"{d}/archive"),
        code=2,
        found="found a folder",
        expected="expected a YAML",
        advice="--set",
    )
    yield Call(
        what="config that is no YAML",
        words=("scan", f"{d}/bad.yaml"),
        code=2,
        found="line 2|line 3",
        expected="YAML",
        advice="expected",
    )
    yield Call(
        what="config that is a list",
        words=("scan", f"{d}/list.yaml"),
        code=2,
        found="list",
        expected="expected a mapping",
        advice="mapping",
    )
    yield Call(
        what="key given twice",
        words=("scan", f"{d}/twice.yaml"),
        code=2,
        found="'archive' is given twice",
        expected="line 1",
        advice="keep one",
    )
    yield Call(
        what="config in Latin-1",
        words=("scan", f"{d}/latin.yaml"),
        code=2,
        found="latin.yaml",
        expected="UTF-8",
        advice="[Ss]ave",
    )
    yield Call(
        what="misspelt key",
        words=("scan", *sets(archiv=d, output=f"{d}/x")),
        code=2,
        found="archiv: unknown key",
        expected="did you mean 'archive'",
        advice="did you mean",
    )
    yield Call(
        what="override without a value",
        words=("scan", "--set", "archive"),
        code=2,
        found="'archive'",
        expected="expected key.path=value",
        advice="for example",
    )
    yield Call(
        what="setting below a single value",
        words=("relabel", *sets(manifest=1, manifest__path=2)),
        code=2,
        found="single value",
        expected="has no 'path'",
        advice="manifest",
    )


def _scan(d: str, ports: dict[str, int]) -> Iterator[Call]:
    out = f"{d}/scanned"
    good = sets(archive=f"{d}/archive", output=out)
    yield Call(
        what="archive that is not there",
        words=("scan", *sets(archive=f"{d}/none", output=out)),
        code=1,
        found="not found: .*none",
        expected="archive folder",
        advice="mounted",
    )
    yield Call(
        what="file as archive",
        words=("scan", *sets(archive=f"{d}/split.json", output=out)),
        code=1,
        found="is a file",
        expected="expected the folder",
        advice="folder that holds",
    )
    yield Call(
        what="empty archive",
        words=("scan", *sets(archive=f"{d}/empty", output=out)),
        code=1,
        found="found nothing",
        expected=r"\.mp4",
        advice="mounted",
    )
    yield Call(
        what="archive without videos",
        words=("scan", *sets(archive=f"{d}/notes", output=out)),
        code=1,
        found="found 1 .md",
        expected=r"\.mp4",
        advice="suffixes",
    )
    yield Call(
        what="archive that may not be listed",
        words=("scan", *sets(archive=f"{d}/closed_archive", output=out)),
        code=1,
        found="permission denied",
        expected="cannot list",
        advice="mode or owner",
    )
    yield Call(
        what="unknown protocol",
        words=("scan", *sets(archive="nowhere://x", output=out)),
        code=1,
        found="nowhere",
        expected="Expected a local path",
        advice="s3://",
    )
    yield Call(
        what="output that may not be written",
        words=("scan", *sets(archive=f"{d}/archive", output=f"{d}/closed/x")),
        code=1,
        found="cannot create",
        expected="permission denied",
        advice="choose another output",
    )
    yield Call(
        what="file as output",
        words=("scan", *sets(archive=f"{d}/archive", output=f"{d}/split.json")),
        code=1,
        found="split.json",
        expected="folder",
        advice="another output|choose",
    )
    yield Call(
        what="suffixes that are no list",
        words=("scan", *good, *sets(suffixes=".mp4")),
        code=2,
        found="found '.mp4'",
        expected="expected a list",
        advice="expected",
    )
    yield Call(
        what="sidecar that is not there",
        words=("scan", *good, *sets(cases=f"{d}/none.csv")),
        code=1,
        found="none.csv",
        expected="not found|expected",
        advice="case_id|sidecar|table",
    )
    yield Call(
        what="sidecar without the columns",
        words=("scan", *good, *sets(cases=f"{d}/cases.csv")),
        code=1,
        found="case",
        expected="case_id",
        advice="columns",
    )
    yield Call(
        what="decoder that is not known",
        words=("scan", *good, *sets(decode__backend="ffmpeg")),
        code=2,
        found="found 'ffmpeg'",
        expected="expected 'pyav'",
        advice="expected",
    )
    yield Call(
        what="memory below the least",
        words=("scan", *good, *sets(decode__max_memory_mib=1)),
        code=2,
        found="found 1",
        expected="16 or more",
        advice="expected",
    )
    yield Call(
        what="two of three files unreadable",
        words=("scan", *sets(archive=f"{d}/broken", output=f"{d}/broken-scan")),
        code=3,
        found="2 files cannot be read",
        expected="unreadable|empty",
        advice="Next: ",
    )
    yield Call(
        what="cluster that refuses",
        words=("scan", *good),
        code=1,
        found="connection is refused",
        expected="no Ray cluster",
        advice="Unset RAY_ADDRESS",
        environment={"RAY_ADDRESS": f"127.0.0.1:{ports['refusing']}"},
    )
    yield Call(
        what="cluster that stays silent",
        words=("scan", *good),
        code=1,
        found="nothing answered",
        expected="within 5 s",
        advice="Unset RAY_ADDRESS",
        environment={"RAY_ADDRESS": f"127.0.0.1:{ports['silent']}"},
    )
    yield Call(
        what="address of Ray Client",
        words=("scan", *good),
        code=1,
        found="ray://x:10001",
        expected="HOST:PORT",
        advice="ray job submit",
        environment={"RAY_ADDRESS": "ray://x:10001"},
    )
    yield Call(
        what="address without a port",
        words=("scan", *good),
        code=1,
        found="cluster is no address",
        expected="HOST:PORT",
        advice="Unset RAY_ADDRESS",
        environment={"RAY_ADDRESS": "cluster"},
    )


def _relabel(d: str, manifest: str) -> Iterator[Call]:
    out = f"{d}/relabelled"
    yield Call(
        what="manifest that is not there",
        words=("relabel", *sets(manifest=f"{d}/none.parquet", output=out)),
        code=1,
        found="not found: .*none.parquet",
        expected="Expected a Parquet",
        advice="nrray scan",
    )
    yield Call(
        what="folder as manifest",
        words=("relabel", *sets(manifest=f"{d}/scan", output=out)),
        code=1,
        found="found a folder",
        expected="expected a Parquet",
        advice="manifest.parquet",
    )
    yield Call(
        what="cut manifest",
        words=("relabel", *sets(manifest=f"{d}/cut.parquet", output=out)),
        code=1,
        found="cut.parquet",
        expected="not a readable Parquet",
        advice="[Ss]can again|nrray scan|copy",
    )
    yield Call(
        what="text as manifest",
        words=("relabel", *sets(manifest=f"{d}/text.parquet", output=out)),
        code=1,
        found="text.parquet",
        expected="not a readable Parquet",
        advice="[Ss]can again|nrray scan|copy",
    )
    yield Call(
        what="annotations as manifest",
        words=("relabel", *sets(manifest=f"{d}/segments.parquet", output=out)),
        code=1,
        found="lacks the columns",
        expected="manifest of `nrray scan`",
        advice="nrray scan",
    )
    yield Call(
        what="checkpoint that is not there",
        words=("relabel", *sets(manifest=manifest, output=out, model__path=f"{d}/none")),
        code=1,
        found="none",
        expected="checkpoint",
        advice="embedded|folder",
    )
    yield Call(
        what="folder that is no checkpoint",
        words=("relabel", *sets(manifest=manifest, output=out, model__path=f"{d}/notes")),
        code=1,
        found="notes",
        expected="config.json",
        advice="checkpoint",
    )
    yield Call(
        what="checkpoint of no known kind",
        words=("relabel", *sets(manifest=manifest, output=out, model__path=f"{d}/model")),
        code=1,
        found="model",
        expected="model_type|expected",
        advice="[Cc]opy|known|expected|choose",
    )
    yield Call(
        what="folder that is no adapter",
        words=("relabel", *sets(manifest=manifest, output=out, model__adapter=f"{d}/notes")),
        code=1,
        found="notes",
        expected="adapter",
        advice="finetune|adapter",
    )
    yield Call(
        what="other label set",
        words=("relabel", *sets(manifest=manifest, output=out, label_set=f"{d}/labels.yaml")),
        code=1,
        found="waving",
        expected="newborn|activities|trained",
        advice="label_set|strategy",
    )
    yield Call(
        what="label set with a bad name",
        words=("relabel", *sets(manifest=manifest, output=out, label_set=f"{d}/bad_labels.yaml")),
        code=2,
        found="found 'Waving Hands'",
        expected=r"\^\[a-z\]",
        advice="expected",
    )
    yield Call(
        what="label set that is not there",
        words=("relabel", *sets(manifest=manifest, output=out, label_set=f"{d}/none.yaml")),
        code=2,
        found="not found: .*none.yaml",
        expected="file",
        advice="init|labels.yaml|configs",
    )
    yield Call(
        what="no decoders",
        words=("relabel", *sets(manifest=manifest, output=out, pools__decoders=0)),
        code=2,
        found="found 0",
        expected="1 or more, or 'auto'",
        advice="expected",
    )
    yield Call(
        what="more labelers than fit",
        words=("relabel", *sets(manifest=manifest, output=out, pools__labelers=4000)),
        code=1,
        found="4000",
        expected="CPUs",
        advice="pools.labelers",
    )
    yield Call(
        what="share above one",
        words=("relabel", *sets(manifest=manifest, output=out, segments__vote_share=1.5)),
        code=2,
        found="found 1.5",
        expected="1 or less",
        advice="expected",
    )
    yield Call(
        what="device that is not known",
        words=("relabel", *sets(manifest=manifest, output=out, model__device="gpu")),
        code=2,
        found="found 'gpu'",
        expected="'cuda'",
        advice="expected",
    )
    yield Call(
        what="device that is not here",
        words=("relabel", *sets(manifest=manifest, output=out, model__device="cuda")),
        code=1,
        found="GPU",
        expected="CUDA|cuda",
        advice="model.device",
    )
    yield Call(
        what="busy output",
        words=("relabel", *sets(manifest=manifest, output=f"{d}/busy")),
        code=1,
        found="busy",
        expected="another run",
        advice="[Ww]ait|stop|another output",
    )
    yield Call(
        what="scan as output",
        words=("relabel", *sets(manifest=manifest, output=f"{d}/scan")),
        code=1,
        found="scan",
        expected="manifest|output",
        advice="another output|choose",
    )
    yield Call(
        what="status of an empty folder",
        words=("status", f"{d}/empty"),
        code=1,
        found="empty",
        expected="output of",
        advice="relabel",
    )
    yield Call(
        what="status of a folder that is not there",
        words=("status", f"{d}/none"),
        code=1,
        found="none",
        expected="output",
        advice="relabel",
    )
    yield Call(
        what="limit of no units",
        words=("relabel", "--limit", "0", *sets(manifest=manifest, output=out)),
        code=2,
        found="0",
        expected="x>=1",
        advice="help|range",
    )


def _annotations(d: str, manifest: str) -> Iterator[Call]:
    out, whole = f"{d}/imported", {"extent": "whole"}

    def imported(**settings: object) -> tuple[str, ...]:
        return ("import", *sets(**{"manifest": manifest, "output": out, **whole, **settings}))

    yield Call(
        what="annotations that are not there",
        words=imported(files=f"[{d}/none/*.eaf]"),
        code=1,
        found="no file found at",
        expected="annotation files",
        advice="pattern",
    )
    yield Call(
        what="text for the list of files",
        words=imported(files=f"{d}/bad.txt"),
        code=2,
        found="bad.txt",
        expected="expected a list",
        advice="expected",
    )
    yield Call(
        what="three problems in two files",
        words=imported(files=f"[{d}/bad.txt, {d}/stranger.txt]"),
        code=1,
        found="problems in 2 files",
        expected="line 2.*line 4",
        advice="videos=|names=",
    )
    yield Call(
        what="file of no format",
        words=imported(files=f"[{d}/odd.xyz]"),
        code=1,
        found="suffix .xyz",
        expected="format",
        advice="set format",
    )
    yield Call(
        what="option of another format",
        words=imported(files=f"[{d}/texts/a.txt]", open_states="to_end"),
        code=2,
        found="no effect",
        expected="boris",
        advice="Leave it out",
    )
    yield Call(
        what="annotations that no import wrote",
        words=imported(files=f"[{d}/texts/a.txt]", output=f"{d}/foreign"),
        code=1,
        found="no import wrote",
        expected="holds annotations",
        advice="another output",
    )
    yield Call(
        what="annotator whom nobody knows",
        words=imported(files=f"[{d}/texts/a.txt]", annotator="anna"),
        code=1,
        found="'anna'",
        expected="'imported'",
        advice="name one",
    )
    yield Call(
        what="export of a folder that is not there",
        words=("export", *sets(input=f"{d}/none", format="elan", output=out)),
        code=1,
        found="none",
        expected="segments.parquet|annotation",
        advice="import|folder",
    )
    yield Call(
        what="export in no format",
        words=("export", *sets(input=f"{d}/annotations", format="word", output=out)),
        code=2,
        found="found 'word'",
        expected="'elan'",
        advice="expected",
    )


def _training(d: str, manifest: str) -> Iterator[Call]:
    good: dict[str, Any] = {
        "manifest": manifest,
        "annotations": f"{d}/annotations",
        "split": f"{d}/split.json",
        "output": f"{d}/trained",
    }

    def trained(verb: str, **settings: object) -> tuple[str, ...]:
        return (verb, *sets(**{**good, **settings}))

    yield Call(
        what="split that is not there",
        words=trained("finetune", split=f"{d}/none.json"),
        code=1,
        found="none.json",
        expected="split",
        advice="nrray split",
    )
    yield Call(
        what="split that is no JSON",
        words=trained("finetune", split=f"{d}/split_text.json"),
        code=1,
        found="split_text.json",
        expected="JSON",
        advice="nrray split|again",
    )
    yield Call(
        what="split of other cases",
        words=trained("finetune", split=f"{d}/split_other.json"),
        code=1,
        found="nobody|validation",
        expected="cases|case",
        advice="nrray split|cases",
    )
    yield Call(
        what="scan as annotations",
        words=trained("finetune", annotations=f"{d}/scan"),
        code=1,
        found="scan",
        expected="segments.parquet",
        advice="nrray import|import",
    )
    yield Call(
        what="no steps",
        words=trained("finetune", training__num_steps=0),
        code=2,
        found="found 0",
        expected="1 or more, or 'auto'",
        advice="expected",
    )
    yield Call(
        what="part that is not known",
        words=trained("finetune", parts__tower="all"),
        code=2,
        found="found 'all'",
        expected="'frozen'",
        advice="expected",
    )
    yield Call(
        what="more workers than fit",
        words=trained("finetune", workers__num_workers=4000),
        code=1,
        found="4000",
        expected="CPUs",
        advice="workers.num_workers",
    )
    yield Call(
        what="busy output of a training",
        words=trained("finetune", output=f"{d}/busy"),
        code=1,
        found="busy",
        expected="another run",
        advice="[Ww]ait|stop|another output",
    )
    yield Call(
        what="cases that are no numbers",
        words=(*trained("finetune"), "--curve", "one,two"),
        code=2,
        found="one",
        expected="1,2|numbers",
        advice="such as|expected",
    )
    yield Call(
        what="no trials",
        words=trained("tune", search__num_trials=0),
        code=2,
        found="found 0",
        expected="1 or more",
        advice="expected",
    )
    yield Call(
        what="setting that is none in the space",
        words=trained("tune", space="{speed: [1, 2]}"),
        code=2,
        found="speed",
        expected="learning_rate",
        advice="such as",
    )
    yield Call(
        what="value that no setting takes",
        words=trained("tune", space="{rank: [-1]}"),
        code=2,
        found="-1",
        expected="1 or more",
        advice="expected",
    )
    yield Call(
        what="budget of nothing",
        words=(*trained("tune"), "--budget-minutes", "0"),
        code=2,
        found="0",
        expected="x>=0.1",
        advice="help|range",
    )
    yield Call(
        what="adapter that is not there",
        words=("export-model", f"{d}/none", f"{d}/merged"),
        code=1,
        found="none",
        expected="adapter|checkpoint",
        advice="finetune|folder",
    )


def _measuring(d: str, manifest: str) -> Iterator[Call]:
    own = f"{d}/annotations"
    yield Call(
        what="candidate that is not there",
        words=("evaluate", *sets(candidate=f"{d}/none", reference=own, output=f"{d}/e")),
        code=1,
        found="none",
        expected="expected|annotation|labels",
        advice="relabel|import|folder",
    )
    yield Call(
        what="scan as candidate",
        words=("evaluate", *sets(candidate=f"{d}/scan", reference=own, output=f"{d}/e")),
        code=1,
        found="scan",
        expected="segments.parquet|latest|annotation|label",
        advice="relabel|import|expected",
    )
    yield Call(
        what="label set without the annotated activity",
        words=("evaluate", *sets(candidate=own, reference=own, output=f"{d}/e", label_set=f"{d}/labels.yaml")),
        code=1,
        found="suction",
        expected="waving|label set",
        advice="label_set",
    )
    yield Call(
        what="part without a split",
        words=("evaluate", *sets(candidate=own, reference=own, output=f"{d}/e", part="validation")),
        code=2,
        found="part",
        expected="split",
        advice="split",
    )
    yield Call(
        what="part that is none",
        words=("evaluate", *sets(candidate=own, reference=own, output=f"{d}/e", split=f"{d}/split.json", part="tset")),
        code=1,
        found="tset",
        expected="train, validation|'test'|test",
        advice="part",
    )
    yield Call(
        what="fewer windows than none",
        words=("evaluate", *sets(candidate=own, reference=own, output=f"{d}/e", balanced_windows=-5)),
        code=2,
        found="found -5",
        expected="0 or more",
        advice="expected",
    )
    yield Call(
        what="one candidate",
        words=("compare", *sets(candidates=f"[{own}]", reference=own, output=f"{d}/c")),
        code=2,
        found="annotations",
        expected="two or more",
        advice="expected",
    )
    yield Call(
        what="metric that is none",
        words=("compare", *sets(candidates=f"[{own}, {own}]", reference=own, output=f"{d}/c", metric="accuracy")),
        code=2,
        found="accuracy",
        expected="time f1",
        advice="metric",
    )
    yield Call(
        what="shares that do not sum to one",
        words=("split", *sets(manifest=manifest, output=f"{d}/s.json", fractions="{train: 0.5, test: 0.2}")),
        code=2,
        found="0.7|0.5",
        expected="sum to 1",
        advice="expected",
    )
    yield Call(
        what="cut manifest to split",
        words=("split", *sets(manifest=f"{d}/cut.parquet", output=f"{d}/s.json")),
        code=1,
        found="cut.parquet",
        expected="not a readable Parquet",
        advice="[Ss]can again|nrray scan|copy",
    )


def _others(d: str) -> Iterator[Call]:
    yield Call(
        what="no cases to simulate",
        words=("simulate", *sets(output=f"{d}/sim", num_cases=0)),
        code=2,
        found="found 0",
        expected="1 or more",
        advice="expected",
    )
    yield Call(
        what="renderer that is none",
        words=("simulate", "--renderer", "oil", *sets(output=f"{d}/sim")),
        code=2,
        found="'oil'",
        expected="'flat'",
        advice="expected",
    )
    yield Call(
        what="odd width",
        words=("simulate", *sets(output=f"{d}/sim", width_px=161)),
        code=2,
        found="found 161",
        expected="a multiple of 2",
        advice="expected",
    )
    yield Call(
        what="simulation on an object store",
        words=("simulate", *sets(output="memory://x")),
        code=1,
        found="memory://x",
        expected="file system",
        advice="give a folder",
    )
    yield Call(
        what="checkpoint for doctor that is not there",
        words=("doctor", "--model", f"{d}/none"),
        code=1,
        found="none",
        expected="checkpoint|folder",
        advice="folder|embedded",
    )
    yield Call(
        what="measure of nothing", words=("bench", "sleep"), code=2, found="sleep", expected="decode", advice="one of"
    )
    yield Call(
        what="bench of a video that is not there",
        words=("bench", "decode", "--video", f"{d}/none.mp4"),
        code=1,
        found="none.mp4",
        expected="not exist|not found|video",
        advice="--video|path|video",
    )
    yield Call(
        what="demo of no cases",
        words=("demo", f"{d}/demo", "--cases", "0"),
        code=2,
        found="0",
        expected="1<=x<=1000",
        advice="help|range",
    )
    yield Call(
        what="project without an archive",
        words=("init",),
        code=2,
        found="no archive",
        expected="expected the folder",
        advice="nrray init FOLDER",
    )
    yield Call(
        what="project of an archive that is not there",
        words=("init", f"{d}/none"),
        code=1,
        found="none",
        expected="archive|folder",
        advice="expected|FOLDER|mounted|right",
    )


def told(call: Call, folder: Path) -> Told:
    """Run a call in a folder of its own, as a user whom permissions hold."""
    where = folder / "called"
    where.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **call.environment}
    command = [*under_permissions(), sys.executable, "-m", "nrray", *call.words]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=where, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
        code, said, errors = done.returncode, done.stdout + done.stderr, done.stderr
    except subprocess.TimeoutExpired as error:
        code, said, errors = None, str(error.stdout or b""), f"no answer within {LIMIT_SECONDS:.0f} s"
    seconds = time.monotonic() - started
    lacks = [] if code == call.code else [f"exit code {call.code}"]
    for name in ("found", "expected", "advice"):
        if not re.search(getattr(call, name), said, flags=re.DOTALL):
            lacks.append(f"{name}: {getattr(call, name)}")
    lacks += [f"no word of a library: {words}" for words in WORDS_OF_LIBRARIES if words in said]
    lines = [line for line in (errors or said).splitlines() if line.strip(" │╭╮╰╯─")]
    first = next((line for line in lines if line.startswith("error: ")), lines[0] if lines else "")
    return Told(
        what=call.what,
        command=" ".join(["nrray", *call.words]).replace(str(folder), "DIR"),
        seconds=round(seconds, 1),
        code=code,
        first_line=first.replace(str(folder), "DIR"),
        lacks=lacks,
    )


@contextmanager
def silent_and_refusing_ports() -> Iterator[dict[str, int]]:
    """A port whose server accepts and says nothing, and one that nobody listens at."""
    with socket.socket() as silent, socket.socket() as refusing:
        for server in (silent, refusing):
            server.bind(("127.0.0.1", 0))
        silent.listen(20)
        yield {"silent": silent.getsockname()[1], "refusing": refusing.getsockname()[1]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for inputs and the result; made anew")
    parser.add_argument("--only", default="", help="calls whose description holds this text")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    inputs = folder / "inputs"
    if inputs.exists():
        for closed in ("closed", "closed_archive"):
            (inputs / closed).chmod(0o755)
        shutil.rmtree(inputs)
    inputs.mkdir(parents=True)
    make_inputs(inputs)
    results: list[Told] = []
    with ExitStack() as stack:
        ports = stack.enter_context(silent_and_refusing_ports())
        stack.enter_context(WriterLock(Folder(str(inputs / "busy"))))
        for call in calls(inputs, ports):
            if arguments.only not in call.what:
                continue
            result = told(call, inputs)
            results.append(result)
            mark = "ok " if not result.lacks else "BAD"
            print(
                f"{mark} {result.seconds:5.1f} s  {result.code}  {result.what}: {result.first_line[:150]}", flush=True
            )
            for lack in result.lacks:
                print(f"       lacks {lack}", flush=True)
    bad = [result for result in results if result.lacks]
    document = {
        "calls": len(results),
        "told_badly": len(bad),
        "longest_seconds": max((result.seconds for result in results), default=0.0),
        "results": [asdict(result) for result in results],
    }
    (folder / "wrong_calls.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(results)} wrong calls, {len(bad)} told badly, the longest took {document['longest_seconds']} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
