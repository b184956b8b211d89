"""What the site shows beyond docs/: the benchmarks' results, under measurements/."""
# ruff: noqa: INP001  # mkdocs loads this file by its path

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
HERE, THERE = "](../bench/results/", "](measurements/"
"""How a page links to a result so that it works on GitHub, and where the site has it."""


def on_files(files: Files, config: Any) -> Files:
    """Add what the benchmarks last printed and drew."""
    for result in sorted((ROOT / "bench/results").iterdir()):
        if result.suffix in {".md", ".png"}:
            files.append(File.generated(config, f"measurements/{result.name}", abs_src_path=str(result)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to the results lead to their pages of the site."""
    return markdown.replace(HERE, THERE)
