"""Who may reach the page, and by which names."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from shapleycam.web.passwords import Accounts

_ANY_NAME = "*"


@dataclass(frozen=True)
class Access:
    """Where the page is served, under which names, and who is let in.

    Attributes:
        host: the address that the server listens at.
        port: None for the first free one.
        public_hosts: other names under which visitors reach it; "*" for any name.
        trusted_proxies: addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
        accounts: who is let in; None for everybody.

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
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def has_any_name(self) -> bool:
        """Whether any name may lead to it."""
        return _ANY_NAME in self.public_hosts

    def is_own_name(self, name: str) -> bool:
        """Return whether the page may be asked for by a name, of the header Host without the port.

        A foreign site can have its own name lead to this machine, and would then be the same site as the page for the
        visitor's browser (DNS rebinding). It cannot do so with a number.

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
        """Return whether a name is one that the operator gave."""
        return name in {host.lower() for host in self.public_hosts}

    def describe_names(self) -> str:
        """Return the names by which the page may be asked for, in words."""
        names = ["localhost", "127.0.0.1"] if self.is_local else ["the machine's address as a number"]
        return " or ".join([*names, *self.public_hosts])


def is_loopback(name: str) -> bool:
    """Return whether a name or number is this machine's own, which no other machine can reach."""
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
