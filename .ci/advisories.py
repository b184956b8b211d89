"""What pip-audit found, and whether it could look: python .ci/advisories.py ADVISORIES.json MESSAGES."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def verdict(packages: list[dict[str, object]], *, on_github: bool) -> tuple[str, int]:
    """Return what to print, and the exit code; packages that PyPI did not answer for are a fault on GitHub alone."""
    vulnerable = [package for package in packages if package.get("vulns")]
    unknown = [package for package in packages if "skip_reason" in package]
    if vulnerable:
        lines = [
            f"{package['name']} {package['version']}: {', '.join(each['id'] for each in package['vulns'])}"
            for package in vulnerable
        ]
        return "known vulnerabilities; raise the versions in tested-versions.txt:\n" + "\n".join(lines), 1
    audited = len(packages) - len(unknown)
    if audited and not (on_github and unknown):
        left_out = f", {len(unknown)} could not be looked up" if unknown else ""
        return f"no known vulnerabilities in {audited} packages{left_out}", 0
    if on_github:
        return f"{len(unknown)} packages could not be looked up at PyPI (first: {unknown[:1]})", 1
    return "pip-audit is left out: PyPI's advisories cannot be reached from here; the workflow asks them", 0


def main() -> None:
    """Print the verdict of the files that pip-audit wrote."""
    advisories, messages = map(Path, sys.argv[1:])
    on_github = bool(os.environ.get("GITHUB_ACTIONS"))
    if not advisories.is_file() or not advisories.stat().st_size:
        reason = (messages.read_text(encoding="utf-8").strip().splitlines() or ["no message"])[-1]
        print(f"pip-audit could not run: {reason[:300]}")
        sys.exit(on_github)
    text, code = verdict(json.loads(advisories.read_text(encoding="utf-8"))["dependencies"], on_github=on_github)
    print(text)
    sys.exit(code)


if __name__ == "__main__":
    main()
