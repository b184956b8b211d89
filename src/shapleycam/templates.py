"""HTML from jinja2 templates: the one way in which HTML is made, so that whatever users named is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def template_environment(package: str) -> Environment:
    """Return the jinja2 environment of the folder `templates` in a package, with autoescape on.

    Examples:
        >>> from shapleycam.templates import template_environment
        >>> environment = template_environment("shapleycam.report")
        >>> environment.from_string("<p>{{ name }}</p>").render(name="<cat>.jpg")
        '<p>&lt;cat&gt;.jpg</p>'
    """
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
