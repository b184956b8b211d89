"""HTML for the page, reports and notebooks: shared components, one style sheet, small scripts, a glossary."""

from shapleycam.html.assets import ASSETS, read_asset, scoped_style
from shapleycam.html.environment import template_environment
from shapleycam.html.glossary import GLOSSARY, Term

__all__ = ["ASSETS", "GLOSSARY", "Term", "read_asset", "scoped_style", "template_environment"]
