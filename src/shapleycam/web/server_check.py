"""Parts of a page are served only to pages of the same server, so that no page mixes the answers of two servers.

After a restart the same address may have another answer, because the operator offers another model or has trained it
again. Pages that are still open show the earlier answer, and request further pictures and files for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from shapleycam.errors import ShapleyCamError

_NAME = "server"
"""The parameter of an address that names the server whose page contains the address."""


class OtherServerError(ShapleyCamError):
    """The page that contains an address was loaded from a server that has ended."""


def without_server(parameters: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the parameters of an address without the one that names the server.

    Examples:
        >>> from shapleycam.web.server_check import without_server
        >>> without_server([("class", "cat"), ("server", "1f2e3d4c")])
        [('class', 'cat')]
    """
    return [(name, value) for name, value in parameters if name != _NAME]


def check_server(parameters: Iterable[tuple[str, str]], server: str) -> None:
    """Check that an address is from a page of this server, or from no page.

    Raises:
        OtherServerError: a page of an earlier server contains the address.
    """
    if any(value != server for name, value in parameters if name == _NAME):
        raise OtherServerError(
            "This page is older than the server, which was started again and may give another answer; load the page "
            "again"
        )
