"""Accessibility of a page in a browser, checked by axe-core.

`axe.min.js` is axe-core 4.14.1 as npm has it (https://www.npmjs.com/package/axe-core), unchanged, under the Mozilla
Public License 2.0, whose text is `axe.LICENSE.txt`. Only tests use it; it is not part of the wheel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

AXE = Path(__file__).with_name("axe.min.js")
IMPACTS = ("minor", "moderate", "serious", "critical")
SERIOUS = ("serious", "critical")


def accessibility_violations(page: Any, impacts: tuple[str, ...] = IMPACTS) -> list[str]:
    """Return a line for each element of a page that breaks a rule of axe-core.

    axe-core is evaluated through the browser's debugger, so that a content security policy does not refuse it. Wait for
    what the page shows before the call, and for transitions of colours: contrast is measured as it is at that moment.

    Args:
        page: a page of Playwright's synchronous API.
        impacts: the severities that count, of IMPACTS.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    violations = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(results => results.violations)")
    return [
        f"{violation['id']} ({violation['impact']}): {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for violation in violations
        if violation["impact"] in impacts
        for node in violation["nodes"]
    ]
