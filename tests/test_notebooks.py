"""The notebooks of examples/, run from the first cell to the last by a real Jupyter kernel."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbclient, of the extra dev")
pytest.importorskip("nbclient", reason="needs nbclient, of the extra dev")

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "bench"))
from notebooks import NotebookPage, execute  # noqa: E402  # bench/ is no package

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LARGEST = 100_000


def skeleton(page: str) -> str:
    """Return a page without what may differ between versions: numbers, printed text and the cells of tables."""
    page = re.sub(r"^```text\n.*?^```$", "```text```", page, flags=re.DOTALL | re.MULTILINE)
    page = re.sub(r"^\|.*\n", "", re.sub(r"<table>.*?</table>", "<table></table>", page), flags=re.MULTILINE)
    return re.sub(r"\d+(\.\d+)?", "0", page)


def assert_page_is_of(name: str, notebook) -> None:
    """The page of the documentation shows these cells and outputs; `python bench/notebooks.py` makes it again."""
    page = (ROOT / "docs/notebooks" / f"{name}.md").read_text(encoding="utf-8")
    assert skeleton(page) == skeleton(NotebookPage(name, notebook).markdown)


def outputs(notebook, kind: str) -> list[str]:
    """Return all cells' outputs of a kind, such as text/html or image/png; "text" is what they print."""
    cell_outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    if kind == "text":
        return [output.text for output in cell_outputs if output.output_type == "stream" and output.name == "stdout"]
    return [output.data[kind] for output in cell_outputs if kind in output.get("data", {})]


def number_after(word: str, texts: list[str]) -> float:
    """Return the first number behind a word in the printed text."""
    return float("\n".join(texts).split(word, maxsplit=1)[1].split()[0].strip(",;%"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_valid_small_and_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < LARGEST
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["first_steps", "your_own_method"]


def test_first_steps(tmp_path):
    done = execute("first_steps", tmp_path)
    assert_page_is_of("first_steps", done)
    html = outputs(done, "text/html")
    assert html[0].count("<img") == 1
    assert "<b>academic gown</b>" in html[0]
    compared = [text for text in html if text.count("<img") == 6]
    assert len(compared) == 1
    assert "<figcaption>randomcam</figcaption>" in compared[0]
    printed = outputs(done, "text")
    assert number_after("everybody", printed) == pytest.approx(number_after("\nsum", printed), rel=1e-3)
    off = [
        number_after(name, printed) for name in ("first order   off by", "second order  off by", "path          off by")
    ]
    assert off == sorted(off, reverse=True)  # behind this head
    assert len(outputs(done, "image/png")) == 2  # the signed values, and the error bars
    assert (tmp_path / "hopper.npz").is_file()


def test_your_own_method(tmp_path):
    pytest.importorskip("skimage", reason="its photographs come with scikit-image, of the extra dev")
    done = execute("your_own_method", tmp_path)
    assert_page_is_of("your_own_method", done)
    (table,) = outputs(done, "text/markdown")
    rows = [line.split(" | ")[1] for line in table.splitlines() if line.startswith("| ")][2:]
    assert rows == ["gradcam", "positivecam", "shapleycam", "positivecam-2", "randomcam"]  # as its protocol has them
    maps = outputs(done, "text/html")[0]
    assert maps.count("<img") == 4 * 4
    assert "<figcaption>positivecam-2</figcaption>" in maps
    page = (tmp_path / "run.html").read_text()
    assert "positivecam heatmap of" in page
    assert "Maps are not shown" not in page
