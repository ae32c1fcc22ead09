"""`atlas check`: everything that can be wrong with a finished site, before an upload fails.

`check_site` walks the folder, reads every file once, and returns a `CheckReport`. It never opens
anything outside of the folder and needs neither network nor browser.
"""

from atlas.site.check.hosts import HOSTS
from atlas.site.check.problems import Problem, lines
from atlas.site.check.run import CheckReport, check_site

__all__ = ["HOSTS", "CheckReport", "Problem", "check_site", "lines"]
