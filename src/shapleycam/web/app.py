"""The web application: its routes, each a function of the address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shapleycam.cams.table import METHODS
from shapleycam.errors import ShapleyCamError
from shapleycam.html import ASSETS, read_asset, template_environment
from shapleycam.layers import RULES
from shapleycam.utilities import UTILITIES
from shapleycam.version import __version__
from shapleycam.web.answers import Answers
from shapleycam.web.jobs import Jobs, QueueFullError, Update
from shapleycam.web.links import carry
from shapleycam.web.model_cache import ModelCache
from shapleycam.web.photograph_store import PhotographStore
from shapleycam.web.question import Question
from shapleycam.web.resolved import Resources
from shapleycam.web.runs import Runs
from shapleycam.web.site import Site
from shapleycam.web.views import TABS, VIEWS, View

_STATIC = Path(__file__).parent / "static"


class Page:
    """The handlers of the routes, with what they share."""

    def __init__(self, site: Site) -> None:
        self.site = site
        models = ModelCache(site.models, site.loaded, site.device)
        self.photographs = PhotographStore(
            site.examples, site.limits, keep_hours=site.keep_hours, megabytes=site.store_megabytes
        )
        self.templates = template_environment("shapleycam.web")
        self.jobs = Jobs(site.threads, site.most_waiting)
        self.runs = Runs(site.runs)
        self.resources = Resources.of(models, self.photographs, self.runs)
        self.answers = Answers(self.resources, self.jobs, self.render)

    def render(self, template: str, **content: Any) -> str:
        """Return a template as HTML; whatever is in `content` is escaped."""
        return self.templates.get_template(template).render(**content)

    async def home(self, _: Request) -> Response:
        """Lead to the first tab."""
        return RedirectResponse("explain", 302)

    async def view(self, request: Request) -> Response:
        """Return a tab's page; its answer is asked for by the page itself."""
        return self._page(request.path_params["view"], _question(request), "")

    async def answer(self, request: Request) -> Response:
        """Return the states of an answer as server-sent events, each HTML that replaces the one before."""
        view, question = VIEWS[request.path_params["view"]], _question(request)

        async def events() -> AsyncIterator[str]:
            try:
                async for update in self.answers.follow(view, question):
                    yield _event(self._state(view, question, update))
            except QueueFullError:
                full = "Too many people are asking just now; reload the page in a minute"
                message = self.render("message.html", message=full)
                yield _event(self._state(view, question, Update(0, message, is_last=True)))

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def picture(self, request: Request) -> Response:
        """Return a picture."""
        parameters = dict(request.query_params.multi_items())
        kind = parameters.pop("kind", "")
        content = await self.answers.picture(kind, Question.read(parameters.items()))
        return Response(content, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})

    async def upload(self, request: Request) -> Response:
        """Take a photograph, and lead to the same question about it, of the class that the model predicts."""
        async with request.form(max_files=1, max_fields=32) as form:
            view = str(form.get("view", "explain"))
            fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and name != "view"]
            question = Question.read(fields).but(target="", against="", absent="")
            file = form.get("file")
            content = await file.read() if isinstance(file, UploadFile) else b""
        try:
            key = self.photographs.add(content)
        except ShapleyCamError as error:
            return self._page(view, question, str(error), 422)
        return RedirectResponse(f"{view}?{question.but(photo=key).address()}", 303)

    def _page(self, view: str, question: Question, message: str, status: int = 200) -> Response:
        content = {
            "views": TABS,
            "runs": self.runs.names,
            "view": VIEWS[view],
            "question": question,
            "site": self.site,
            "examples": list(self.photographs.examples),
            "methods": METHODS,
            "utilities": UTILITIES,
            "layers": RULES,
            "message": message,
            "version": __version__,
        }
        return HTMLResponse(self.render("page.html", **content), status)

    def _state(self, view: View, question: Question, update: Update) -> str:
        """Return a state of an answer, which names the question that it is of: no other may be shown in its place."""
        html = self.render("waiting.html", place=update.place) if update.content is None else str(update.content)
        html = carry(html, question, view.fields, TABS)
        address = f"{view.name}?{question.only(view.fields).address()}"
        return self.render("state.html", address=address, is_last=update.is_last, html=Markup(html))  # noqa: S704 - made by templates


def build_app(site: Site) -> Starlette:
    """Return the application of a site."""
    page = Page(site)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        page.jobs.close()

    routes = [
        Route("/", page.home),
        Route("/photographs", page.upload, methods=["POST"]),
        Route("/picture", page.picture),
        Route("/answer/{view}", page.answer),
        *(Route(f"/static/{name}", _asset) for name in ASSETS),
        Mount("/static", StaticFiles(directory=_STATIC)),
        Route("/{view}", page.view),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={ShapleyCamError: page_refusal(page)})


def page_refusal(page: Page) -> Any:
    """Return the handler of errors that a request caused: one line."""

    async def refuse(_: Request, error: Exception) -> Response:
        return HTMLResponse(page.render("message.html", message=str(error)), 422)

    return refuse


def _question(request: Request) -> Question:
    return Question.read(request.query_params.multi_items())


async def _asset(request: Request) -> Response:
    """Return a file that reports carry too."""
    name = request.url.path.rsplit("/", 1)[-1]
    return Response(read_asset(name), media_type=ASSETS[name], headers={"Cache-Control": "no-cache"})


def _event(html: str) -> str:
    """Return HTML as one server-sent event."""
    return "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"
