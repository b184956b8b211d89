"""The sections of docs/coming-from.md are run, each where its library is installed.

Those of the libraries that the extra `dev` brings must be: only the others are skipped.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from test_readme import example_files

PAGE = Path(__file__).parents[1] / "docs/coming-from.md"
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
COMMON = "In common"
NEEDS = {
    "pytorch-grad-cam": "pytorch_grad_cam",
    "captum": "captum",
    "torch-cam": "torchcam",
    "shap": "shap",
    "Quantus": "quantus",
    "xplique": "xplique",
    "zennit": "zennit",
    "MONAI": "monai",
}
"""The module of each section's library."""
OFTEN_MISSING = {"shap", "Quantus", "xplique", "zennit", "MONAI"}


def blocks(section: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", SECTIONS[section], re.DOTALL | re.MULTILINE)


def shared_definitions() -> str:
    """The regions, which captum's section defines: from `halves` to the end of `of_quarters`."""
    text = "\n".join(blocks("captum"))
    return "import numpy as np\n" + text[text.index("halves = ") : text.index("theirs = FeatureAblation(")]


def test_every_section_with_code_is_run():
    assert {name for name in SECTIONS if blocks(name)} == {COMMON, *NEEDS}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("section", NEEDS)
def test_a_section_runs(section, hopper, tmp_path, monkeypatch):
    if find_spec(NEEDS[section]) is None and section in OFTEN_MISSING:
        pytest.skip(f"{section} is not installed (pip install {NEEDS[section]})")
    example_files(hopper, tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    definitions = [shared_definitions()] if section in OFTEN_MISSING else []
    for block in [*blocks(COMMON), *definitions, *blocks(section)]:
        exec(compile(block, f"{PAGE.name}, {section}", "exec"), names)
