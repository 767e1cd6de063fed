"""Notebooks run into pages that depend on their content alone."""

import re

import nbformat
import pytest

from blockresearch.report.notebook_run import NotebookError, run, to_html, to_ipynb
from blockresearch.report.pages import policy


def executed(tmp_path, source):
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("model_dir = ''", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_markdown_cell("# Title"),
            nbformat.v4.new_code_cell(source),
        ],
        metadata={"language_info": {"name": "python"}},
    )
    path = tmp_path / "10_summary_stats.ipynb"
    nbformat.write(notebook, path)
    return path


def test_a_run_gives_one_offline_page_twice(tmp_path):
    source = "from blockresearch.report import notebook_cells as nb\nnb.say('<b>' + model_dir)"
    path = executed(tmp_path, source)
    pages, files = [], []
    for _ in range(2):
        notebook = run(path, {"model_dir": "<i>results</i>"})
        pages.append(to_html(notebook, path.stem, "<u>model"))
        files.append(to_ipynb(notebook))
    assert pages[0] == pages[1] and files[0] == files[1]
    page = pages[0]
    assert "&lt;b&gt;&lt;i&gt;results&lt;/i&gt;" in page and "<u>" not in page
    assert "model_dir" not in page and 'href="../index.html"' in page
    assert not re.search(r"https?:|<script|src=\"(?!data:)", page)
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    assert f'content="{policy(styles=[style])}"' in page
    assert "papermill" not in files[0] and str(tmp_path) not in files[0]


def test_a_section_without_output_is_left_out(tmp_path):
    path = executed(tmp_path, "None")
    notebook = nbformat.read(path, 4)
    for title, source in (("## Empty", "None"), ("## Full", "2"), ("### Part", "3")):
        notebook.cells += [
            nbformat.v4.new_markdown_cell(title),
            nbformat.v4.new_code_cell(source),
        ]
    nbformat.write(notebook, path)
    executed_notebook = run(path, {"model_dir": "x"})
    page = to_html(executed_notebook, path.stem, "model")
    assert "Title" in page and "Empty" not in page and "Full" in page and "Part" in page
    kept = nbformat.reads(to_ipynb(executed_notebook), 4).cells
    assert [cell.source for cell in kept][-5:] == ["None", "## Full", "2", "### Part", "3"]


def test_texts_on_stderr_go_to_the_log(tmp_path, capsys):
    source = "import sys\nprint('slow', file=sys.stderr)"
    assert run(executed(tmp_path, source), {"model_dir": "x"}).cells[-1].outputs == []
    assert "slow" in capsys.readouterr().err


def test_outputs_are_those_of_a_kernel(tmp_path):
    source = "from IPython.display import display\nprint('one')\ndisplay(2)\nprint('three')\n[4]"
    cell = run(executed(tmp_path, source), {"model_dir": "x"}).cells[-1]
    assert cell.execution_count == 3
    assert [output.output_type for output in cell.outputs] == [
        *("stream", "display_data", "stream", "execute_result")
    ]
    assert cell.outputs[2] == {"output_type": "stream", "name": "stdout", "text": "three\n"}
    assert cell.outputs[3]["data"] == {"text/plain": "[4]"}


def test_a_failing_cell_is_named(tmp_path):
    path = executed(tmp_path, "raise KeyError('lost')")
    with pytest.raises(NotebookError, match=r"cell 3 failed with KeyError: 'lost'") as e:
        run(path, {"model_dir": "x"})
    assert "raise KeyError" in e.value.traceback
