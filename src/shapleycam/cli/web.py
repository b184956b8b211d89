"""`shapleycam web`: serves the page for the browser."""

from __future__ import annotations

import getpass
import os
import re
import sys
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapleycam.cli import options
from shapleycam.cli.console import print_note
from shapleycam.cli.photographs import demo_photo
from shapleycam.errors import OptionError

if TYPE_CHECKING:
    from shapleycam.web import Access
    from shapleycam.web.passwords import Accounts

_AUTH_VARIABLE = "SHAPLEYCAM_AUTH"
_NAME = re.compile(r"\*|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-fA-F:]+")


@dataclass(frozen=True)
class OfferGroup:
    """The options of what visitors can choose from."""

    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models", help="A model that visitors may choose, as --model of explain. Repeatable; no other is loaded."
        ),
    ] = None
    run: Annotated[
        list[str] | None, typer.Option("--run", help="Results of evaluate that visitors may open. Repeatable.")
    ] = None
    example: Annotated[
        list[Path] | None,
        typer.Option("--example", help="A photograph to begin with. Repeatable; default: a built-in one."),
    ] = None
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            help="Photographs, or folders of them, that replace absent regions with removal samples. Repeatable.",
        ),
    ] = None

    def reference_photographs(self) -> list[Path]:
        """Return the reference photographs, after a check that each can be read.

        Raises:
            ImageError: a photograph cannot be read, or a folder has none.
        """
        from shapleycam.images import find_photographs, open_photograph

        photographs = find_photographs(self.reference or ())
        for photograph in photographs:
            open_photograph(photograph)
        return photographs


@dataclass(frozen=True)
class ServerGroup:
    """The options of where the page is served, and to whom."""

    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0: all addresses of this machine.")
    ] = "127.0.0.1"
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Port; default: the first free one from 7860.")
    ] = None
    public_host: Annotated[
        list[str] | None,
        typer.Option(
            "--public-host",
            metavar="NAME",
            envvar="SHAPLEYCAM_PUBLIC_HOST",
            help="A name by which visitors reach the page, such as page.example.org; *: any. Repeatable.",
        ),
    ] = None
    trust_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trust-proxy",
            metavar="ADDRESS",
            help="Address or network of a reverse proxy whose X-Forwarded-For and -Proto are trusted. Repeatable.",
        ),
    ] = None
    auth: Annotated[
        Path | None,
        typer.Option(
            "--auth",
            metavar="FILE",
            help=f"Let in only the users of a file of lines USER:HASH, or of {_AUTH_VARIABLE}=USER:PASSWORD.",
        ),
    ] = None
    hash_password: Annotated[
        str | None,
        typer.Option(
            "--hash-password",
            metavar="USER",
            help="Read a password, print its line for the file of --auth, and exit.",
        ),
    ] = None

    def access(self) -> Access:
        """Return the rules of access: who may reach the page, and by which host names.

        Raises:
            OptionError: a name, an address or the file of accounts is invalid.
        """
        from shapleycam.web import Access

        for name in self.public_host or ():
            if not _NAME.fullmatch(name):
                raise OptionError(
                    f"--public-host {name!r} is no name; expected one without https:// and port, such as "
                    "page.example.org, or *"
                )
        for proxy in self.trust_proxy or ():
            try:
                ip_network(proxy)
            except ValueError:
                raise OptionError(
                    f"--trust-proxy {proxy!r} is no address; expected that of the proxy, such as 127.0.0.1, or a "
                    "network, such as 10.0.0.0/8"
                ) from None
        names, proxies = tuple(self.public_host or ()), tuple(self.trust_proxy or ())
        return Access(self.host, self.port, names, proxies, self._accounts())

    def _accounts(self) -> Accounts | None:
        """Return the accounts that may log in, or None.

        A password in the environment is removed from it, because child processes would inherit it.
        """
        from shapleycam.web.passwords import Accounts

        text = os.environ.pop(_AUTH_VARIABLE, None)
        if text is not None and self.auth is not None:
            raise OptionError(f"--auth and {_AUTH_VARIABLE} are both given; expected one of them")
        if text is not None:
            return Accounts.of_text(text, _AUTH_VARIABLE)
        if self.auth is None:
            return None
        if not self.auth.is_file():  # the text may be a password, so the message does not repeat it
            raise OptionError(
                "--auth is no file; expected one of lines USER:HASH (shapleycam web --hash-password USER makes them). "
                "A password on a command line can be read by all users of the machine"
            )
        return Accounts.read(self.auth)


@dataclass(frozen=True)
class LimitsGroup:
    """The options that limit what visitors can demand of the machine."""

    loaded: Annotated[
        int, typer.Option("--loaded", min=1, help="Maximum number of models that are loaded at a time.")
    ] = 2
    megabytes: Annotated[float, typer.Option("--max-megabytes", min=0.001, help="Largest photograph, as a file.")] = 20
    megapixels: Annotated[float, typer.Option("--max-megapixels", min=0.001, help="Largest photograph, decoded.")] = 50
    keep: Annotated[
        float, typer.Option("--keep", metavar="HOURS", min=0.01, help="How long a photograph stays after its last use.")
    ] = 1
    store_megabytes: Annotated[
        float,
        typer.Option(
            "--store-megabytes",
            min=1,
            help="Maximum size of all photographs of visitors together; the oldest are removed.",
        ),
    ] = 256


def web(
    *,
    offer: OfferGroup,
    server: ServerGroup,
    limits: LimitsGroup,
    device: options.Device = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in this machine's browser.")
    ] = True,
) -> None:
    """Serve a page on which to explain photographs, compare methods and play the game.

    - `shapleycam web` opens it on this machine, with the default model, offline.
    - `shapleycam web --models efficientnet_lite0 --models resnet50 --run results` offers two models and a run.
    - `shapleycam web --hash-password team >> accounts` and then
      `shapleycam web --host 0.0.0.0 --auth accounts --no-browser` serves others, who need the password.
    """
    if server.hash_password is not None:
        _print_account(server.hash_password)
        return
    access = server.access()
    from shapleycam.web import Site, serve
    from shapleycam.web.photographs import Limits

    if not access.is_local and access.accounts is None:
        print_note(
            f"--host {server.host} without --auth: whoever reaches this machine can use the page; add --auth FILE "
            f"(shapleycam web --hash-password USER makes its lines), or set {_AUTH_VARIABLE}"
        )
    site = Site(
        models=offer.models or [options.DEFAULT_MODEL],
        loaded=limits.loaded,
        device=device,
        runs=offer.run or [],
        examples=offer.example or [demo_photo()],
        reference=offer.reference_photographs(),
        limits=Limits(limits.megabytes, limits.megapixels),
        keep_hours=limits.keep,
        store_megabytes=limits.store_megabytes,
        has_login=access.accounts is not None,
    )
    serve(
        site,
        access,
        browser=browser,
        listener=lambda address: typer.echo(f"shapleycam at {address} (Ctrl-C ends it)"),
    )


def _print_account(user: str) -> None:
    """Print a line for the file of accounts; the password is typed twice, or is the first line of stdin."""
    from shapleycam.web.passwords import hash_password

    if not user or ":" in user or user.startswith("#") or user != user.strip():
        raise OptionError(f"--hash-password {user!r} is no user; expected a name without : and spaces around it")
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise OptionError("the two passwords differ; type the same one twice")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise OptionError("the password is empty; expected one on the terminal, or as the first line of stdin")
    typer.echo(f"{user}:{hash_password(password)}")
