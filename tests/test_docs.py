"""Files that the documents name exist: a document does not outlive the code that it describes."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "cluster/README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:nrray|tests|configs|docs|jobs|cluster)/[\w./-]*")


def named_paths(document: Path) -> set[Path]:
    """Targets of links, and paths in code; of a path with a part NAME the folder that the new file goes to."""
    text = document.read_text(encoding="utf-8")
    links = {document.parent / link for link in LINK.findall(text) if "://" not in link}
    paths = {ROOT / path for code in CODE.findall(text) for path in PATH.findall(code)}
    return {path.parent if "NAME" in path.name else path for path in links | paths}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_a_document_names_exist(name):
    assert sorted(str(path.relative_to(ROOT)) for path in named_paths(ROOT / name) if not path.exists()) == []
