"""The table of views, which the page's routes, tabs and tests read."""

from __future__ import annotations

from shapleycam.web.views import compare, explain
from shapleycam.web.views.view import View

VIEWS: dict[str, View] = {view.name: view for view in (explain.VIEW, compare.VIEW)}
