"""What the page is made of, without a browser."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from threading import Barrier, Thread
from time import sleep

import pytest
import torch
from PIL import Image

from helpers.web_server import HOPPER, WebServer
from shapleycam.errors import ImageError, ModelError, OptionError, TargetError
from shapleycam.explanations.summary import gap_of_values, sum_of_values
from shapleycam.images import open_photograph
from shapleycam.web import markup
from shapleycam.web.coalitions import board_of
from shapleycam.web.kept import Kept
from shapleycam.web.photographs import Limits, checked, received
from shapleycam.web.question import Question, numbered
from shapleycam.web.results import Runs
from shapleycam.web.shelf import Shelf
from shapleycam.web.steps import said_of, stoppable
from shapleycam.web.trust import doubts

ANYWHERE = "0.0.0.0"  # noqa: S104


class TestPhotographs:
    def test_is_what_the_library_loads(self):
        assert checked("x.jpg", HOPPER.read_bytes(), Limits()).image().tobytes() == open_photograph(HOPPER).tobytes()

    def test_its_file_is_removed_also_when_it_is_refused(self, tmp_path):
        for name, content in (("good.jpg", HOPPER.read_bytes()), ("bad.jpg", b"nothing")):
            (tmp_path / name).write_bytes(content)
            try:
                received(tmp_path / name, Limits())
            except ImageError as error:
                assert str(error).startswith("bad.jpg: not a photograph")  # noqa: PT017
        assert not list(tmp_path.iterdir())

    def test_limits(self):
        content = HOPPER.read_bytes()
        with pytest.raises(ImageError, match=r"^x: over the limit of 0.01 MB; make it smaller$"):
            checked("x", content, Limits(megabytes=0.01))
        with Image.open(HOPPER) as opened:
            found = f"{opened.width} x {opened.height}"
        with pytest.raises(ImageError, match=f"^x: {found} is 0.3 megapixels, over the limit of 0.1; make it smaller$"):
            checked("x", content, Limits(megapixels=0.1))


class TestKept:
    def test_each_is_made_once_however_many_ask(self):
        kept, made, barrier = Kept(2), [], Barrier(8)

        def ask() -> None:
            barrier.wait()
            kept.get("one", lambda: (sleep(0.05), made.append(1)))

        threads = [Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [1]

    def test_the_one_not_asked_for_longest_leaves(self):
        kept, made = Kept(2), []
        for key in ("a", "b", "a", "c", "a", "b"):
            kept.get(key, lambda key=key: made.append(key))
        assert made == ["a", "b", "c", "b"]
        assert len(kept) == 2

    def test_what_failed_is_tried_again(self):
        kept = Kept(1)
        with pytest.raises(ZeroDivisionError):
            kept.get("a", lambda: 1 // 0)
        assert kept.get("a", lambda: 3) == 3


class TestShelf:
    def test_only_what_is_offered(self):
        with pytest.raises(ModelError, match=r"^model 'timm:resnet18' is not offered by this page; known are one$"):
            Shelf(["one"]).model("timm:resnet18")

    def test_so_many_are_kept(self, monkeypatch):
        from shapleycam.models import zoo

        made = []
        monkeypatch.setattr(zoo, "load_network", made.append)
        shelf = Shelf(["a", "b", "c"], most=2)
        for name in "abcba":
            shelf.model(name)
        assert made == ["a", "b", "c", "a"]
        assert len(shelf) == 2


class TestSteps:
    def test_what_a_job_tells_and_returns(self):
        def job(progress):
            for orders in (1, 2):
                progress(orders, 0.5)
            return "done"

        said = said_of(stoppable(job), lambda orders, reached: orders * reached)
        assert [next(said), next(said)] == [0.5, 1.0]
        with pytest.raises(StopIteration) as end:
            next(said)
        assert end.value.value == "done"

    def test_its_error_is_raised(self):
        def job(_):
            raise OptionError("found this")

        with pytest.raises(OptionError, match="found this"):
            next(stoppable(job))

    def test_ends_when_nobody_waits(self):
        ended = []

        def job(progress):
            try:
                while True:
                    progress(1, 0.1)
                    sleep(0.01)
            finally:
                ended.append(True)

        work = stoppable(job)
        next(work)
        work.close()
        for _ in range(100):
            if ended:
                break
            sleep(0.02)
        assert ended == [True]


class TestMarkup:
    def test_text_is_text(self):
        assert (
            markup.text("<b>${x}{{y}}`'\"&")
            == "&lt;b&gt;&#36;&#123;x&#125;&#123;&#123;y&#125;&#125;&#96;&#x27;&quot;&amp;"
        )

    def test_so_is_all_that_is_named(self):
        evil = "<script>${alert(1)}</script>"
        pieces = (
            markup.message(evil),
            markup.hint(evil),
            markup.facts([(evil, evil)]),
            markup.table([evil], [[evil, evil]], evil),
            markup.colour_bar(signed=True, low=evil, high=evil, what=evil),
            markup.download(evil, b"", "text/plain", evil),
            markup.enlargeable(Image.new("RGB", (2, 2)), evil, evil, evil),
        )
        assert not [piece for piece in pieces if "<script" in piece or "${" in piece]


class TestQuestion:
    def asked(self, explainer, **change):
        asked = Question(
            Shelf(["efficientnet_lite0"]),
            checked("x.jpg", HOPPER.read_bytes(), Limits()),
            "efficientnet_lite0",
            "before-pool",
            "rest",
            None,
            None,
        )
        return replace(asked, **change)

    @pytest.mark.parametrize("text", ["667", "667: mortarboard", "mortarboard", " mortarboard "])
    def test_a_class_by_number_entry_or_name(self, explainer, text):
        assert self.asked(explainer, target_text=text).target == 667

    @pytest.mark.parametrize("text", ["1000", "99999999999", "nosuch"])
    def test_a_class_that_does_not_exist(self, explainer, text):
        with pytest.raises(TargetError):
            _ = self.asked(explainer, target_text=text).target

    def test_no_photograph(self, explainer):
        with pytest.raises(ImageError, match="There is no photograph yet"):
            _ = self.asked(explainer, photograph=None).batch

    def test_the_entries_of_the_list(self, explainer):
        assert numbered(explainer.labels)[667] == "667: mortarboard"
        assert numbered(None) == []

    def test_a_coalition_of_another_form(self, explainer):
        board = board_of(self.asked(explainer))
        for bits in ("", "1" * 48, "2" * 49):
            with pytest.raises(OptionError, match="begin the game again"):
                board.coalition(bits)
        assert board.coalition("1" * 49).all()
        assert torch.equal(board.coalition(None), board.coalition("1" * 49))

    def test_large_grids_are_played_by_regions(self, explainer, monkeypatch):
        monkeypatch.setattr("shapleycam.web.coalitions._ORDERS", 4)
        board = board_of(self.asked(explainer, layer="blocks.4"))
        assert (board.rows, board.columns, board.game.n_players) == (8, 8, 64)


class TestTrust:
    def found(self, explainer, method="gradcam", **change):
        return replace(explainer.explain(HOPPER, method), **change)

    def test_a_gap_is_said_from_fifteen_percent_on(self, explainer):
        e = self.found(explainer, values=torch.full((1, 2, 2), 2.0), curvature=None)
        assert sum_of_values(e) == 8
        assert gap_of_values(e, 10) == pytest.approx(0.2)
        assert [text for text in doubts(e, 10) if "they" in text or "20% off" in text]
        assert not [text for text in doubts(e, 9) if "off" in text]

    def test_prefix_tokens_count(self, explainer):
        assert sum_of_values(self.found(explainer, values=torch.ones(1, 2, 2), prefix=torch.tensor([1.5]))) == 5.5

    def test_weights_have_no_gap(self, explainer):
        e = self.found(explainer, "layercam")
        assert gap_of_values(e, 10) is None
        assert [text for text in doubts(e, 10) if "no units" in text]

    def test_a_blank_map(self, explainer):
        e = self.found(explainer, values=-torch.ones(1, 2, 2))
        assert [text for text in doubts(e, -4) if "blank" in text]

    def test_curvature_is_said_of_first_order_alone(self, explainer):
        bent = {"curvature": torch.tensor([0.5])}
        assert [text for text in doubts(self.found(explainer, **bent), 1) if "interaction" in text]
        assert not [text for text in doubts(self.found(explainer, "shapleycam", **bent), 1) if "interaction" in text]

    def test_an_unlikely_class(self, explainer):
        e = explainer.explain(HOPPER, target=0)
        assert [text for text in doubts(e, float(e.values.sum())) if "what little speaks for it" in text]

    def test_places_that_are_not_sure(self, explainer):
        e = self.found(explainer, "pathcam-h", stderr=torch.full((1, 7, 7), 100.0))
        assert [text for text in doubts(e, sum_of_values(e)) if text.startswith("On 100% of the places")]


class TestRuns:
    def test_named_by_folder_or_by_place(self):
        assert Runs(["a/one", "b/two/"]).names == ["one", "two"]
        assert Runs(["a/one", "b/one"]).names == ["a/one", "b/one"]

    def test_no_other_is_opened(self):
        with pytest.raises(OptionError, match="run '/etc' is not offered by this page"):
            Runs(["a/one"]).opened("/etc")
        with pytest.raises(OptionError, match="No run is offered here"):
            Runs([]).opened(None)


class TestCommand:
    def test_a_warning_where_others_may_come(self, run, monkeypatch):
        served = []
        monkeypatch.setattr("shapleycam.web.serve", lambda *given, **_: served.append(given))
        assert "--auth" in run("web", "--host", ANYWHERE, "--no-browser").err
        for safe in (["--host", "127.0.0.1"], ["--host", ANYWHERE, "--auth", "team:secret"]):
            assert run("web", *safe, "--no-browser").err == ""
        assert [(host, auth) for _, host, _, auth in served] == [
            (ANYWHERE, None),
            ("127.0.0.1", None),
            (ANYWHERE, ("team", "secret")),
        ]

    @pytest.mark.parametrize("auth", ["team", "team:", ":secret"])
    def test_half_a_password(self, run, auth):
        ran = run("web", "--auth", auth)
        assert ran.code == 2
        assert "expected USER:PASSWORD" in ran.err

    def test_a_port_that_is_taken(self, run):
        with WebServer() as found:
            ran = run("web", "--no-browser", "--port", found.address.rpartition(":")[2])
        assert ran.code == 2
        assert ran.err.startswith("error: no server at 127.0.0.1")
        assert len(ran.err.splitlines()) == 1

    def test_missing_extra(self):
        without = "import sys; sys.modules['gradio'] = None; sys.argv = ['shapleycam', 'web']"
        program = f"{without}; from shapleycam.cli import main; main()"
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert ran.stderr == "error: the page needs gradio, which is not installed; pip install 'shapleycam[web]'\n"

    def test_nothing_is_left(self):
        with WebServer() as found:
            assert found.folder.is_dir()
        assert not found.folder.exists()
