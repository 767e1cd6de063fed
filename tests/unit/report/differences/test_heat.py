"""Maps of what changed."""

from blockresearch.report.differences.heat import heat_maps, relative
from blockresearch.tables.io import frame
from tests.unit.report.differences.samples import difference


def maps(rows, column="relative_change"):
    return heat_maps(frame(rows, "differences"), column, relative)


def test_shades_follow_the_logarithm():
    sizes = (0.0001, 0.001, 0.01, 0.1, 0.0)
    rows = [difference(f"l{n}", n, relative_change=size) for n, size in enumerate(sizes)]
    (found,) = maps(rows)
    assert [row[0].shade for _, row in found.rows] == [0, 3, 6, 8, None]
    assert (found.low, found.high) == ("0.01 %", "10 %") and found.rows[4][1][0].text == "0"


def test_equal_cells_get_one_middle_shade():
    (found,) = maps([difference(f"l{n}", n, relative_change=0.01) for n in range(3)])
    assert {row[0].shade for _, row in found.rows} == {4}


def test_equal_sides_have_no_map():
    assert maps([difference(f"l{n}", n, relative_change=0.0) for n in range(3)]) == []


def test_roles_and_experts_share_no_cell_by_mistake():
    rows = [
        difference("a", 0, relative_change=0.1, role="self"),
        difference("b", 0, relative_change=0.2, role="cross"),
        difference("c", 2, "moe", relative_change=0.1),
        difference("d", 2, "moe", relative_change=0.3),
        difference("norm", 1, "norm", relative_change=9.0, delta_spectral_norm=None),
        difference("outside", relative_change=0.1, block="embedding"),
    ]
    (found,) = maps(rows)
    assert found.heads == ("q_proj", "cross q_proj", "moe")
    cells = dict(found.rows)
    assert [cell and cell.text for cell in cells[0]] == ["10 %", "20 %", None]
    assert cells[1] == (None, None, None)
    assert (cells[2][2].text, cells[2][2].matrices) == ("20 %", 2)


def test_changes_are_written_without_exponents():
    shown = [relative(value) for value in (0.00012, 0.0312, 0.994, 1.0, 2.5)]
    assert shown == ["0.012 %", "3.1 %", "99 %", "100 %", "250 %"]
    assert (relative(0), relative(3e-7)) == ("0", "3.0e-07")


def test_nothing_below_the_least_value_stands_out():
    rows = [difference(f"l{n}", n, relative_change=10.0 ** -(n + 3)) for n in range(4)]
    (found,) = heat_maps(frame(rows, "differences"), "relative_change", relative, least=0.01)
    assert {row[0].shade for _, row in found.rows} == {0}


def test_without_layers_there_is_no_map():
    assert maps([difference("head", relative_change=1.0)]) == maps([]) == []
