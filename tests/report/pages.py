"""What a page holds, as an HTML parser reads it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote

VOID = {"meta", "img", "br", "link", "input", "hr", "circle", "line", "rect", "polyline", "path", "use"}


@dataclass
class Page(HTMLParser):
    """links: of each `a`; images: (src, alt); addresses: all that the page names."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    images: list[tuple[str, str]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    addresses: list[str] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self._open = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.attributes |= values.keys()
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[name] for name in ("src", "href", "xlink:href", "action", "data") if name in values]
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.images.append((values["src"], values.get("alt", "")))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}> at {self.getpos()}"
        self._open.pop()

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def parsed(html):
    """The page, which is well-formed: all that is opened is closed in order."""
    page = Page()
    page.feed(html)
    page.close()
    assert page._open == []
    return page


def check_self_contained(html, *, folder):
    """The page runs nothing and loads nothing, its links lead to places in it or to files in reach of `folder`."""
    page = parsed(html)
    assert not {"script", "iframe", "object", "embed", "link", "form"} & set(page.tags)
    assert "default-src 'none'" in html or "default-src &#39;none&#39;" in html
    assert not [name for name in page.attributes if name == "style" or name.startswith("on")]
    for src, alt in page.images:
        assert src.startswith("data:image/png;base64,")
        assert alt
    for address in page.addresses:
        assert "//" not in address or address.startswith(("data:", "file:///")), address
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert (folder / unquote(link.split("#")[0])).exists(), link
    assert len(page.ids) == len(set(page.ids))
    return page
