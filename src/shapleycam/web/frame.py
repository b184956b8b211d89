"""The content of a page around an answer: tabs and panel. It does not need the model."""

from __future__ import annotations

from typing import Any

from shapleycam.version import __version__
from shapleycam.web.panel import hidden_pairs, layer_options, panel_boxes, upload_pairs
from shapleycam.web.question import Question
from shapleycam.web.resources import Resources
from shapleycam.web.site import Site
from shapleycam.web.views import TABS, VIEWS


def frame_content(view: str, question: Question, site: Site, resources: Resources) -> dict[str, Any]:
    """Return the content for the template of a page, except the answer and messages."""
    fields = VIEWS[view].fields
    return {
        "views": TABS,
        "view": VIEWS[view],
        "question": question,
        "site": site,
        "runs": resources.runs.names,
        "examples": list(resources.photographs.examples),
        "boxes": panel_boxes(question, resources.models.names.short, fields, has_reference=bool(site.reference)),
        "layer_options": layer_options(),
        "hidden_pairs": hidden_pairs(question, fields),
        "upload_pairs": upload_pairs(question),
        "glossary_address": lambda term: f"glossary#{term.id}",
        "server": resources.server,
        "version": __version__,
    }
