"""The jinja2 environment; all HTML is rendered with it, so that names from users are always escaped."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from shapleycam.html.glossary import GLOSSARY
from shapleycam.wording import number, percent, signed

_COMPONENTS = "shapleycam.html"


def template_environment(package: str) -> Environment:
    """Return a jinja2 environment for the folder `templates` of a package, with autoescape on.

    Templates of every package can import the macros of `components.html`, and write numbers with the filters
    `percent`, `number` and `signed`.

    Examples:
        >>> from shapleycam.html import template_environment
        >>> environment = template_environment("shapleycam.report")
        >>> environment.from_string("<p>{{ name }}: {{ 0.237 | percent }}</p>").render(name="<cat>.jpg")
        '<p>&lt;cat&gt;.jpg: 24%</p>'
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_COMPONENTS)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=number, signed=signed)
    environment.globals.update(GLOSSARY=GLOSSARY)
    return environment
