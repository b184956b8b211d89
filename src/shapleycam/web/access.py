"""`Access`: the address and names of the page, and who may use it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from shapleycam.web.passwords import Accounts

_ANY_NAME = "*"


@dataclass(frozen=True)
class Access:
    """Where the page is served, under which names, and who may use it.

    Attributes:
        host: the address that the server listens on.
        port: the port; None for the first free port.
        public_hosts: other names under which visitors reach the page; "*" for any name.
        trusted_proxies: addresses and networks whose headers X-Forwarded-For and X-Forwarded-Proto are trusted.
        accounts: the accounts that may log in; None if no login is needed.

    Examples:
        >>> from shapleycam.web import Access
        >>> Access().is_local, Access("192.168.1.7", public_hosts=["page.example.org"]).is_local
        (True, False)
    """

    host: str = "127.0.0.1"
    port: int | None = None
    public_hosts: Sequence[str] = ()
    trusted_proxies: Sequence[str] = ()
    accounts: Accounts | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the page."""
        return is_loopback(self.host)

    @property
    def has_any_name(self) -> bool:
        """Whether the page accepts any name."""
        return _ANY_NAME in self.public_hosts

    def is_own_name(self, name: str) -> bool:
        """Return whether the page accepts requests for a name: that of the header Host, without the port.

        Another site can make its own name resolve to this machine, and a visitor's browser would then treat that site
        and the page as the same (DNS rebinding). This is not possible with a number.

        Examples:
            >>> from shapleycam.web.access import Access
            >>> Access().is_own_name("localhost"), Access().is_own_name("evil.example")
            (True, False)
            >>> Access("0.0.0.0").is_own_name("192.168.1.7"), Access("0.0.0.0").is_own_name("evil.example")
            (True, False)
        """
        if self.has_any_name or self.is_public_name(name) or is_loopback(name):
            return True
        return not self.is_local and (_is_number(name) or name in _names_of_this_machine())

    def is_public_name(self, name: str | None) -> bool:
        """Return whether a name is one of those that the operator gave."""
        return name in {host.lower() for host in self.public_hosts}

    def describe_names(self) -> str:
        """Return in words the names for which the page accepts requests."""
        names = ["localhost", "127.0.0.1"] if self.is_local else ["the machine's address as a number"]
        return " or ".join([*names, *self.public_hosts])


def is_loopback(name: str) -> bool:
    """Return whether a name or number is a loopback address, which no other machine can reach."""
    return name == "localhost" or (_is_number(name) and ip_address(name).is_loopback)


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _names_of_this_machine() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local"}
