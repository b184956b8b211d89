"""Reports opened from the disk in a browser: they ask for nothing, fit a phone, and their tables sort."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.small_evaluations import QUICK, folder_of, run_evaluation, tiny_network
from shapleycam import Explainer
from shapleycam.explaining.inputs import batch_of
from shapleycam.report import make_pages, render_photographs, render_runs
from shapleycam.report.map_reproducer import MapReproducer


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """The report of a run, and that of photographs."""
    folder = tmp_path_factory.mktemp("pages")
    shots = folder_of(folder / "shots", 8)
    store = run_evaluation(shots, folder / "run")
    explainer = Explainer(tiny_network(), device="cpu")
    batch = batch_of(sorted(shots.iterdir())[:2], explainer.preprocess, explainer.model)
    texts = {
        "run": render_runs([store], MapReproducer([store], None, None, "cpu")),
        "photographs": render_photographs(make_pages(explainer, batch, QUICK.methods), [("gone.jpg", "no such file")]),
    }
    files = {name: folder / f"{name}.html" for name in texts}
    for name, text in texts.items():
        files[name].write_bytes(text)
    return files


@pytest.fixture(params=["run", "photographs"])
def report(request, pages) -> Path:
    return pages[request.param]


def open_page(chromium, path: Path, **options):
    """Open a page; return it with its requests and its console messages."""
    page = chromium.new_page(**options)
    requested, expected_message = [], []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: expected_message.append(message.text))
    page.on("pageerror", lambda error: expected_message.append(str(error)))
    page.goto(path.as_uri())
    return page, requested, expected_message


def test_opens_with_no_request_and_no_complaint(chromium, report):
    page, requested, expected_message = open_page(chromium, report)
    assert [url for url in requested if not url.startswith("data:")] == [report.as_uri()]
    assert expected_message == []
    assert page.evaluate("Array.from(document.images).every(image => image.complete && image.naturalWidth > 0)")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_follows_the_readers_colours(chromium, report, scheme):
    page, *_ = open_page(chromium, report, color_scheme=scheme)
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    assert all(part > 128 for part in shade) if scheme == "light" else all(part < 128 for part in shade)
    page.close()


def test_fits_a_phone(chromium, report):
    page, *_ = open_page(chromium, report, viewport={"width": 360, "height": 700})
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


def test_a_table_that_goes_on_says_so(chromium, pages):
    """At a phone's width all tables of a run are wider than the page; on a wide screen the list of metrics is not."""
    for width, expected in ((360, True), (1280, False)):
        page, *_ = open_page(chromium, pages["run"], viewport={"width": width, "height": 700})
        region = page.locator(".scroll[aria-label=Metrics]")
        page.wait_for_function("document.querySelectorAll('.scroll.wide').length > 0 || innerWidth > 1000")
        sign = region.evaluate("each => getComputedStyle(each, '::before').content")
        assert ("scroll sideways for more columns" in sign) == expected
        assert region.evaluate("each => each.scrollWidth > each.clientWidth") == expected
        page.close()


def test_a_script_that_is_not_ours_does_not_run(chromium, report, tmp_path):
    with_script = tmp_path / "other.html"
    with_script.write_text(report.read_text().replace("<main>", "<main><script>window.ran = 1</script>"))
    page, _, expected_message = open_page(chromium, with_script)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in expected_message)
    page.close()


def test_a_click_sorts_a_table_and_another_turns_it_round(chromium, pages):
    page, *_ = open_page(chromium, pages["run"])
    table = page.locator("table.figures")
    figures = "rows => rows.map(row => parseFloat(row.cells[1].textContent))"
    button = table.locator("thead button").nth(1)
    button.click()
    rising = table.locator("tbody tr").evaluate_all(figures)
    assert rising == sorted(rising)
    assert set(table.locator("tbody th").all_inner_texts()) == set(QUICK.methods)
    button.click()
    assert table.locator("tbody tr").evaluate_all(figures) == sorted(rising, reverse=True)
    assert table.locator("thead th").nth(1).get_attribute("aria-sort") == "descending"
    page.close()
