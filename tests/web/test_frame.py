"""What stands around an answer: made without the model, relative in all its addresses, complete without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from helpers import colour_network
from helpers.web_library import COLOURS, COLOURS_FILE
from helpers.web_server import HOPPER
from helpers.web_views import text_of
from shapleycam.html import GLOSSARY
from shapleycam.models import zoo
from shapleycam.web import Site
from shapleycam.web.app import Page, page_routes
from shapleycam.web.model_cache import ModelCache
from shapleycam.web.views import TABS

QUESTION = "class=red&against=blue&utility=logit&method=hirescam&methods=all&error=2&run=r&metric=m"


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the texts of its scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in {"script", "style"} and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    page = Page(Site(models=[COLOURS_FILE], examples=[HOPPER], device="cpu"))
    with TestClient(Starlette(routes=page_routes(page)), follow_redirects=False) as opened:
        yield opened
    page.jobs.close(5)


@pytest.mark.parametrize("tab", TABS)
class TestEachTab:
    def test_is_made_without_a_model(self, tab, client, monkeypatch):
        monkeypatch.setattr(ModelCache, "get", lambda *_: pytest.fail("the model was loaded"))
        response = client.get(f"/{tab}")
        assert response.status_code == 200
        assert f'hx-get="answer/{tab}?server=' in response.text

    def test_leads_to_the_others_with_the_whole_question(self, tab, client):
        html = client.get(f"/{tab}?{QUESTION}").text
        links = re.findall(
            r'<a href="(\w+)\?([^"]*)"( aria-current="page")?>', html.split("<nav")[1].split("</nav>")[0]
        )
        assert [name for name, _, _ in links] == list(TABS)
        assert [name for name, _, current in links if current] == [tab]
        assert all(dict(parse_qsl(unescape(query))) == dict(parse_qsl(QUESTION)) for _, query, _ in links)

    def test_all_addresses_are_relative_and_of_one_level(self, tab, client):
        tags = Tags(client.get(f"/{tab}?{QUESTION}").text).tags
        names = ("href", "src", "action", "hx-get")
        addresses = [pairs[name] for _, pairs in tags for name in names if name in pairs]
        assert len(addresses) > 10
        for address in addresses:
            parts = urlsplit(address)
            assert not parts.scheme
            assert not parts.netloc
            assert not parts.path.startswith("/")

    def test_nothing_needs_a_policy_with_holes(self, tab, client):
        page = Tags(client.get(f"/{tab}?{QUESTION}&script=off").text)
        assert page.inline == []
        assert not [name for _, pairs in page.tags for name in pairs if name == "style" or name.startswith("on")]

    def test_each_identifier_is_there_once_and_each_reference_leads_to_one(self, tab, client):
        tags = Tags(client.get(f"/{tab}?{QUESTION}&script=off").text).tags
        ids = [pairs["id"] for _, pairs in tags if "id" in pairs]
        assert len(ids) == len(set(ids))
        names = ("for", "aria-describedby", "aria-labelledby", "popovertarget", "list")
        references = {pairs[name] for _, pairs in tags for name in names if name in pairs}
        assert references <= set(ids)
        files = {urlsplit(pairs[name]).path for _, pairs in tags for name in ("src", "href") if name in pairs}
        for name in sorted(file for file in files if file.startswith("static/")):
            assert client.get(f"/{name}").status_code == 200

    def test_without_scripts_the_answer_is_in_the_page(self, tab, client):
        first = client.get(f"/{tab}?class=red").text
        refresh = unescape(re.search(r'<noscript><meta http-equiv="refresh" content="0; url=([^"]*)">', first)[1])
        html = client.get(f"/{refresh}").text
        assert 'data-state="done"' in html
        assert "hx-get" not in html
        assert "<noscript>" not in html


class TestFaults:
    @pytest.mark.parametrize("query", ["clas=red", "class=red&class=blue"])
    def test_a_bad_address_is_said_in_the_place_of_the_answer(self, query, client):
        response = client.get(f"/explain?{query}")
        assert response.status_code == 422
        section = response.text.split('id="answer"')[1].split("</section>")[0]
        assert "the address has" in text_of(section)
        assert "hx-get" not in section

    def test_an_answer_that_cannot_be_made_is_one_line_without_scripts_too(self, client):
        section = client.get("/explain?class=purple&script=off").text.split('id="answer"')[1].split("</section>")[0]
        assert "class 'purple' is not among the model's 6 labels" in text_of(section)


class TestLayers:
    def test_the_models_own_the_default_first_and_blocks_from_the_last_on(self, client):
        response = client.get("/layers", params={"model": COLOURS})
        assert response.json() == [
            ["act", "act: 7 x 7 places, before pooling"],
            ["body", "body: 7 x 7 places"],
            ["stem", "stem: 14 x 14 places"],
            ["input", "input: the image itself, 56 x 56 pixels"],
        ]

    def test_each_can_be_explained(self, client):
        for name, _ in client.get("/layers").json():
            answer = client.get("/explain", params={"layer": name, "script": "off"}).text
            assert f"colour_network:network, {name}</dd>" in answer

    def test_the_model_is_not_loaded_again(self, client, monkeypatch):
        client.get("/classes")
        monkeypatch.setattr(zoo, "load_network", lambda _: pytest.fail("the model was loaded again"))
        assert client.get("/layers?model=colour_network:network").status_code == 200

    def test_of_no_other_model(self, client):
        assert client.get("/layers?model=resnet50").status_code == 422


class TestClasses:
    def test_text_of_the_address_and_label_of_each(self, client):
        response = client.get("/classes", params={"model": COLOURS})
        names = [label.split(",")[0] for label in colour_network.LABELS]
        assert response.json() == [[name, label] for name, label in zip(names, colour_network.LABELS, strict=True)]

    def test_they_are_sent_once(self, client):
        tag = client.get("/classes").headers["etag"]
        again = client.get("/classes", headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")

    def test_of_no_other_model(self, client):
        response = client.get("/classes?model=resnet50")
        assert response.status_code == 422
        assert response.text.startswith("model 'resnet50' is not offered by this page")


def test_the_page_of_terms_has_what_the_signs_lead_to(client):
    ids = {pairs["id"] for _, pairs in Tags(client.get("/glossary").text).tags if "id" in pairs}
    assert {term.id for term in GLOSSARY.values()} <= ids
    links = [
        pairs["href"]
        for _, pairs in Tags(client.get("/explain").text).tags
        if pairs.get("href", "").startswith("glossary#")
    ]
    assert {link.split("#")[1] for link in links} == {term.id for term in GLOSSARY.values()}


def test_every_file_of_the_package_that_is_served_is_used():
    folder = Path(page_routes.__code__.co_filename).parent
    places = [*(folder / "templates").iterdir(), folder / "preview.py"]
    used = "".join(path.read_text(encoding="utf-8") for path in places)
    served = [path.name for path in (folder / "static").iterdir() if not path.name.endswith(".LICENSE.txt")]
    assert [name for name in served if f"static/{name}" not in used] == []
