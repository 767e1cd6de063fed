"""Write docs/outputs.md: the tables and their columns, from the records of the program.

python -m docs.outputs
"""

from itertools import chain
from pathlib import Path

from blockresearch.files import write_text
from blockresearch.report.comparison import ROWS
from blockresearch.tables.column import (
    Column,
)
from blockresearch.tables.columns import (
    SCHEMAS,
)
from blockresearch.tables.documents import FINDINGS, INDEX, SUMMARY
from blockresearch.tables.guidance import GUIDANCE
from blockresearch.tables.plan_documents import PLANS

HEAD = """\
# Outputs

Made from the records of the columns by `make docs`. All files of a model are in
`results/<model>/`.

A value that is undefined is missing (an empty field in CSV, `null` in JSON and Parquet), never 0.
In CSV, text that a spreadsheet would run as a formula starts with an apostrophe; text that starts
with an apostrophe itself gets one more, so removing one always restores the original. JSON and
Parquet contain the text unchanged. Infinities are `inf` and `-inf`.

There is a Parquet file beside every CSV file, for programs: it keeps types and lists, and loads
faster. The column `model` in each table identifies the model of each row:

    duckdb.sql("select model, count(*) from 'results/*/matrices.parquet' group by model")

The metadata of a Parquet file states where its numbers come from, and each column has its unit:

    schema = pyarrow.parquet.read_schema("results/local--demo/params.parquet")
    schema.metadata, schema.field("std").metadata

| key | meaning |
|---|---|
| `table` | name of the table, as on this page |
| `model`, `model_id` | folder of the results; id on the hub |
| `commit`, `commit_date` | commit on the hub; last change of that revision by the hub |
| `tool`, `tool_commit` | version and commit of the program; `-dirty`: files differ from it |
| `settings`, `settings_hash` | settings that the numbers depend on (JSON); start of their sha256 |
| `base_…` | in comparisons: the same of the base |

What is unknown is left out. All of it is a fact about inputs and program, so a rerun changes
nothing. JSON files that are objects have the same under the key `provenance`: `findings.json`,
`audit.json`, `embedding/summary.json`, `comparison.json`, plans, and `autopsy.json` and
`expectation.json` of comparisons. So has each model in `index.json`. CSV files and `params.json`, a
list of records, have no place for it but the columns `model` and `created_at`: the Parquet file
beside them has it.

In the formulas W is a matrix rows × cols with elements w and singular values σ₁ ≥ … ≥ σ_q, λ = σ²,
β the shorter over the longer side, N the number of finite elements; x is a row of the embedding and
c(x) the center of its cluster. w is also the unit of the weights.
"""

KEYS = ("| key | type | unit | meaning | formula | source |", "|---|---|---|---|---|---|")

# A bar inside a cell.
BAR = "\\|"


def row(column: Column) -> str:
    """The row of one column in the Markdown table; a formula is set as code, so that no sign of it
    is taken for markup."""
    formula = f"`{column.formula}`" if column.formula else ""
    cells = (
        f"`{column.name}`",
        column.type,
        column.unit,
        column.meaning,
        formula,
        column.source,
    )
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def manual() -> str:
    """The page as Markdown."""
    lines = [HEAD]
    for name, schema in SCHEMAS.items():
        lines += [f"## {name}", "", f"`{schema.files}`: each row is {schema.row}.", ""]
        lines += [
            "| column | type | unit | meaning | formula | source |",
            "|---|---|---|---|---|---|",
        ]
        lines += map(row, schema.columns)
        lines.append("")
    lines += [
        "## Accuracy of the numbers",
        "",
        "| columns | accuracy | in trained weights | when not to use them |",
        "|---|---|---|---|",
        *(
            f"| {', '.join(f'`{name}`' for name in each.columns)} | {each.accuracy} "
            f"| {each.trained} | {each.caution} |"
            for each in GUIDANCE
        ),
        "",
        "## Other JSON files",
        "",
        "`embedding/summary.json` has these keys; a dot separates the keys of an object inside.",
        "",
        *KEYS,
        *map(row, SUMMARY),
        "",
        "`findings.json` has these keys.",
        "",
        *KEYS,
        *map(row, FINDINGS),
        "",
        *chain.from_iterable(
            (f"`plans/{name}`: {about}.", "", *KEYS, *map(row, keys), "")
            for name, (about, keys) in PLANS.items()
        ),
        "`comparison.json` has `figures`, the pictures of the model's page, `depth`, statistics of "
        "`layers.csv` by kind of matrix, `listed_as`, keys of `index.json` that come from the "
        "manifest, and `numbers` with these keys. Medians are over the matrices of the model, each "
        "with the same weight, while means in `layers.csv` are over the matrices of one block of a "
        "layer. Missing numbers are null.",
        "",
        "| key | meaning |",
        "|---|---|",
        *(f"| `{each.key}` | {each.label}: {each.meaning} |" for each in ROWS),
        "",
        "`index.json`, beside the folders of the models, is a list with an object for each model.",
        "",
        *KEYS,
        *map(row, INDEX),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    write_text(manual(), Path(__file__).with_name("outputs.md"))
