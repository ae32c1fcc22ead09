"""For search engines: the addresses of all pages, where the site's own address is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote
from xml.sax.saxutils import escape

HIDDEN = {"404.html", "compare.html"}
"""Pages that say nothing of their own."""
MOST = 50_000
"""Addresses that a sitemap may have (sitemaps.org, protocol 0.9); an atlas stays below."""


def sitemap(url: str, pages: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """``sitemap.xml``, the addresses of `pages` (paths relative to the site)."""
    shown = [page for page in pages if page not in HIDDEN][:MOST]
    lines = [f"<url><loc>{escape(_address(url, page))}</loc></url>" for page in shown]
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        + "\n".join(lines)
        + "\n</urlset>\n"
    )
    yield "sitemap.xml", text.encode()


def robots(url: str) -> tuple[str, bytes]:
    """``robots.txt``, which says where the sitemap is."""
    return "robots.txt", f"Sitemap: {_address(url, 'sitemap.xml')}\n".encode()


def _address(url: str, page: str) -> str:
    return f"{url.rstrip('/')}/{quote(page)}"
