"""One look for all pictures."""

from blockresearch.report.plots import style


def test_a_figure_gives_the_same_bytes_twice():
    def drawn():
        figure, (axes,) = style.canvas(2, 1)
        axes.set_title("title")
        return style.png(figure)

    png = drawn()
    assert png == drawn()
    assert [int.from_bytes(png[at : at + 4]) for at in (16, 20)] == [384, 192]
