"""Lines that are drawn again stay within the terminal and are replaced by what follows."""

import io

import pytest

from snakemake_logger_plugin_blockresearch.screen import Screen, cut


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Yes."""
        return True


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("模型名", 6, "模型名"), ("模型名", 5, "模型…")],
)
def test_lines_are_cut_to_the_columns_of_the_terminal(text, columns, expected):
    assert cut(text, columns) == expected


def test_drawn_lines_are_replaced(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    screen = Screen(stream)
    screen.draw(["1 of 2", "  merge"])
    screen.write("merge failed")
    screen.draw([])
    assert stream.getvalue() == "1 of 2\n  merge\n\x1b[2F\x1b[Jmerge failed\n"


def test_elsewhere_nothing_is_drawn(monkeypatch):
    plain = Screen(io.StringIO())
    plain.draw(["1 of 2"])
    monkeypatch.setenv("TERM", "dumb")
    assert plain.stream.getvalue() == "" and not Screen(Terminal()).is_live
