"""`shapleycam web`: serves the page in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from shapleycam.cli import options
from shapleycam.cli.console import print_note
from shapleycam.cli.photographs import demo_photo
from shapleycam.errors import OptionError

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class OfferGroup:
    """What visitors may choose from."""

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
        typer.Option("--example", help="A photograph to begin with. Repeatable; default: one that comes along."),
    ] = None


@dataclass(frozen=True)
class ServerGroup:
    """Where the page is served, and to whom."""

    host: Annotated[str, typer.Option("--host", help="Address to listen at; 0.0.0.0: all of this machine's.")] = (
        "127.0.0.1"
    )
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Port; default: the first free one from 7860.")
    ] = None
    auth: Annotated[
        str | None,
        typer.Option("--auth", metavar="USER:PASSWORD", envvar="SHAPLEYCAM_AUTH", help="Let in only who knows these."),
    ] = None

    def credentials(self) -> tuple[str, str] | None:
        """Return user and password; None where everybody is let in.

        Raises:
            OptionError: --auth has no user or no password.
        """
        if self.auth is None:
            return None
        user, separator, password = self.auth.partition(":")
        if not (user and separator and password):
            raise OptionError("--auth: found no user and password in it; expected USER:PASSWORD")
        return user, password


@dataclass(frozen=True)
class LimitsGroup:
    """What visitors may ask of the machine."""

    loaded: Annotated[int, typer.Option("--loaded", min=1, help="Models kept loaded at a time.")] = 2
    megabytes: Annotated[float, typer.Option("--max-megabytes", min=0.001, help="Largest photograph, as a file.")] = 20
    megapixels: Annotated[float, typer.Option("--max-megapixels", min=0.001, help="Largest photograph, decoded.")] = 50


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
    - `shapleycam web --host 0.0.0.0 --auth team:secret --no-browser` serves others, who need the password.
    """
    credentials = server.credentials()
    from shapleycam.web import Site, serve
    from shapleycam.web.photographs import Limits

    if server.host not in _LOOPBACK and credentials is None:
        print_note(
            f"--host {server.host} without --auth: whoever reaches this machine can use the page; "
            "add --auth USER:PASSWORD"
        )
    site = Site(
        models=offer.models or [options.DEFAULT_MODEL],
        loaded=limits.loaded,
        device=device,
        runs=offer.run or [],
        examples=offer.example or [demo_photo()],
        limits=Limits(limits.megabytes, limits.megapixels),
    )
    serve(
        site,
        server.host,
        server.port,
        browser=browser,
        listener=lambda address: typer.echo(f"shapleycam at {address} (Ctrl-C ends it)"),
    )
