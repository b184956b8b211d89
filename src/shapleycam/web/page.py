"""The page: its tabs, and what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from shapleycam.cams.table import METHODS
from shapleycam.web.handlers import Handlers
from shapleycam.web.panel import Panel, panel_of, waiting
from shapleycam.web.results import Runs
from shapleycam.web.shelf import Shelf
from shapleycam.web.site import Site

_HERE = Path(__file__).parent
_SWEEP, _AGE = 60, 600
"""Seconds between the removals of files that the server made for a page, and the age at which they go."""
_SETS = ("paper", "all")
_BEGIN = '<p class="sc-where">Drop a photograph on the left, or take the example.</p>'


def build(site: Site) -> Any:  # gradio's Blocks, which its own types do not say
    """The page, not yet served."""
    runs = Runs(list(site.runs))
    handlers = Handlers(Shelf(site.models, site.loaded, site.device), runs, site.limits)
    with gr.Blocks(title="shapleycam", analytics_enabled=False, delete_cache=(_SWEEP, _AGE), fill_width=True) as page:
        gr.HTML(
            '<header class="sc-head"><h1>shapleycam</h1><p>Which places of a photograph earned the score that a model '
            "gives it, and how sure that answer is.</p></header>"
        )
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                asked = panel_of(page, site, handlers)
            with gr.Column(scale=3, min_width=320), gr.Tabs():
                with gr.Tab("Explain"):
                    _explain(handlers, asked)
                with gr.Tab("Compare"):
                    _compare(handlers, asked)
                with gr.Tab("Fidelity"):
                    _fidelity(handlers, asked)
                with gr.Tab("Coalitions"):
                    _coalitions(handlers, asked)
                with gr.Tab("Results"):
                    _results(handlers, runs)
    return page


def _explain(handlers: Handlers, panel: Panel) -> None:
    with gr.Row(elem_classes="sc-row"):
        method = gr.Dropdown(list(METHODS), value="shapleycam", label="Method", elem_id="method")
        stop = gr.Button("Stop", size="sm", min_width=80, scale=0)
    shown = gr.HTML(_BEGIN, elem_id="explained")

    def explain(method: str, photograph: Any, *asked: Any) -> Iterator[Any]:
        if photograph is None:  # a refused one must not leave the answer to another before it
            yield _BEGIN, gr.skip()
            return
        for html, top in handlers.explain(method, photograph, *asked):
            chosen = next((entry for _, entry in top or () if entry == asked[-2]), None)
            yield html, gr.skip() if top is None else gr.update(choices=top, value=chosen, visible=bool(top))

    how: dict[str, Any] = {"fn": explain, "inputs": [method, *panel.inputs], "outputs": [shown, panel.top], **waiting()}
    working = [event.then(**how) for event in panel.taken]
    working.append(panel.top.input(lambda entry: entry, panel.top, panel.target, **waiting()).then(**how))
    changes = (method, panel.target, panel.against, panel.layer, panel.utility)
    working += [part.input(**how, trigger_mode="always_last") for part in changes]
    stop.click(None, cancels=working)


def _buttons(start: str) -> tuple[gr.Button, gr.Button]:
    """To begin, and to stop what was begun."""
    begin = gr.Button(start, variant="primary", scale=0, min_width=110)
    return begin, gr.Button("Stop", size="sm", min_width=80, scale=0)


def _compare(handlers: Handlers, panel: Panel) -> None:
    with gr.Row(elem_classes="sc-row"):
        which = gr.Dropdown([*_SETS, *METHODS], value="paper", label="Methods", info="the paper's ten, all, or one")
        start, stop = _buttons("Compare")
    shown = gr.HTML(elem_id="compared")
    working = start.click(handlers.compare, [which, *panel.inputs], shown, **waiting())
    stop.click(None, cancels=[working])


def _fidelity(handlers: Handlers, panel: Panel) -> None:
    with gr.Row(elem_classes="sc-row"):
        percent = gr.Slider(
            0.1, 5, value=0.5, step=0.1, label="Standard error to sample to, % of the values", elem_id="tolerance"
        )
        start, stop = _buttons("Sample")
    shown = gr.HTML(elem_id="measured")
    working = start.click(handlers.fidelity, [percent, *panel.inputs], shown, **waiting())
    stop.click(None, cancels=[working])


def _coalitions(handlers: Handlers, panel: Panel) -> None:
    with gr.Row(elem_classes="sc-row"):
        start, stop = _buttons("Play")
    with gr.Row():
        with gr.Column(min_width=280):
            board = gr.HTML(elem_id="board", js_on_load=(_HERE / "board.js").read_text(encoding="utf-8"))
        with gr.Column(min_width=280):
            worth = gr.HTML(elem_id="worth")
    settled = gr.State(None)

    def begin(*asked: Any) -> Iterator[Any]:
        for html, together in handlers.begin(*asked):
            yield html, asked, together

    def play(asked: Any, event: gr.EventData) -> Iterator[str]:
        yield from handlers.worth(getattr(event, "coalition", ""), *asked)

    working = start.click(begin, panel.inputs, [board, settled, worth], **waiting())
    board.click(play, settled, worth, **waiting(trigger_mode="always_last"))
    stop.click(None, cancels=[working])


def _results(handlers: Handlers, runs: Runs) -> None:
    names = runs.names
    with gr.Row(elem_classes="sc-row"):
        run = gr.Dropdown(names, value=names[0] if names else None, label="Run of evaluate")
        metric = gr.Dropdown(
            handlers.metrics(names[0]) if names else [], label="Images differ by", info="a metric", elem_id="metric"
        )
        start = gr.Button("Open", variant="primary", scale=0, min_width=110)
    shown = gr.HTML(elem_id="results")
    alone: dict[str, Any] = {
        "concurrency_id": "figures",
        "concurrency_limit": 1,
        "api_visibility": "private",
    }  # matplotlib's wish
    run.input(lambda name: gr.update(choices=handlers.metrics(name), value=None), run, metric, **alone)
    start.click(handlers.results, [run, metric], shown, **alone)
    metric.input(handlers.results, [run, metric], shown, **alone)
