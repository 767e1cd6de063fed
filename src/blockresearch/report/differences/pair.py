"""The results of a comparison of two checkpoints, and the sentences at the top of its page."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from blockresearch.files import read_json
from blockresearch.language.sentence import Sentence, from_json, say
from blockresearch.report.wording import percent
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

# Status of a tensor that has no partner.
ALONE = ("only_base", "only_other")


@dataclass(frozen=True)
class PairResults:
    """The folder of a comparison, and its tables, each read on first use."""

    folder: Path

    @cached_property
    def pairs(self) -> pd.DataFrame:
        return read_table(self.folder / "pairs.parquet", "pairs")

    @cached_property
    def differences(self) -> pd.DataFrame:
        return read_table(self.folder / "differences.parquet", "differences")

    @cached_property
    def subspaces(self) -> pd.DataFrame:
        return read_table(self.folder / "subspaces.parquet", "subspaces")

    @cached_property
    def heads(self) -> pd.DataFrame:
        return read_table(self.folder / "heads.parquet", "heads")

    @cached_property
    def profiles(self) -> pd.DataFrame:
        return read_table(self.folder / "profiles.parquet", "profiles")

    @cached_property
    def vocabulary(self) -> pd.DataFrame:
        return read_table(self.folder / "vocabulary.parquet", "vocabulary")

    @cached_property
    def verdicts(self) -> list[Mapping[str, Any]]:
        """The sentences on what kind of change it is, the headline first."""
        records = read_json(self.folder / "autopsy.json")["verdicts"]
        return [{**record, "text": from_json(record["message"])} for record in records]

    @cached_property
    def adapter(self) -> dict[str, Any] | None:
        """The adapter plan, if there is one."""
        path = self.folder / "plans" / "adapter_plan.json"
        return read_json(path) if path.is_file() else None

    @cached_property
    def repair(self) -> dict[str, Any]:
        """The repair plan, empty if there is none."""
        path = self.folder / "plans" / "repair_plan.json"
        return read_json(path) if path.is_file() else {}

    @cached_property
    def facts(self) -> dict[str, str]:
        """Where the numbers come from: the metadata of the tables."""
        return read_facts(self.folder / "pairs.parquet")

    @property
    def names(self) -> tuple[str, str]:
        """Folders of the results of the other side and of the base."""
        return self.facts["model"], self.facts["base_model"]

    def headline(self) -> Sentence:
        """What kind of change it is, and the shares of the parameters that were compared."""
        return say(
            "{verdict} {compared}",
            verdict=self.verdicts[0]["text"],
            compared=compared_sentence(*compared_shares(self.pairs)),
        )


def compared_shares(pairs: pd.DataFrame) -> tuple[float, float]:
    """Shares of the elements of the base and of the other side that have a partner, 0 to 1.

    Of a token table with another number of rows, those of shared tokens were compared. A side
    without elements has the share 0.
    """
    is_compared = ~pairs["status"].isin(ALONE)
    shares = []
    for side in ("", "other_"):
        sizes = (pairs[f"{side}rows"] * pairs[f"{side}cols"]).fillna(0).astype(float)
        compared = sizes[is_compared].clip(upper=_shared(pairs[is_compared])).sum()
        shares.append(float(compared / sizes.sum()) if sizes.sum() else 0.0)
    return shares[0], shares[1]


def _shared(pairs: pd.DataFrame) -> pd.Series:
    """Elements that the two sides of each pair can share: those of the smaller one if resized."""
    sizes = [(pairs[f"{side}rows"] * pairs[f"{side}cols"]).astype(float) for side in ("", "other_")]
    compared = pairs["elements"].astype(float)
    whole = pd.concat(sizes, axis=1).max(axis=1)
    return whole.where(pairs["status"] != "resized", compared)


def compared_sentence(base: float, other: float) -> Sentence:
    """How much of both sides was compared."""
    if base == other == 1:
        return say("All parameters of both sides were compared.")
    return say(
        "{base} of the parameters of the base and {other} of the parameters of the other side "
        "were compared; the rest has no partner and is in no number on this page.",
        base=percent(base),
        other=percent(other),
    )
