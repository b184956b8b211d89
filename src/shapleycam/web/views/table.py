"""The table of views, which the page's routes, tabs and tests read."""

from __future__ import annotations

from shapleycam.web.views import coalition_value, coalitions, compare, explain, fidelity, ladder, results
from shapleycam.web.views.view import View

_ALL = (explain.VIEW, compare.VIEW, fidelity.VIEW, ladder.VIEW, coalitions.VIEW, coalition_value.VIEW, results.VIEW)
VIEWS: dict[str, View] = {view.name: view for view in _ALL}
"""By name; tabs in their order."""
TABS = {name: view for name, view in VIEWS.items() if not view.part_of}
"""Those that are tabs."""
