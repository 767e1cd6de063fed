"""What the jobs of circuits were predicted to need beside what they took.

    python -m tests.benchmarks.circuit_jobs RESULTS…

runs each job of circuits of finished results (results/<model>) once more alone, on one core, and
writes a section of RESULTS.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.files import read_json
from blockresearch.run import resources
from blockresearch.run.forecast import circuit_costs
from tests.benchmarks.predictions import SHORT, Row, measured, worst
from tests.benchmarks.results import machine, write_section

# Paths of local models in a manifest may be relative to it.
PROJECT = Path(__file__).resolve().parents[2]

SCRIPTS = PROJECT / "workflow/scripts"

ONE = ("--threads", "1")


def commands(folder: Path, groups: list[str], out: Path) -> Iterator[tuple[str, list[str]]]:
    """The jobs in order, each with its script and arguments; they write to `out`."""
    manifest = ["--manifest", str(folder / "manifest.json")]
    for group in groups:
        part = ["circuits_part", *manifest, "--group", group, "--out", str(out / "parts" / group)]
        yield "circuits_part", part
    parts = out / "parts"
    found = ["--measured", str(parts), "--out", str(out)]
    yield "circuits", ["circuits", *manifest, *found, *ONE]
    tails = [str(parts / f"{group}.heavy_tails.parquet") for group in groups]
    spectra = ["--spectra", str(folder / "spectra.parquet"), "--measured", *tails]
    yield "heavy_tails", ["heavy_tails", *manifest, *spectra, "--out", str(out / "tails"), *ONE]
    tokens = [
        *("--tokens", str(folder / "embedding/tokens.parquet")),
        *("--output_tokens", str(folder / "embedding/output_tokens.parquet")),
    ]
    directions = [str(parts / f"{group}.directions.npz") for group in groups]
    named = [*tokens, "--directions", *directions, "--out", str(out / "directions"), *ONE]
    yield "directions", ["directions", *manifest, *named]
    matrices = ["--matrices", str(folder / "matrices.parquet")]
    yield "outliers", ["outliers", *matrices, "--out", str(out / "outliers")]


def rows(folder: Path) -> Iterator[Row]:
    """A row for each job of a model's results."""
    manifest, plan = (read_json(folder / f"{name}.json") for name in ("manifest", "plan"))
    costs = circuit_costs(manifest, resources.size(manifest, plan))
    groups = [group.name for group in layer_groups(manifest)]
    predicted = {job: iter(each) for job, each in costs.items()}
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        (out / "parts").mkdir()
        for job, (script, *arguments) in commands(folder, groups, out):
            cost = next(predicted[job])
            command = [sys.executable, str(SCRIPTS / f"{script}.py"), *arguments]
            peak, cpu = measured(command, PROJECT)
            model = folder.name.removeprefix("local--")
            yield Row(model, job, (cost.memory, peak), (cost.seconds, cpu))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="results of a model with circuits")
    found = [row for folder in parser.parse_args().results for row in rows(folder.resolve())]
    long = [row for row in found if row.seconds[1] >= SHORT]
    table = "\n".join(map(str, found))
    write_section(
        "Jobs of circuits, predicted and measured",
        f"""\
Machine: {machine()}. Ratio = predicted over measured; farthest from 1, of jobs of {SHORT:g} s or
more: memory by a factor of {worst([row.memory for row in long]):.2f}, time of
{worst([row.seconds for row in long]):.2f}.

| model | job | predicted MB | measured MB | ratio | predicted s | CPU s | ratio |
|---|---|---|---|---|---|---|---|
{table}
""",
    )


if __name__ == "__main__":
    main()
