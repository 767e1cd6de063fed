"""Functions for the cells of report 50, beside those of `notebook_cells`: the plans of a model."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from blockresearch.files import read_json
from blockresearch.language.sentence import declared, say
from blockresearch.report.decisions import sentences
from blockresearch.report.notebook_cells import Html, lead, table, table_or_line
from blockresearch.report.wording import fixed, integer, number, percent, size
from blockresearch.report.words import escape, words
from blockresearch.text import short

NAMES = ("quantization", "training", "sparsity", "suspects")


@dataclass(frozen=True)
class Plans:
    """The plans of the model whose results are in `folder`, each read on first use."""

    folder: Path

    @cached_property
    def quantization(self) -> dict[str, Any]:
        return self._read("quantization")

    @cached_property
    def training(self) -> dict[str, Any]:
        return self._read("training")

    @cached_property
    def sparsity(self) -> dict[str, Any]:
        return self._read("sparsity")

    @cached_property
    def suspects(self) -> dict[str, Any]:
        return self._read("suspects")

    @cached_property
    def merge(self) -> dict[str, Any]:
        """Empty without fine-tunes that are compared with the model."""
        return self._read_on_request("merge")

    @cached_property
    def experts(self) -> dict[str, Any]:
        """Empty unless it was requested."""
        return self._read_on_request("experts")

    def _read_on_request(self, name: str) -> dict[str, Any]:
        path = self.folder / "plans" / f"{name}_plan.json"
        return self._read(name) if path.is_file() else {}

    def _read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / "plans" / f"{name}_plan.json")
        return found


def open_plans(model_dir: str) -> Plans:
    """The plans in the folder `model_dir`."""
    return Plans(Path(model_dir))


def top(plans: Plans) -> Html:
    """The first paragraph: what plans do not say, then what one may do and its predicted cost."""
    about = [
        sentences.of_quantization(plans.quantization),
        sentences.of_training(plans.training),
        sentences.of_sparsity(plans.sparsity),
        sentences.of_suspects(plans.suspects),
    ]
    return lead(sentences.CAVEAT, about)


def formats(plans: Plans) -> Html | None:
    """What the plan stores in which format."""
    found = pd.DataFrame(plans.quantization.get("matrices", []))
    rows = []
    for name, group in found.groupby("format") if len(found) else ():
        kinds = Counter(each.rpartition(".")[2] for each in group["name"])
        rows.append(
            {
                "format": name,
                "matrices": len(group),
                "bytes": int(group["bytes"].sum()),
                "lowest": group["sqnr_db"].astype(float).min(),
                "what": ", ".join(f"{short(kind)} ({n})" for kind, n in kinds.most_common()),
            }
        )
    return table_or_line(
        pd.DataFrame(rows),
        {
            "format": (say("format"), None),
            "matrices": (say("matrices"), integer),
            "bytes": (say("bytes"), size),
            "lowest": (say("lowest SQNR, dB"), fixed),
            "what": (say("kinds of matrices"), None),
        },
        say("Formats of the plan"),
        say("There is no matrix to quantize."),
    )


def choices(plans: Plans) -> Html | None:
    """One format for all matrices, and the plan, with bits, bytes and error."""
    record = plans.quantization
    if "predicted" not in record:
        return None
    rows = [*record["uniform"], {"format": say("the plan"), **record["predicted"]}]
    return table(
        # As a column of text the last one would lose its message.
        pd.DataFrame(sorted(rows, key=lambda row: row["bits"]), dtype=object),
        {
            "format": (say("format"), None),
            "bits": (say("bits per weight"), fixed),
            "bytes": (say("all tensors"), size),
            "error": (say("summed error"), number),
        },
        say("One format for all, and the plan"),
    )


def trained(plans: Plans) -> Html | None:
    """The layers that are trained, by kind of matrix."""
    trained = plans.training.get("trained", {})
    stacks = {_layer(name)[0] for names in trained.values() for name in names} - {""}
    shown = slice(None) if len(stacks) > 1 else slice(1, None)
    rows = [
        {
            "kind": short(kind),
            "count": len(names),
            "names": ", ".join(" ".join(filter(None, _layer(name)[shown])) for name in names),
        }
        for kind, names in trained.items()
    ]
    return table_or_line(
        pd.DataFrame(rows),
        {
            "kind": (say("kind of matrix"), None),
            "count": (say("matrices"), integer),
            "names": (say("layers, best first"), None),
        },
        say("Matrices to train"),
        say("No matrix has a score."),
    )


def _layer(name: str) -> tuple[str, str]:
    """The stack of layers, such as decoder, and the first number in a name, or the name."""
    words = name.split(".")
    place = next((place for place, word in enumerate(words) if word.isdigit()), None)
    if place is None:
        return "", short(name)
    return short(words[max(place - 2, 0)]), words[place]


def agreement(plans: Plans) -> Html | None:
    """Kendall's τ between criteria."""
    rows = pd.DataFrame(plans.training.get("agreement", []))
    return table_or_line(
        rows.dropna(subset=["kendall_tau"]) if len(rows) else rows,
        {
            "one": (say("criterion"), None),
            "other": (say("and"), None),
            "kendall_tau": (say("Kendall's τ over the layers"), fixed),
        },
        say("How much the criteria agree"),
        say("There are too few layers to compare criteria."),
    )


def pruned(plans: Plans) -> Html | None:
    """The ratio of each layer."""
    return table_or_line(
        pd.DataFrame(plans.sparsity.get("layers", [])),
        {
            "layer": (say("layer"), integer),
            "alpha": (say("mean exponent"), fixed),
            "sparsity": (say("share to prune"), percent),
        },
        say("Shares to prune by layer"),
        say("There are no ratios: a layer has no exponent, or there are several stacks of layers."),
    )


def suspicious(plans: Plans) -> Html | None:
    """What stands out, with the reason."""
    rows = pd.DataFrame(plans.suspects["suspects"])
    if len(rows):
        reasons = [declared(short(reason)) for reason in rows["reason"]]
        # As a column of text they would lose their messages.
        rows = rows.assign(
            tensor=rows["tensor"].map(short),
            reason=pd.Series(reasons, rows.index, dtype=object),
        )
    return table_or_line(
        rows,
        {
            "tensor": (say("tensor"), None),
            "reason": (say("why it stands out"), None),
            "value": (say("value"), number),
            "reference": (say("reference"), number),
        },
        say("Suspects"),
        say("Nothing stands out."),
    )


def files(plans: Plans) -> Html:
    """Links to the files of tools."""
    paths = [f"{name}/{file}" for name in NAMES for file in getattr(plans, name)["files"]]
    items = "".join(f'<li><a href="../plans/{escape(p)}">{escape(p)}</a></li>' for p in paths)
    first = say("These lie in the folder plans of the model; docs/plans.md says what reads them.")
    return Html(f"<p>{words(first)}</p><ul>{items}</ul>", "\n".join([first, *paths]))
