"""The notebooks of examples/ with their outputs, as pages: writes docs/notebooks/ and docs/images/notebooks/.

python bench/notebooks.py                    # half a minute on two cores
"""

from __future__ import annotations

import argparse
import re
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PICTURES = "images/notebooks"
DATA_URI = re.compile(r"data:image/(\w+);base64,([A-Za-z0-9+/=]+)")
COLOURS, QUALITY = 64, 82
"""Of a PNG figure, and of a photograph as JPEG."""


def execute(name: str, folder: Path) -> NotebookNode:
    """Return a notebook of examples/ with its outputs, run in a folder by a kernel of this Python."""
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()


class NotebookPage:
    """A page of Markdown made of an executed notebook.

    Attributes:
        markdown: the page's text.
        pictures: the pictures that it shows, by file name.
    """

    def __init__(self, name: str, notebook: NotebookNode) -> None:
        self.name = name
        self.pictures: dict[str, bytes] = {}
        title, *cells = notebook.cells
        note = f"<!-- made by bench/notebooks.py -->\nThe notebook `examples/{name}.ipynb`, with its outputs."
        heading, _, introduction = title.source.partition("\n")
        parts = [heading, note, introduction.strip(), *(part for cell in cells for part in self._parts(cell))]
        self.markdown = "\n\n".join(part for part in parts if part) + "\n"

    def _parts(self, cell: NotebookNode) -> Iterator[str]:
        """Yield a cell and each of its outputs as Markdown; what goes to standard error is left out."""
        if cell.cell_type == "markdown":
            yield cell.source
            return
        yield f"```python\n{cell.source}\n```"
        printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        if printed:
            yield f"```text\n{printed.rstrip()}\n```"
        for output in cell.outputs:
            if "data" in output:
                yield self._shown(output.data, cell.metadata.get("alt"))

    def _shown(self, data: NotebookNode, alt: str | None) -> str:
        """Return the richest form of an output, in a notebook's order of preference."""
        if "text/markdown" in data:
            return str(data["text/markdown"]).strip()
        if "text/html" in data:
            return self._html(data["text/html"])
        if "image/png" in data:
            if not alt:
                raise SystemExit(f"{self.name}: a cell draws a picture; write into its metadata, as alt, what is seen")
            kind, suffix = ("image/jpeg", "jpg") if "image/jpeg" in data else ("image/png", "png")
            return f"![{alt}]({self._picture(b64decode(data[kind]), suffix)})"
        return f"```text\n{data['text/plain']}\n```"

    def _html(self, text: str) -> str:
        """Return HTML with its pictures as files and without style sheets and classes of its own."""
        text = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
        text = re.sub(r"<table[^>]*>", "<table>", text)
        text = DATA_URI.sub(lambda match: self._picture(b64decode(match[2]), "jpg"), text)
        return "\n".join(line for line in text.splitlines() if line.strip())

    def _picture(self, content: bytes, suffix: str) -> str:
        """Keep a picture, small; return its address as seen from the page."""
        picture, buffer = Image.open(BytesIO(content)).convert("RGB"), BytesIO()
        if suffix == "png":
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        else:
            picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
        same = (name for name, shown in self.pictures.items() if shown == buffer.getvalue())
        file = next(same, f"{self.name}_{len(self.pictures) + 1}.{suffix}")
        self.pictures[file] = buffer.getvalue()
        return f"../{PICTURES}/{file}"

    def write(self, docs: Path) -> None:
        """Write the page and its pictures into a folder of documentation."""
        for folder in ("notebooks", PICTURES):
            (docs / folder).mkdir(parents=True, exist_ok=True)
        (docs / "notebooks" / f"{self.name}.md").write_text(self.markdown, encoding="utf-8")
        for old in (docs / PICTURES).glob(f"{self.name}_*"):
            old.unlink()
        for file, content in self.pictures.items():
            (docs / PICTURES / file).write_bytes(content)


def main() -> None:
    """Run each notebook in an empty folder and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="The folder of the documentation.")
    out = parser.parse_args().out
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            NotebookPage(path.stem, execute(path.stem, Path(folder))).write(out)


if __name__ == "__main__":
    main()
