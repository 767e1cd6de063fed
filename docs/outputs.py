"""Write docs/outputs.md: the tables and their columns, from the schemas of the program.

python -m docs.outputs
"""

from pathlib import Path

from blockresearch.files import write_text
from blockresearch.report.glossary import FILES
from blockresearch.tables.columns import SCHEMAS

HEAD = """\
# Outputs

Made from the table schemas by `make docs`. All files of a model lie in `results/<model>/`.

A value that is undefined is missing (an empty field in CSV, `null` in JSON and Parquet), never 0.
In CSV, text that a spreadsheet would run as a formula starts with an apostrophe; text that starts
with an apostrophe itself gets one more, so removing one always restores the original. JSON and
Parquet hold the text as it is. Infinities are `inf` and `-inf`.
"""


def manual() -> str:
    """The page as Markdown."""
    lines = [HEAD]
    for name, schema in SCHEMAS.items():
        lines += [f"## {name}", "", f"`{FILES[name]}`: each row is {schema.row}.", ""]
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        for column in schema.columns:
            meaning = column.meaning.replace("|", "\\|")
            lines.append(f"| `{column.name}` | {column.type} | {column.unit} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    write_text(manual(), Path(__file__).with_name("outputs.md"))
