"""The server of the page: nothing from elsewhere, nothing to elsewhere, nothing kept."""

from __future__ import annotations

import os
import signal
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shapleycam.errors import OptionError, ShapleyCamWarning
from shapleycam.web.site import Site

try:
    import gradio as gr
except ImportError:
    raise OptionError("the page needs gradio, which is not installed; pip install 'shapleycam[web]'") from None

from shapleycam.web.page import build

_HERE = Path(__file__).parent
_WAITING = 64
"""Requests that may wait."""
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]


def serve(
    site: Site,
    host: str,
    port: int | None,
    auth: tuple[str, str] | None,
    *,
    browser: bool,
    told: Callable[[str], None],
) -> None:
    """Serve the page until it is stopped; nothing that was sent outlives it. `told` gets the address.

    Raises:
        OptionError: the port is taken, or the host is not one of this machine.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    warnings.simplefilter("ignore", ShapleyCamWarning)  # the page says these things itself
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that files are removed then, too
    with tempfile.TemporaryDirectory(prefix="shapleycam-web-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = build(site)
        page.queue(max_size=_WAITING)
        where: dict[str, Any] = {"server_name": host, "server_port": port, "prevent_thread_lock": True}
        try:
            _, address, _ = page.launch(auth=auth, inbrowser=browser, **where, **_private(site))
        except OSError as error:
            reason = " ".join(str(error).split())
            raise OptionError(f"no server at {host} ({reason}); choose another --port or --host") from None
        told(address)
        page.block_thread()


def _private(site: Site) -> dict[str, Any]:
    """Settings by which the page needs nobody else, and tells nobody."""
    traced_batch: dict[str, Any] = {"font": _FONTS, "font_mono": ["ui-monospace", "monospace"]}
    return {
        "share": False,
        "quiet": True,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "run_history": False,
        "footer_links": [],
        "max_file_size": int(site.limits.megabytes * 1_000_000),
        "theme": gr.themes.Base(primary_hue="teal", neutral_hue="slate", radius_size="md", **traced_batch),
        "css_paths": [_HERE / "page.css"],
        "head": f"<script>{(_HERE / 'page.js').read_text(encoding='utf-8')}</script>",
    }
