"""The web page: a thin face on the library, made with Gradio."""

from shapleycam.web.server import serve
from shapleycam.web.site import Site

__all__ = ["Site", "serve"]
