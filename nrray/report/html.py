"""A self-contained page of a template and style sheets: it opens offline, loads nothing, runs nothing.

Every value is escaped; the content security policy allows the page's own style sheet and pictures inside the page alone.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


def rendered(
    package: str,
    name: str,
    values: Mapping[str, Any],
    *,
    styles: tuple[str, ...] = (),
    filters: Mapping[str, Callable[..., Any]] | None = None,
) -> str:
    """The HTML of `templates/<name>.html` of a package, with the style sheet that all pages share and `styles` of the
    package."""
    shared, own = (resources.files(each) / "templates" for each in ("nrray.report", package))
    sheets = [shared / "page.css", *(own / style for style in styles)]
    style = "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    # The style is one known text, so its hash can stand in the policy in place of 'unsafe-inline'.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= filters or {}
    template = environment.from_string((own / f"{name}.html").read_text(encoding="utf-8"))
    return template.render(values, style=Markup(style), policy=policy)


def png_address(data: bytes) -> str:
    """A PNG as the address of a picture inside a page."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
