"""Uploads of photographs: a few at a time, read into memory only, and decoded in a thread."""

from __future__ import annotations

from dataclasses import dataclass, field

from anyio import CapacityLimiter, to_thread
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from shapleycam.errors import ImageError, ShapleyCamError
from shapleycam.web.client_limits import ClientLimit, TooManyError, address_of
from shapleycam.web.photograph_store import PhotographStore
from shapleycam.web.photographs import Limits
from shapleycam.web.question import Question
from shapleycam.web.views import VIEWS

_FIELDS, _FIELD_BYTES = 32, 8_000
_FORM_BYTES = 64_000
"""Maximum bytes of a form in addition to the photograph."""
_OF_ONE_CLIENT, _AT_ONCE, _DECODED_AT_ONCE = 8, 16, 2
_MEGA = 1_000_000


@dataclass(frozen=True)
class Upload:
    """The result of a form with a photograph: the question about it, or a message why there is none."""

    view: str = "explain"
    question: Question = field(default_factory=Question)
    message: str = ""
    status: int = 303


class Uploads:
    """Receives forms with a photograph."""

    def __init__(self, photographs: PhotographStore, limits: Limits) -> None:
        self._photographs, self._limits = photographs, limits
        self._arriving = ClientLimit(_OF_ONE_CLIENT, _AT_ONCE)
        self._decoding = CapacityLimiter(_DECODED_AT_ONCE)

    @property
    def most_bytes(self) -> int:
        """The largest body of a request."""
        return int(self._limits.megabytes * _MEGA) + _FORM_BYTES

    def describe_refusal(self, status: int) -> str:
        """Return a message that says why a body was refused, for the status of the refusal."""
        if status == 413:
            return f"The photograph is over the limit of {self._limits.megabytes:g} MB; make it smaller"
        return "The photograph did not arrive in time; try again, or make it smaller"

    async def take(self, request: Request) -> Upload:
        """Store the photograph of a form, and return the question about it, for the class that the model predicts."""
        try:
            with self._arriving.hold(address_of(request)):
                view, question, content = await _read(request)
                try:
                    key = await to_thread.run_sync(self._photographs.add, content, limiter=self._decoding)
                except ImageError as error:
                    return Upload(view, question, str(error), 422)
        except TooManyError:
            return Upload(message="Too many photographs are arriving just now; try again in a minute", status=503)
        except (MultiPartException, FormParserError, ShapleyCamError) as error:  # the type depends on starlette
            return Upload(message=f"This form could not be read ({error}); reload the page", status=422)
        except ClientDisconnect:
            return Upload(message="The visitor has left", status=400)
        return Upload(view, question.but(photo=key, target="", against="", absent=""))


async def _read(request: Request) -> tuple[str, Question, bytes]:
    """Return the tab, the question and the photograph of a form."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise MultiPartException("it is no multipart form")
    parser = _InMemory(request.headers, request.stream(), max_files=1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    form = await parser.parse()
    view = str(form.get("view", "explain"))
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and name != "view"]
    question = Question.read(fields)
    file = form.get("file")
    content = await file.read() if isinstance(file, UploadFile) else b""
    return view if view in VIEWS else "explain", question, content


class _InMemory(MultiPartParser):
    """A parser that never writes a part to the disk; this is safe because the size of the whole body is limited."""

    spool_max_size = 2**62
