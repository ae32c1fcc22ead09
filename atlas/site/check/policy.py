"""The Content-Security-Policy in a page's `<meta>`: that it is there, first, and strict."""

from __future__ import annotations

from urllib.parse import urlsplit

from atlas.site.check.markup import Placed, shown
from atlas.site.check.problems import Findings

_GOVERNED = {"script", "link", "style", "base", "img"}
_LAX = {"'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'", "*", "http:", "https:", "data:"}


def check_policy(elements: list[Placed], media: str, own: str, findings: Findings) -> None:
    """Add what is wrong with a page's policy.

    Args:
        media: the address that the site's media are loaded from, empty if they are inside of it:
            its origin may be named for images.
        own: an address of the site itself that may be named beside ``'self'``, or empty.
    """
    before: list[Placed] = []
    for here in elements:
        meta = here.element.attrib
        if here.tag == "meta" and meta.get("http-equiv", "").lower() == "content-security-policy":
            _directives(meta.get("content", ""), media, own, findings)
            if before:
                findings.add(
                    "policy", f"the policy stands after {shown(before[0])}, which it cannot govern"
                )
            return
        if here.tag in _GOVERNED:
            before.append(here)
    findings.add("policy", "has no Content-Security-Policy")


def _directives(text: str, media: str, own: str, findings: Findings) -> None:
    found = {words[0].lower(): words[1:] for part in text.split(";") if (words := part.split())}
    if found.get("default-src") != ["'none'"]:
        findings.add("policy", "the policy's default-src has to be 'none'")
    parts = urlsplit(media)
    origin = f"{parts.scheme}://{parts.netloc}" if media else None
    for name, sources in found.items():
        for source in sources:
            if source.lower() in _LAX:
                findings.add("policy", f"the policy's {name} allows {source}")
            elif source[0] == "'" or source == own or (name == "img-src" and source == origin):
                continue
            else:
                findings.add("policy", f"the policy's {name} allows {source}, another origin")
