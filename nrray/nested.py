"""Text of users and of archives as values, within bounds: nesting that would exhaust a parser or this process is an error."""

import json
import re
from typing import Any

import yaml

MAX_DEPTH = 100
MAX_YAML_BYTES = 1 << 20
MAX_YAML_VALUES = 200_000
"""With aliases written out: nine lines of aliases to aliases are a billion values."""
_BRACKET = re.compile(r"[][{}]")
TOO_DEEP = f"its values are nested too deep; expected {MAX_DEPTH} levels at most"


def json_from(text: str | bytes) -> Any:
    """The JSON in `text`. Raises ValueError, also where it is nested too deep for Python."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def yaml_from(text: str, loader: type[yaml.SafeLoader]) -> Any:
    """The YAML in `text`. Raises ValueError where it is larger or nested deeper than any text of ours, and yaml.YAMLError."""
    if len(text) > MAX_YAML_BYTES:
        raise ValueError(f"it has {len(text):,} characters; expected {MAX_YAML_BYTES:,} at most. Is it the right file?")
    _check_levels(text)
    reader = loader(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        _Sizes().of(node, depth=0)
        return reader.construct_document(node)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    finally:
        reader.dispose()


def _check_levels(text: str) -> None:
    """Raise ValueError for more open brackets than levels may be: a parser looks at all of them for each one more."""
    if max((len(line) - len(line.lstrip(" -?")) for line in text.splitlines()), default=0) > 10 * MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    num_open = 0
    for bracket in _BRACKET.findall(text):
        num_open += 1 if bracket in "[{" else -1 if num_open else 0
        if num_open > MAX_DEPTH:
            raise ValueError(TOO_DEEP)


class _Sizes:
    """How many values the nodes of a document are, each alias to one counted as if it were written out."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._open: set[int] = set()

    def of(self, node: yaml.Node, *, depth: int) -> int:
        """Raises ValueError."""
        if id(node) in self._known:
            return self._known[id(node)]
        if depth > MAX_DEPTH or id(node) in self._open:
            raise ValueError(TOO_DEEP if depth > MAX_DEPTH else "an alias stands in its own anchor; expected an end")
        self._open.add(id(node))
        total = 1
        for child in _children(node):
            total += self.of(child, depth=depth + 1)
            if total > MAX_YAML_VALUES:
                raise ValueError(
                    f"with its aliases written out it has more than {MAX_YAML_VALUES:,} values; expected fewer. Write the values "
                    f"out that you mean."
                )
        self._open.discard(id(node))
        self._known[id(node)] = total
        return total


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
