"""All uses of Ray in nrray's sources, read from their syntax trees: names, keywords of calls, hooks of subclasses, fields of
the DataContext, keys of `_system_config` and environment variables."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
MENTION = re.compile(r"\b(?:import|from) ray\b|(?:RAY|TUNE)_")
VARIABLE = re.compile(r"(?<![A-Z_])(?:RAY|TUNE)_[A-Z0-9_]+\b")


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a name of Ray's, or of a method by its last name."""

    name: str  # ray.init, or .map_batches
    num_positional: int
    keywords: frozenset[str]
    where: str


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A method that a subclass of Ray's has."""

    base: str
    method: str
    parameters: tuple[str, ...]


@dataclass(kw_only=True)
class RayUses:
    """Found in one file or all."""

    names: dict[str, str] = field(default_factory=dict)  # dotted name to file and line
    calls: list[Call] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    context_fields: set[str] = field(default_factory=set)
    system_config: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)


def uses_of_ray() -> RayUses:
    """In all modules of nrray; of environment variables, also in the scripts of cluster/ and jobs/."""
    uses = RayUses()
    for file, tree in _trees():
        _Reader(uses, file).visit(tree)
    for folder in ("cluster", "jobs"):
        for file in (ROOT / folder).iterdir():
            if file.is_file():
                uses.variables |= set(VARIABLE.findall(file.read_text(encoding="utf-8")))
    return uses


def modules_that_import_ray() -> set[str]:
    """Paths of modules with an import of ray, at the top or late."""
    return {
        file.relative_to(ROOT / "nrray").as_posix()
        for file, tree in _trees()
        if any(name.split(".")[0] == "ray" for node in ast.walk(tree) for name in _imported(node))
    }


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    """Of the modules that mention Ray."""
    for file in sorted((ROOT / "nrray").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if MENTION.search(text):
            yield file, ast.parse(text)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
        yield node.module


class _Reader(ast.NodeVisitor):
    def __init__(self, uses: RayUses, file: Path) -> None:
        self._uses = uses
        self._file = file.relative_to(ROOT)
        self._aliases: dict[str, str] = {}
        self._contexts: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] == "ray":
                self._aliases[alias.asname or "ray"] = alias.name if alias.asname else "ray"
                self._note(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and (node.module or "").split(".")[0] == "ray":
            for alias in node.names:
                self._aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                self._note(f"{node.module}.{alias.name}", node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self._dotted(node)
        if name is not None:
            self._note(name, node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._dotted(node.func)
        if name is None and isinstance(node.func, ast.Attribute):
            name = f".{node.func.attr}"
        if name is not None:
            keywords = frozenset(keyword.arg for keyword in node.keywords if keyword.arg is not None)
            where = f"{self._file}:{node.lineno}"
            self._uses.calls.append(Call(name=name, num_positional=len(node.args), keywords=keywords, where=where))
        for keyword in node.keywords:
            if keyword.arg == "_system_config" and isinstance(keyword.value, ast.Dict):
                self._uses.system_config |= {key.value for key in keyword.value.keys if isinstance(key, ast.Constant)}
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for base in filter(None, map(self._dotted, node.bases)):
            self._note(base, node)
            self._uses.hooks += [
                Hook(base=base, method=item.name, parameters=tuple(a.arg for a in item.args.args[1:]))
                for item in node.body
                if isinstance(item, ast.FunctionDef) and (not item.name.startswith("_") or item.name == "__call__")
                if not any(getattr(decorator, "id", None) == "property" for decorator in item.decorator_list)
            ]
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        (target, *_) = node.targets
        if isinstance(target, ast.Name) and "DataContext" in ast.unparse(node.value):
            self._contexts.add(target.id)
        text = ast.unparse(target)
        if isinstance(target, ast.Attribute) and text.split(".")[0] in self._contexts:
            self._uses.context_fields.add(text.split(".", 1)[1])
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
            self._uses.variables.add(node.value)

    def _note(self, name: str, node: ast.AST) -> None:
        self._uses.names.setdefault(name, f"{self._file}:{getattr(node, 'lineno', 0)}")

    def _dotted(self, node: ast.AST) -> str | None:
        """The full name of an expression such as `tune.Tuner.restore`, if it is Ray's."""
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id)
        if isinstance(node, ast.Attribute):
            parent = self._dotted(node.value)
            return f"{parent}.{node.attr}" if parent is not None else None
        return None
