"""A caption as data: what a model wrote about pictures goes into another model's prompt, and must not speak there for itself."""

import re
import unicodedata

CAPTION = "{caption}"
"""Stands in a template for the quoted caption."""

QUOTING = "one_line/1"  # name and version, of which the identity of outputs is made

# Every chat template marks its turns with tokens in such brackets: <|im_start|>, <s>, [INST], <start_of_turn>, {{...}}.
_BRACKETS = dict.fromkeys(map(ord, "<>[]{}|\u2581"))
_QUOTES = dict.fromkeys(map(ord, '"\u201c\u201d\u201e\u201f\u2033`'), "'")


def quoted(caption: str) -> str:
    """The caption in double quotes, on one line, without quotes, control characters and brackets of its own: it can neither end
    its quotation nor write a token by which chat templates mark turns. Compatibility forms (full-width <) count as what they
    stand for."""
    plain = unicodedata.normalize("NFKC", caption)
    printed = "".join(" " if unicodedata.category(char) in _NOT_PRINTED else char for char in plain)
    bare = re.sub(r"\s+", " ", printed.translate(_BRACKETS).translate(_QUOTES)).strip()
    return f'"{bare}"'


def filled(template: str, caption: str) -> str:
    """The template with the quoted caption in its place."""
    return template.replace(CAPTION, quoted(caption))


_NOT_PRINTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
