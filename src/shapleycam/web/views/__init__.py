"""The views of the page, one file each: what a question's answer is, and how it is shown."""

from shapleycam.web.views.table import TABS, VIEWS, View

__all__ = ["TABS", "VIEWS", "View"]
