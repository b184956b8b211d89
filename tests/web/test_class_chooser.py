"""The box in which a class is chosen: what is typed is what is chosen, and nothing by itself."""

from __future__ import annotations

import pytest

from helpers.web_library import COLOURS


@pytest.fixture
def visitor(visitor):
    visitor.open("explain", model=COLOURS)
    return visitor


def box_of(visitor, name="class"):
    return visitor.page.locator(f"#question input[role=combobox][name={name}]")


def options_of(visitor):
    return visitor.page.locator("#question [role=option]:visible").all_inner_texts()


@pytest.mark.parametrize("name", ["class", "against"])
def test_an_exact_match_comes_first(name, visitor):
    box = box_of(visitor, name)
    box.press_sequentially("red")
    visitor.page.locator("#question [role=option]:visible").first.wait_for()
    texts = options_of(visitor)
    assert "red" in texts[0].split()
    assert any("redder" in text for text in texts[1:])
    box.press("Enter")
    visitor.change(**{"target" if name == "class" else name: "red"})


def test_arrows_choose_another(visitor):
    box = box_of(visitor)
    box.press_sequentially("red")
    visitor.page.locator("#question [role=option]:visible").first.wait_for()
    box.press("ArrowDown")
    box.press("Enter")
    visitor.page.wait_for_url("**class=**")
    assert visitor.question.target == "redder"


def test_escape_closes_and_keeps_the_address(visitor):
    before = visitor.page.url
    box = box_of(visitor)
    box.press_sequentially("gre")
    visitor.page.locator("#question [role=option]:visible").first.wait_for()
    box.press("Escape")
    assert options_of(visitor) == []
    assert box.get_attribute("aria-expanded") == "false"
    assert visitor.page.url == before


def test_tab_closes(visitor):
    box = box_of(visitor)
    box.focus()
    box.press("ArrowDown")
    visitor.page.locator("#question [role=option]:visible").first.wait_for()
    box.press("Tab")
    assert options_of(visitor) == []


def test_emptied_it_means_the_predicted_class(visitor, library):
    visitor.pick("class", "redder")
    visitor.change(target="redder")
    box = box_of(visitor)
    box.fill("")
    box.press("Enter")
    visitor.change(target="")
    library.check("explain", visitor.answer(), visitor.question)


def test_the_cross_clears(visitor, library):
    visitor.pick("class", "redder")
    visitor.change(target="redder")
    visitor.page.get_by_role("button", name="Explain the predicted class").click()
    visitor.change(target="")
    library.check("explain", visitor.answer(), visitor.question)


def test_an_unknown_class_is_said_with_the_nearest(visitor, library):
    visitor.pick("class", "bleu")
    answer = visitor.change(target="bleu")
    assert "did you mean 'blue'" in answer.get_by_role("alert").inner_text()
    visitor.pick("class", "99")
    assert "class 99 is out of range" in visitor.change(target="99").get_by_role("alert").inner_text()


def test_labels_are_text(visitor, library):
    box = box_of(visitor)
    box.press_sequentially("bold")
    visitor.page.locator("#question [role=option]:visible").first.wait_for()
    assert "<b>bold & 'odd'</b>" in options_of(visitor)[0]
    box.press("Enter")
    visitor.page.wait_for_url("**class=**")
    library.check("explain", visitor.answer(), visitor.question)
    assert visitor.page.locator("#answer b").count() == 0


def test_classes_of_the_default_model(visitor, library):
    visitor.open("explain")
    box = box_of(visitor)
    box.press_sequentially("crane")
    visitor.page.locator("#question [role=option]:visible").first.wait_for()
    assert sum("crane" in text for text in options_of(visitor)) >= 2  # the bird and the machine
    box.press("Enter")
    visitor.page.wait_for_url("**class=**")
    library.check("explain", visitor.answer(), visitor.question)


class TestLayers:
    """The same box, of the model's layers: what is typed counts, listed or not."""

    @pytest.fixture
    def box(self, visitor):
        return box_of(visitor, "layer")

    def test_the_rules_and_the_models_own_layers(self, visitor, box):
        box.click()
        visitor.page.locator("#question [role=option]:visible", has_text="stem").wait_for()
        names = [text.split(":")[0] for text in options_of(visitor)]
        assert names == ["before-pool", "last-conv", "act", "body", "stem", "input"]

    def test_an_exact_name_comes_first(self, visitor, box, library):
        box.press_sequentially("body")
        visitor.page.locator("#question [role=option].active", has_text="body: 7 x 7 places").wait_for()
        box.press("Enter")
        library.check("explain", visitor.change(layer="body"), visitor.question)

    def test_a_name_that_is_not_listed_is_taken_as_it_is_typed(self, visitor, box):
        """Not the first that it is a part of: another layer would be explained in silence."""
        box.press_sequentially("od")
        visitor.page.locator("#question [role=option]:visible", has_text="body").wait_for()
        box.press("Enter")
        assert "'od'" in visitor.change(layer="od").get_by_role("alert").inner_text()

    def test_where_the_list_cannot_be_had_the_rules_are_there_and_it_is_said(self, visitor, box):
        visitor.allowed.append("503")
        visitor.page.route("**/layers?*", lambda route: route.fulfill(status=503, body="full"))
        box.click()
        visitor.page.locator("#question .combobox .note", has_text="could not be read (503)").wait_for()
        assert [text.split(":")[0] for text in options_of(visitor)] == ["before-pool", "last-conv"]
