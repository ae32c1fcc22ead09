"""The website: catalogue → sheets → pages. Knows nothing of torch or of rendering."""

from atlas.site.write import SiteOptions, SiteReport, build_site

__all__ = ["SiteOptions", "SiteReport", "build_site"]
