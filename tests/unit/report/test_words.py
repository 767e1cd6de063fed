"""Texts of pages in one or two languages."""

import pytest
from markupsafe import Markup

from blockresearch.language import catalogue
from blockresearch.language.sentence import say
from blockresearch.report.pages import linked, render, script_messages
from blockresearch.report.words import plain, words

ENTRIES = {"{name} is odd.": "{name}异常。", "note": "说明", "Page": "页面"}


@pytest.fixture
def speak(monkeypatch):
    """A function that sets the language; the catalogue is a small one."""
    monkeypatch.setattr(catalogue, "catalogue", lambda language: ENTRIES)
    yield catalogue.set_language
    catalogue.set_language("en")


def test_two_languages_are_two_elements(speak):
    text = say("{name} is odd.", name="<b>")
    assert words(text) == "&lt;b&gt; is odd."
    speak("zh")
    assert words(text) == "&lt;b&gt;异常。"
    speak("both")
    assert words(text) == (
        '<span lang="en">&lt;b&gt; is odd.</span><span lang="zh-Hans">&lt;b&gt;异常。</span>'
    )
    assert words("q_proj") == "q_proj", "what is the same stands once"
    assert plain("note") == "note / 说明"


def test_markup_in_a_sentence_stays(speak):
    speak("zh")
    assert words(say("{name} is odd.", name=Markup("<i>x</i>"))) == "<i>x</i>异常。"
    assert linked(say("{name} is odd.", name="a.w"), ["a.w"]) == (
        '<a href="#tensor=a.w">a.w</a>异常。'
    )


def test_scripts_get_their_messages(speak):
    speak("both")
    script = 'say("note"); say( "other {x}", { x: 1 })'
    assert script_messages([script]) == {
        "languages": ("en", "zh"),
        "messages": {"zh": {"note": "说明", "other {x}": "other {x}"}},
    }


@pytest.mark.parametrize("choice", ["en", "zh", "both"])
def test_only_a_page_with_two_languages_has_a_switch(speak, choice):
    speak(choice)
    page = render("base.html.j2", title="Page")
    assert ('id="language"' in page) == (choice == "both")
    language = "zh-Hans" if choice == "zh" else "en"
    assert f'<html lang="{language}">' in page
