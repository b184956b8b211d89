"""The web application: its routes and their handlers."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from shapleycam.errors import ShapleyCamError
from shapleycam.html import ASSETS, read_asset, template_environment
from shapleycam.version import __version__
from shapleycam.web.access import Access
from shapleycam.web.answer_states import FULL, AnswerStates
from shapleycam.web.answers import Answers
from shapleycam.web.choice_lists import LISTS, answer_list
from shapleycam.web.client_limits import ClientLimit, TooManyError, address_of
from shapleycam.web.frame import frame_content
from shapleycam.web.job import QueueFullError
from shapleycam.web.jobs import Jobs
from shapleycam.web.model_cache import ModelCache
from shapleycam.web.photograph_store import PhotographGoneError, PhotographStore
from shapleycam.web.pictures import media_type
from shapleycam.web.preview import preview_address
from shapleycam.web.question import Question
from shapleycam.web.resources import Resources
from shapleycam.web.runs import Runs
from shapleycam.web.server_check import OtherServerError, check_server, without_server
from shapleycam.web.site import Site
from shapleycam.web.streams import EventStream, until_left
from shapleycam.web.uploads import Uploads
from shapleycam.web.views import TABS, VIEWS, View

_STATIC = Path(__file__).parent / "static"
_PICTURES = 128, 512
"""Maximum number of pictures and lists that one client address, and all clients, may wait for at the same time."""
_WITHOUT_SCRIPT = ("script", "off")
"""The parameter of an address whose page contains its answer, for browsers without scripts."""


class Page:
    """The handlers of the routes, and the objects that they share."""

    def __init__(self, site: Site, access: Access | None = None) -> None:
        self.site, self.access = site, access or Access()
        models = ModelCache(site.models, site.loaded, site.device, site.reference)
        self.photographs = PhotographStore(
            site.examples, site.limits, keep_hours=site.keep_hours, megabytes=site.store_megabytes
        )
        self.templates = template_environment("shapleycam.web")
        self.jobs = Jobs(site.threads, site.most_waiting)
        self.runs = Runs(site.runs)
        self.resources = Resources.of(models, self.photographs, self.runs)
        self.answers = Answers(self.resources, self.jobs, self.render)
        self.states = AnswerStates(self.answers, self.render)
        self.uploads = Uploads(self.photographs, site.limits)
        self._pictures = ClientLimit(*_PICTURES)

    def render(self, template: str, **content: Any) -> str:
        """Render a template as HTML; the values in `content` are escaped."""
        return self.templates.get_template(template).render(**content)

    async def home(self, _: Request) -> Response:
        """Redirect to the first tab."""
        return RedirectResponse("explain", 302)

    async def without_slash(self, request: Request) -> Response:
        """Redirect an address that ends in a slash, relatively: a proxy may serve the page under any path."""
        name, query = request.path_params["name"], request.url.query
        if name not in TABS and name != "glossary":
            raise HTTPException(404)
        return RedirectResponse(f"../{name}{'?' if query else ''}{query}", 308)

    async def view(self, request: Request) -> Response:
        """Return a tab's page; the page then requests its answer."""
        view = _view(request)
        if view.part_of:
            raise HTTPException(404)
        parameters = request.query_params.multi_items()
        try:
            read_question = Question.read(pair for pair in parameters if pair != _WITHOUT_SCRIPT)
        except ShapleyCamError as error:
            return self.page(request, view.name, Question(), "", 422, fault=str(error))
        question = self._canonical(read_question)
        if question != read_question:  # an address from an earlier version, with the path of a model's file
            return RedirectResponse(f"{view.name}?{question.address()}", 308)
        if _WITHOUT_SCRIPT not in parameters:
            return self.page(request, view.name, question, "")
        states = self.states.follow(view, question, address_of(request))
        (*_, last) = [state async for state in states]
        return self.page(request, view.name, question, "", answer=last)

    async def answer(self, request: Request) -> Response:
        """Return the states of an answer as server-sent events; each is HTML that replaces the previous one."""
        view, question = _view(request), Question()
        try:
            parameters = request.query_params.multi_items()
            question = self._read(without_server(parameters))
            check_server(parameters, self.resources.server)
            if "photo" in view.fields:
                self.photographs.get(question.photo)
        except OtherServerError as error:
            return HTMLResponse(self.states.page_is_old(view, question, str(error)), 410)
        except PhotographGoneError as error:
            return HTMLResponse(self.states.photograph_gone(view, question, str(error)), 410)
        except ShapleyCamError as error:
            return HTMLResponse(self.states.refused(view, question, str(error)), 422)
        return EventStream(self.states.follow(view, question, address_of(request)))

    async def choices(self, request: Request) -> Response:
        """Return the classes or the layers of a model."""
        try:
            with self._pictures.hold(address_of(request)):
                name = request.url.path.rpartition("/")[2]
                return await answer_list(request, name, self._question(request), self.answers)
        except (QueueFullError, TooManyError):
            return PlainTextResponse(FULL, 503, {"Retry-After": "60"})
        except ShapleyCamError as error:
            return PlainTextResponse(str(error), 422)

    async def glossary(self, _: Request) -> Response:
        """Return the page that explains all terms."""
        return HTMLResponse(self.render("glossary.html", version=__version__))

    async def picture(self, request: Request) -> Response:
        """Return a picture; the browser checks each time whether it has changed."""
        parameters = request.query_params.multi_items()
        kinds = [value for name, value in parameters if name == "kind"]
        try:
            question = self._read((name, value) for name, value in without_server(parameters) if name != "kind")
            check_server(parameters, self.resources.server)
            kind = kinds[0] if len(kinds) == 1 else ""
            with self._pictures.hold(address_of(request)):
                work = self.answers.picture(kind, question)
                content = await until_left(work, request.receive)
        except (QueueFullError, TooManyError):
            return PlainTextResponse(FULL, 503, {"Retry-After": "60"})
        except (OtherServerError, PhotographGoneError) as error:
            return PlainTextResponse(str(error), 410)
        except ShapleyCamError as error:
            return PlainTextResponse(self.answers.words_of(error), 422)
        tag = f'"{sha256(content or b"").hexdigest()[:32]}"'
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"ETag": tag})
        headers = {"Cache-Control": "private, no-cache", "ETag": tag}
        return Response(content, media_type=media_type(kind), headers=headers)

    async def upload(self, request: Request) -> Response:
        """Store an uploaded photograph, and redirect to the question about it."""
        upload = await self.uploads.take(request)
        if upload.message:
            return self.page(request, upload.view, self._canonical(upload.question), upload.message, upload.status)
        return RedirectResponse(f"{upload.view}?{self._canonical(upload.question).address()}", upload.status)

    async def not_found(self, request: Request, error: Exception) -> Response:
        """Return the page with a message about an unknown address, or a method that an address does not accept."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        path = request.url.path.strip("/")
        message = f"There is nothing at {path[:80]!r}; choose one of the tabs"
        if "/" in request.url.path[1:]:  # the page's relative addresses would not work there
            return PlainTextResponse(f"{message}\n", status)
        return self.page(request, "explain", Question(), "", status, fault=message)

    async def failed(self, request: Request, error: Exception) -> Response:
        """Return the page with a message about an internal error of the server."""
        message = f"This could not be done ({type(error).__name__}); the server has logged why and goes on"
        return self.page(request, "explain", Question(), "", 500, fault=message)

    def page(
        self,
        request: Request,
        view: str,
        question: Question,
        message: str,
        status: int = 200,
        *,
        fault: str = "",
        answer: str = "",
    ) -> Response:
        """Return a tab with its panel.

        Args:
            request: the request.
            view: the name of the tab.
            question: the question.
            message: an error message about an uploaded photograph, which is shown at the form.
            status: the HTTP status.
            fault: an error message about the address, which is shown in place of an answer.
            answer: the answer for browsers without scripts; other browsers request it themselves.
        """
        content = frame_content(view, question, self.site, self.resources)
        messages = {"message": message, "fault": fault, "answer": Markup(answer), "is_scripted": not answer}  # noqa: S704 - made by templates
        preview = preview_address(request, self.access)
        return HTMLResponse(self.render("page.html", **content, **messages, preview=preview), status)

    def _question(self, request: Request) -> Question:
        """Return the question of an address.

        Raises:
            OptionError: for the same reasons as in `Question.read`.
        """
        return self._read(request.query_params.multi_items())

    def _read(self, parameters: Iterable[tuple[str, str]]) -> Question:
        return self._canonical(Question.read(parameters))

    def _canonical(self, question: Question) -> Question:
        """Return the question with the short name of its model."""
        return question.but(model=self.resources.models.names.canonical(question.model))


def page_routes(page: Page) -> list[BaseRoute]:
    """Return the routes of the page."""
    return [
        Route("/", page.home),
        Route("/photographs", page.upload, methods=["POST"]),
        Route("/picture", page.picture),
        Route("/answer/{view}", page.answer),
        *(Route(f"/{name}", page.choices) for name in LISTS),
        Route("/glossary", page.glossary),
        *(Route(f"/static/{name}", _asset) for name in ASSETS),
        Mount("/static", StaticFiles(directory=_STATIC)),
        Route("/{name}/", page.without_slash),
        Route("/{view}", page.view),
    ]


def _view(request: Request) -> View:
    view = VIEWS.get(request.path_params["view"])
    if view is None:
        raise HTTPException(404)
    return view


async def _asset(request: Request) -> Response:
    """Return a file that reports contain too."""
    name = request.url.path.rsplit("/", 1)[-1]
    return Response(read_asset(name), media_type=ASSETS[name], headers={"Cache-Control": "no-cache"})
