"""`pyproject.toml` tells the truth: what is imported is declared, what is declared is imported or says who needs it."""

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OURS = {"nrray", "tests"}
OF_DEVELOPERS = {"workshop", "test", "dev"}  # extras that no user of nrray installs
TOOLS = {"pytest", "ruff", "mypy", "import-linter"}  # started by their own commands
STUBS = re.compile(r"types-.*|.*-stubs")


@dataclass(frozen=True, kw_only=True)
class Import:
    """A package that a module imports: at its top, or late, in a function."""

    package: str
    where: str
    is_late: bool


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A package in `pyproject.toml`: `extra` is "" for those that come with nrray, `reason` the comment beside it."""

    distribution: str
    extra: str
    reason: str


def imports_of(text: str, where: str) -> Iterator[Import]:
    tree = ast.parse(text)
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        for package in {name.split(".")[0] for name in names} - OURS - sys.stdlib_module_names:
            yield Import(package=package, where=f"{where}:{node.lineno}", is_late=id(node) in late)


@cache
def imports_below(folder: str) -> list[Import]:
    """Of all modules in a folder of this repository; scripts that import each other by name are not packages."""
    return [
        found
        for path in sorted((ROOT / folder).rglob("*.py"))
        for found in imports_of(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
        if not path.with_name(f"{found.package}.py").exists()
    ]


def imports_of_product() -> list[Import]:
    """Of what the wheel holds, and of the programs that Ray jobs start."""
    wheel = [found for found in imports_below("nrray") if not found.where.startswith("nrray/workshop/")]
    return wheel + imports_below("jobs")


def declarations(text: str) -> list[Declaration]:
    """All dependencies in the text of a pyproject.toml, one a line or in a list on one line, with their comments."""
    tomllib = pytest.importorskip("tomllib")  # Python 3.11 and newer
    project = tomllib.loads(text)["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    lines = text.splitlines()
    found = []
    for extra, requirements in lists.items():
        for requirement in requirements:
            name = Requirement(requirement).name
            if name == "nrray":
                continue
            line = next(line for line in lines if f'"{requirement}"' in line)
            _, _, reason = line.partition(f'"{requirement}"')[2].partition("#")
            found.append(Declaration(distribution=canonicalize_name(name), extra=extra, reason=reason.strip()))
    return found


def extras_within(extra: str) -> set[str]:
    """`extra` and the extras that it brings."""
    tomllib = pytest.importorskip("tomllib")
    lists = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    requirements = [Requirement(text) for text in lists[extra]]
    inner = [name for requirement in requirements if requirement.name == "nrray" for name in requirement.extras]
    return {extra}.union(*(extras_within(name) for name in inner))


@pytest.fixture(scope="module")
def declared() -> list[Declaration]:
    return declarations((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def distributions() -> dict[str, set[str]]:
    """Names of distributions by the package that they hold, of everything that is installed."""
    held = importlib.metadata.packages_distributions()
    return {package: {canonicalize_name(name) for name in names} for package, names in held.items()}


def names_of(package: str, distributions: dict[str, set[str]]) -> set[str]:
    """The distributions that may hold a package; for one that is not installed its own name."""
    return distributions.get(package, {canonicalize_name(package)})


def undeclared(
    found: list[Import], declared: list[Declaration], distributions: dict[str, set[str]], *, extras: set[str]
) -> list[str]:
    """Imports of packages that neither come with nrray nor with one of `extras`; late ones may be of any extra."""
    at_top = {item.distribution for item in declared if item.extra in {"", *extras}}
    late = {item.distribution for item in declared}
    return [
        f"{item.where} imports {item.package}"
        for item in found
        if not names_of(item.package, distributions) & (late if item.is_late else at_top)
    ]


def test_what_the_product_imports_comes_with_it_or_late_with_an_extra(declared, distributions):
    of_users = [item for item in declared if item.extra not in OF_DEVELOPERS]
    assert undeclared(imports_of_product(), of_users, distributions, extras=set()) == []


def test_what_the_workshop_imports_comes_with_nrray_or_with_its_extra(declared, distributions):
    assert undeclared(imports_below("nrray/workshop"), declared, distributions, extras={"workshop"}) == []


def test_what_the_tests_import_comes_with_the_test_extra(declared, distributions):
    assert undeclared(imports_below("tests"), declared, distributions, extras=extras_within("test")) == []


def test_what_is_declared_is_imported_or_says_who_needs_it(declared, distributions):
    product, everything = (
        {name for item in found for name in names_of(item.package, distributions)}
        for found in (imports_of_product(), imports_below("nrray") + imports_below("jobs") + imports_below("tests"))
    )
    idle = [
        f"{item.distribution} in {item.extra or 'dependencies'}"
        for item in declared
        if not item.reason
        and item.distribution not in (everything | TOOLS if item.extra in OF_DEVELOPERS else product)
        and not STUBS.fullmatch(item.distribution)
    ]
    assert idle == []


def test_an_import_is_late_only_inside_a_function():
    found = {
        item.package: item.is_late
        for item in imports_of(
            "import a.b\nfrom c import d\nimport os\ndef f():\n    import e\nclass G:\n    import h", "x.py"
        )
    }
    assert found == {"a": False, "c": False, "e": True, "h": False}


def test_undeclared_imports_and_late_ones_of_an_extra_are_told_apart():
    declared = declarations(
        '[project]\ndependencies = [\n    "one>=1",\n    "two>=1",  # for one\n]\n'
        "[project.optional-dependencies]\nmore = [\"Three_x>=1; sys_platform == 'linux'\"]  # in words\n"
    )
    assert [(item.distribution, item.extra, item.reason) for item in declared] == [
        ("one", "", ""),
        ("two", "", "for one"),
        ("three-x", "more", "in words"),
    ]
    found = list(imports_of("import one\nimport three_x\nimport four\ndef f():\n    import three_x, five", "x.py"))
    assert sorted(undeclared(found, declared, {}, extras=set())) == [
        "x.py:2 imports three_x",
        "x.py:3 imports four",
        "x.py:5 imports five",
    ]
    assert "x.py:2 imports three_x" not in undeclared(found, declared, {}, extras={"more"})
