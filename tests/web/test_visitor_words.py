"""What visitors read: words of the page, and no path of the server."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path

import pytest

import shapleycam
from helpers import colour_network
from helpers.web_server import HOPPER
from helpers.web_views import Views, text_of
from shapleycam.errors import ModelError, OptionError, ShapleyCamError
from shapleycam.models.network import Network
from shapleycam.web.hidden_paths import HiddenPaths
from shapleycam.web.model_cache import ModelCache
from shapleycam.web.model_names import ModelNames
from shapleycam.web.question import Question
from shapleycam.web.visitor_words import visitor_words

FOREIGN = re.compile(r"\b[a-z_]+=(?!=)|(?<![\w-])--[a-z]|pip install|shapleycam[ .][a-zA-Z]|torch\.|\w\(\)")
"""Arguments of Python, options and commands."""
REMEDY = "choose another model or layer, or tell the operator of this page"
SOURCE = Path(shapleycam.__file__).parent


def text_of_node(node: ast.expr) -> str:
    """Return the text that code makes, with X in place of what is known only when it runs."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of_node(value) for value in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "X"


def messages() -> list[str]:
    """Return the messages of all errors that the package raises, apart from those of the command line and the page."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] in {"cli", "web"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
                found += [text_of_node(argument) for argument in node.args if isinstance(argument, ast.JoinedStr)]
    return found


class TestWords:
    def test_no_message_of_the_library_names_what_a_visitor_has_not(self):
        all_messages = messages()
        assert sum(FOREIGN.search(message) is not None for message in all_messages) > 30
        for message in all_messages:
            words = visitor_words(message)
            assert not FOREIGN.search(re.sub(r"'[^']*'", "", words)), words
            assert len(words) > 20 or words == message

    @pytest.mark.parametrize(
        ("message", "expected"),
        [
            (
                "no layer fits; name one with layer=, and its layout with layout='NCHW'",
                "no layer fits; name one in the box Layer",
            ),
            (
                "layer 'x' runs twice; choose another (shapleycam layers MODEL lists them)",
                "layer 'x' runs twice; choose another (the box Layer offers them)",
            ),
            ("class 'target=' is not among the labels", "class 'target=' is not among the labels"),
            ("model 'm' needs a package; pip install 'x[hf]'", f"model 'm' needs a package; {REMEDY}"),
            ("output=3 is not in what it returns", f"The model cannot be explained as it is; {REMEDY}"),
        ],
    )
    def test_examples(self, message, expected):
        assert visitor_words(message) == expected

    def test_a_utility_that_needs_a_class_asks_for_the_box(self):
        views = Views(colour_network.network())
        with pytest.raises(ShapleyCamError) as caught:
            views.states("explain", utility="value")
        said = views.resources.words_of(caught.value)
        assert said.endswith("say which in the box Class")

    @pytest.mark.parametrize(
        ("view", "fields"),
        [
            *((view, {name: "nonsense"}) for view in ("explain", "compare", "fidelity", "coalitions")
              for name in ("target", "against", "utility", "layer", "removal")),
            *((view, {"utility": name}) for view in ("explain", "fidelity") for name in ("value", "similarity", "box")),
            ("explain", {"layer": "fc"}), ("explain", {"method": "nonsense"}), ("explain", {"method": "scorecam"}),
            ("explain", {"layer": "last-conv.0"}), ("compare", {"methods": "nonsense"}), ("fidelity", {"error": "x"}),
            ("coalitions", {"absent": "x"}), ("results", {"run": "x"}), ("results", {"metric": "x"}),
        ],
    )  # fmt: skip
    def test_no_option_of_an_address_leads_to_foreign_words(self, view, fields):
        views = Views(colour_network.network())
        try:
            said = text_of(views.states(view, **fields)[-1])
        except ShapleyCamError as error:
            said = views.resources.words_of(error)
        if view != "results":  # which tells the operator how to offer a run
            assert not FOREIGN.search(re.sub(r"'[^']*'", "", said)), said


class TestNames:
    def test_files_have_short_names_which_do_not_depend_on_others(self):
        files = ["a/net.py:make", "/b/net.py:make", "x/timm.py:resnet18", "a/net.py:it"]
        offered = [*files, "timm:resnet18", "pack.age:make"]
        names = ModelNames(offered)
        assert [names.full(short) for short in names.short] == offered
        assert [re.sub(r"@[0-9a-f]{6}$", "@", short) for short in names.short] == [
            *("net:make@", "net:make@", "timm:resnet18@", "net:it", "timm:resnet18", "pack.age:make")
        ]
        assert set(ModelNames(offered[::-1]).short) == set(names.short)
        assert [names.canonical(name) for name in offered] == list(names.short)

    def test_one_that_is_offered_twice_is_one(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        names = ModelNames(["net.py:make", "./net.py:make", str(tmp_path / "net.py:make")])
        assert names.short == ("net:make",)
        assert names.canonical("./net.py:make") == "net:make"

    def test_a_folder_of_transformers(self, tmp_path):
        assert ModelNames([f"hf:{tmp_path / 'secret' / 'vit'}", "hf:google/vit"]).short == ("hf:vit", "hf:google/vit")

    def test_no_other_path_is_opened(self):
        with pytest.raises(ModelError, match="is not offered by this page; did you mean 'net:make'"):
            ModelNames(["/a/net.py:make"]).full("/b/net.py:make")


class TestPaths:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("could not read /srv/a/weights.pt: gone", "could not read weights.pt: gone"),
            ("No such file: '/srv/my own/weights.pt'", "No such file: 'weights.pt'"),
            (f"in {Path.home()}/models/net.py, line 3", "in net.py, line 3"),
            (r"C:\Users\me\net.py is not there", "net.py is not there"),
            ("model '/x y/net.py:make' and /x y/net.py", "model 'net:make' and net.py"),
            ("<p>a/b or 3/4 of text/html</p>", "<p>a/b or 3/4 of text/html</p>"),
            ('<img src="data:image/png;base64,AB+/CD/EF/GH=">', '<img src="data:image/png;base64,AB+/CD/EF/GH=">'),
        ],
    )
    def test_only_the_last_part_is_shown(self, text, shown):
        assert HiddenPaths({"/x y/net.py:make": "net:make"}).hide(text) == shown

    def test_a_model_that_does_not_load_tells_the_log_why_and_visitors_no_path(self, tmp_path, caplog):
        (tmp_path / "secret").mkdir()
        file = tmp_path / "secret" / "net.py"
        file.write_text(f"def make():\n    raise OSError('{tmp_path}/secret/weights.pt is not there')\n")
        models = ModelCache([f"{file}:make"], 1, "cpu")
        with caplog.at_level(logging.WARNING), pytest.raises(ModelError) as caught:
            models.get("net:make")
        assert str(caught.value).startswith("model 'net:make' could not be loaded, and the server has logged why")
        assert str(tmp_path) not in str(caught.value)
        assert f"{tmp_path}/secret/weights.pt is not there" in caplog.text

    def test_a_model_that_fails_tells_visitors_no_path(self, tmp_path, caplog):
        network = colour_network.network()

        def fail(*_):
            raise FileNotFoundError(2, "No such file", f"{tmp_path}/secret/table.npy")

        network.model.forward = fail
        name = f"{tmp_path}/secret/net.py:make"
        views = Views(Network(network.model, network.preprocess, network.labels), name=name)
        with pytest.raises(ShapleyCamError) as caught:
            views.states("explain")
        said = views.resources.words_of(caught.value)
        assert "table.npy" in said
        assert "secret" not in said
        assert str(tmp_path) in caplog.text

    def test_answers_downloads_and_errors_name_the_model_shortly(self):
        views = Views(colour_network.network(), name=f"{HOPPER.parent}/net.py:make")
        html = views.states("explain")[-1]
        assert "net:make" in html
        for content in (html, views.picture("summary.json").decode(), repr(views.picture("numbers.npz"))):
            assert str(HOPPER.parent) not in content
        assert Question(model="net:make").address() == "model=net%3Amake"
        with pytest.raises(OptionError, match="no run is offered by this page"):
            views.picture("run-map")
