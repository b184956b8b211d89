"""The part of the page that every tab reads: photograph, model, layer, utility, class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from shapleycam.layers import RULES
from shapleycam.utilities import UTILITIES
from shapleycam.web.handlers import Handlers
from shapleycam.web.site import Site

_AT_ONCE = 2
"""Requests that are worked on at once."""
_SEARCH = "the likeliest, or search: a name or a number"
_NOT = "why that class and not this one; empty: and no other"


@dataclass(frozen=True)
class Panel:
    """The parts that every tab reads, and `taken`, the events that bring a photograph."""

    photograph: gr.State
    model: gr.Dropdown
    layer: gr.Dropdown
    utility: gr.Dropdown
    target: gr.Dropdown
    against: gr.Dropdown
    top: gr.Radio
    taken: list[Any]

    @property
    def inputs(self) -> list[Any]:
        """What a question is made of."""
        return [self.photograph, self.model, self.layer, self.utility, self.target, self.against]


def panel_of(page: gr.Blocks, site: Site, handlers: Handlers) -> Panel:
    photograph = gr.State(None, time_to_live=3600)
    drop = _drop()
    said = gr.HTML()
    examples = [gr.Button(f"Example: {path.stem.replace('_', ' ')}", size="sm") for path in site.examples]
    models = list(site.models)
    model = gr.Dropdown(models, value=models[0], label="Model", visible=True if len(models) > 1 else "hidden")
    top = gr.Radio([], label="What the model sees in it", visible=False, elem_id="top")
    target = gr.Dropdown(
        [], value=None, label="Class to explain", info=_SEARCH, allow_custom_value=True, elem_id="target"
    )
    against = gr.Dropdown([], value=None, label="and not …", info=_NOT, allow_custom_value=True, elem_id="against")
    with gr.Accordion("Layer and utility", open=False):
        layer = gr.Dropdown(
            list(RULES), value="before-pool", label="Layer", info="or a dotted name", allow_custom_value=True
        )
        utility = gr.Dropdown(list(UTILITIES), value="rest", label="Utility: what is divided")
    panel = Panel(photograph, model, layer, utility, target, against, top, [])

    def receive(path: str | None) -> tuple[Any, ...]:
        if path is None:
            return None, gr.skip(), "", None, None, _no_top()
        found, html = handlers.receive(Path(path))
        return found, found and _preview(found.image()), html, None, None, _no_top()

    def example(path: Path) -> tuple[Any, ...]:
        found, html = handlers.example(path)
        return found, found and _preview(found.image()), html, None, None, _no_top()

    def classes(name: str) -> tuple[Any, ...]:
        entries, html = handlers.classes(name)
        return *(gr.update(choices=entries, value=None) for _ in range(2)), html

    def first_classes(name: str) -> tuple[Any, ...]:
        """The same while a visitor may have begun already, whose choices and messages stay."""
        entries, html = handlers.classes(name)
        return *(gr.update(choices=entries) for _ in range(2)), html or gr.skip()

    brought = [photograph, drop, said, target, against, top]
    panel.taken.append(drop.upload(receive, drop, brought, **waiting()))
    panel.taken.append(drop.clear(partial(receive, None), None, brought, **waiting()))
    panel.taken.extend(
        button.click(partial(example, path), None, brought, **waiting())
        for button, path in zip(examples, site.examples, strict=True)
    )
    page.load(first_classes, model, [target, against, said], **waiting())
    panel.taken.append(model.input(classes, model, [target, against, said], **waiting()))
    return panel


def _no_top() -> Any:
    return gr.update(choices=[], value=None, visible=False)


def _preview(image: Any) -> Any:
    image.thumbnail((800, 800))
    return image


def waiting(**how: Any) -> dict[str, Any]:
    """How an event waits for its turn."""
    return {"concurrency_id": "work", "concurrency_limit": _AT_ONCE, "api_visibility": "private", **how}


def _drop() -> gr.Image:
    """A place for a photograph; what arrives is not opened, but handed on as the file that it is.

    No class of our own: beside the file of one Gradio would write a stub.
    """
    sources: list[Any] = ["upload", "clipboard"]
    label = "Photograph: drop, paste or choose one"
    drop = gr.Image(label=label, sources=sources, type="filepath", height=240, buttons=[])
    drop.preprocess = lambda payload: None if payload is None else payload.path  # type: ignore[method-assign]
    return drop
