"""Every page comes from one environment that escapes all values, and nothing that came from outside is marked as safe."""

import ast
from pathlib import Path

import nrray

SOURCES = sorted(Path(nrray.__file__).parent.rglob("*.py"))
TEMPLATES = sorted(Path(nrray.__file__).parent.rglob("*.html"))


def calls_of(name: str) -> list[tuple[Path, ast.Call]]:
    return [
        (file, node)
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) == name
    ]


def test_the_one_environment_of_pages_escapes():
    ((file, call),) = [
        (file, call)
        for file, call in calls_of("Environment")
        if any(word.arg == "autoescape" for word in call.keywords)
    ]
    assert file.name == "html.py"
    (escapes,) = [word.value for word in call.keywords if word.arg == "autoescape"]
    assert isinstance(escapes, ast.Constant)
    assert escapes.value is True


def test_only_words_of_ours_are_markup():
    found = calls_of("Markup")
    assert len(found) > 10
    computed = [
        f"{file.name}:{call.lineno}"
        for file, call in found
        if not isinstance(call.args[0], ast.Constant) and ast.unparse(call.args[0]) != "style"
    ]
    assert computed == []


def test_no_template_marks_a_value_as_safe_or_runs_a_script():
    assert {file.name for file in TEMPLATES} >= {"run_page.html", "evaluation.html"}
    for file in TEMPLATES:
        text = file.read_text(encoding="utf-8")
        for words in ("|safe", "| safe", "autoescape", "<script", "javascript:", " onclick", " onload"):
            assert words not in text, f"{file.name}: {words}"
