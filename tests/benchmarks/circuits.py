"""Circuits beside plain loops over heads, tokens and pairs, and what their jobs take.

    python -m tests.benchmarks.circuits FOLDER

writes a section of RESULTS.md: for one layer of a model the numbers of all heads, the edges from
one layer to the next, and the tokens at the ends of directions, each beside the loop that one would
write with NumPy on whole matrices; then the jobs of circuits_part of the whole model.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.layer_groups import LayerGroup, layer_groups
from blockresearch.checkpoint.manifest import Manifest, manifest_json, write_manifest
from blockresearch.circuits.bases import PARTS, bases_of, read_blocks, write_bases
from blockresearch.circuits.graph import graph_rows
from blockresearch.circuits.heads import head_rows
from blockresearch.circuits.layer import Attention, Layer
from blockresearch.circuits.lens import TOKENS, Lens, RowsOnCpu
from blockresearch.circuits.reading import Reader, read_layers
from blockresearch.run import cli
from blockresearch.run.circuit_resources import CIRCUITS_MB
from blockresearch.run.resources import MB, START_SECONDS
from tests.benchmarks.predictions import measured
from tests.benchmarks.results import machine, write_section

SCRIPT = Path(__file__).resolve().parents[2] / "workflow/scripts/circuits_part.py"
DIRECTIONS = 64


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of the faster of two runs."""
    found = []
    for _ in range(2):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def plain_heads(attention: Attention) -> None:
    """Singular values of M and N, and eigenvalues of N, as whole matrices."""
    for head in range(attention.heads):
        group = attention.kv_head(head)
        written = attention.o[head] @ attention.v[group]
        np.linalg.svd(attention.q[head].T @ attention.k[group], compute_uv=False)
        np.linalg.svd(written, compute_uv=False)
        np.linalg.eigvals(written)


def factored_heads(attention: Attention) -> None:
    """The same of small matrices, by reflections for each head."""
    for head in range(attention.heads):
        group = attention.kv_head(head)
        for left, right in (
            (attention.q[head].T, attention.k[group].T),
            (attention.o[head], attention.v[group].T),
        ):
            r, s = np.linalg.qr(left)[1], np.linalg.qr(right)[1]
            np.linalg.svd(r @ s.T, compute_uv=False)
        np.linalg.eigvals(attention.v[group] @ attention.o[head])


def plain_edges(one: Attention, two: Attention) -> None:
    """Kernels of all pairs of heads and inputs, bases by reflections for each pair."""
    for head in range(one.heads):
        for stack in (two.k, two.v):
            for rows in stack:
                u, w = np.linalg.qr(one.o[head])[0], np.linalg.qr(rows.T)[0]
                np.square(u.T @ w).sum()


def plain_tokens(table: np.ndarray, directions: np.ndarray) -> None:
    """All scores, then the ends of each direction."""
    scores = (table - table.mean(axis=0)) @ directions.T
    for column in scores.T:
        order = np.argsort(column)
        _ = order[:TOKENS], order[-TOKENS:], column.std()


def rows_of(manifest: Manifest, folder: Path, scratch: Path) -> list[str]:
    """Rows of the table for two layers of a model."""
    files = {file.path: folder / file.path for file in manifest.shards}
    keys = [key for group in layer_groups(manifest_json(manifest)) for key in group.layers][:2]

    def fresh() -> list[Layer]:
        return list(read_layers(manifest, files, keys))

    layers = fresh()
    one, two = (layer.attentions[0] for layer in layers)
    copies = iter([fresh(), fresh(), fresh(), fresh()])

    def ours() -> None:
        # Factors are kept with a layer, so each run has its own.
        for _ in head_rows(next(copies)[0]):
            pass

    def graph() -> None:
        arrays = {
            name: array
            for layer in next(copies)
            for name, array in bases_of(layer, PARTS[:2]).items()
        }
        write_bases(arrays, scratch / "bases.npz")
        for _ in graph_rows(read_blocks(scratch / "bases.npz")):
            pass

    heads = seconds(ours)
    edges = seconds(graph)
    reader = Reader(manifest, files)
    (table,) = reader.matrices(manifest.token_tensors[0], np.float32).values()
    rows = RowsOnCpu(lambda: iter(np.array_split(table, 8)))
    lens = Lens(rows, np.ones(len(table), bool))
    directions = np.random.default_rng(0).standard_normal((DIRECTIONS, table.shape[1]))
    named = seconds(lambda: lens.ends(directions))
    results = (
        (f"numbers of {one.heads} heads, with the null of copying", heads, ""),
        ("the same without null, whole matrices", seconds(lambda: plain_heads(one)), heads),
        ("the same without null, reflections", seconds(lambda: factored_heads(one)), heads),
        ("edges of two layers, with bases on disk and composition", edges, ""),
        ("the same, kernels alone, pair by pair", seconds(lambda: plain_edges(one, two)), edges),
        (f"tokens of {DIRECTIONS} directions, with coherence", named, ""),
        (
            "the same without coherence, all scores sorted",
            seconds(lambda: plain_tokens(table, directions.astype(np.float32))),
            named,
        ),
    )
    return [
        f"| {what} | {took:.3f} | {f'{took / own:.1f}' if own else '1.0'} |"
        for what, took, own in results
    ]


def job(manifest: Path, group: LayerGroup, scratch: Path) -> str:
    """A row about a job of circuits_part."""
    command = [sys.executable, str(SCRIPT), "--manifest", str(manifest), "--group", group.name]
    peak, cpu = measured([*command, "--out", str(scratch / group.name)], scratch)
    memory, predicted = CIRCUITS_MB * MB + group.memory, START_SECONDS + group.seconds
    return (
        f"| {group.name}, {len(group.layers)} layers | {memory / MB:,.0f} | {peak / MB:,.0f} | "
        f"{memory / peak:.2f} | {predicted:.1f} | {cpu:.1f} | {predicted / cpu:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a model")
    folder = parser.parse_args().folder
    manifest = describe_folder(str(folder), cli.now(), hashed=False)
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        scratch = Path(name)
        compared = "\n".join(rows_of(manifest, folder, scratch))
        write_manifest(manifest, scratch / "manifest.json")
        groups = layer_groups(manifest_json(manifest))
        jobs = "\n".join(job(scratch / "manifest.json", group, scratch) for group in groups)
    write_section(
        "Circuits",
        f"""\
Model: {folder.resolve().name}. Machine: {machine()}. One thread, processor time; ratio = seconds of
the loop over ours.

| one layer | seconds | ratio |
|---|---|---|
{compared}

Jobs of circuits_part, predicted without margins; ratio = predicted over measured.

| job | predicted MB | measured MB | ratio | predicted s | CPU s | ratio |
|---|---|---|---|---|---|---|
{jobs}
""",
    )


if __name__ == "__main__":
    main()
