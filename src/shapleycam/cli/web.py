"""`shapleycam web`: the page, for whoever would rather look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shapleycam.cli import options
from shapleycam.cli.console import print_note
from shapleycam.errors import OptionError

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def web(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models", help="A model that visitors may choose, as --model of explain. Repeatable; no other is loaded."
        ),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", help="Results of evaluate that visitors may open. Repeatable.")
    ] = None,
    example: Annotated[
        list[Path] | None,
        typer.Option("--example", help="A photograph to begin with. Repeatable; default: one that comes along."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; 0.0.0.0: all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Port; default: the first free one from 7860.")
    ] = None,
    auth: Annotated[
        str | None,
        typer.Option("--auth", metavar="USER:PASSWORD", envvar="SHAPLEYCAM_AUTH", help="Let in only who knows these."),
    ] = None,
    loaded: Annotated[int, typer.Option("--loaded", min=1, help="Models kept loaded at a time.")] = 2,
    megabytes: Annotated[float, typer.Option("--max-megabytes", min=0.001, help="Largest photograph, as a file.")] = 20,
    megapixels: Annotated[float, typer.Option("--max-megapixels", min=0.001, help="Largest photograph, decoded.")] = 50,
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
    who = _who(auth)
    from shapleycam.web import Site, serve
    from shapleycam.web.photographs import Limits

    if host not in _LOOPBACK and who is None:
        print_note(
            f"--host {host} without --auth: whoever reaches this machine can use the page; add --auth USER:PASSWORD"
        )
    site = Site(
        models=models or [options.DEFAULT_MODEL],
        loaded=loaded,
        device=device,
        runs=run or [],
        examples=example or [options.demo_photo()],
        limits=Limits(megabytes, megapixels),
    )
    serve(
        site,
        host,
        port,
        who,
        browser=browser,
        told=lambda address: typer.echo(f"shapleycam at {address} (Ctrl-C ends it)"),
    )


def _who(auth: str | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    user, separator, password = auth.partition(":")
    if not (user and separator and password):
        raise OptionError("--auth: found no user and password in it; expected USER:PASSWORD")
    return user, password
