"""Pictures have the letters that some font of the machine has."""

import matplotlib
import pytest

from blockresearch.report.plots import fonts, style


@pytest.fixture
def fresh():
    """No font but the base one is known yet."""
    fonts.all_glyphs.cache_clear()
    matplotlib.rcParams["font.family"] = [fonts.BASE]
    yield
    fonts.all_glyphs.cache_clear()


def test_latin_needs_no_other_font(fresh, monkeypatch):
    monkeypatch.setattr(fonts, "all_glyphs", lambda: pytest.fail("fonts were searched"))
    assert fonts.can_draw("Δσ² é")


def test_without_a_font_there_is_a_code_and_no_box(fresh, monkeypatch):
    monkeypatch.setattr(fonts, "_named", lambda wanted: [])
    assert style.literal("a不") == "a⟨U+4E0D⟩"
    figure, (axes,) = style.canvas(2, 2)
    axes.set_title("Singular values")
    monkeypatch.setattr(style, "languages", lambda: ("zh",))
    monkeypatch.setattr(style, "spoken", lambda text: "奇异值")
    style.speak(figure)
    assert axes.get_title("left") == "Singular values"


def test_a_font_that_is_found_is_used(fresh):
    if not any(font.name.startswith("Noto Sans CJK") for font in fonts._named(("Noto Sans CJK",))):
        pytest.skip("this machine has no font for Chinese")
    assert style.literal("a不") == "a不"
    assert len(matplotlib.rcParams["font.family"]) > 1


def test_marks_need_a_letter(fresh):
    assert style.literal("\u0301a") == "⟨U+0301⟩a"
    assert style.literal("a\u0301") == "a\u0301"


def test_labels_that_existed_before_get_the_fonts(fresh, monkeypatch):
    figure, (axes,) = style.canvas(2, 2)
    monkeypatch.setattr(fonts, "is_in_base", lambda text: text != "new")
    monkeypatch.setattr(fonts, "families", lambda: [fonts.BASE, "another font"])
    axes.set_title("new")
    axes.set_xlabel("old")
    style.speak(figure)
    assert axes.xaxis.label.get_fontfamily() == [fonts.BASE]
    (title,) = [text for text in figure.findobj(style.Text) if text.get_text() == "new"]
    assert title.get_fontfamily() == [fonts.BASE, "another font"]
