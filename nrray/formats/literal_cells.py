"""Cells of a CSV that no spreadsheet takes for a formula: behind an apostrophe a cell is text there; it is read off here."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # of any spreadsheet; behind apostrophes that a name has of itself


def literal_cell(text: str) -> str:
    """The cell of a text that somebody else wrote: a name, a path."""
    return f"'{text}" if _FORMULA.match(text) else text


def literal_text(cell: str) -> str:
    """The text of a cell: the reverse of `literal_cell`, and the text that a spreadsheet shows for a cell of its own."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
