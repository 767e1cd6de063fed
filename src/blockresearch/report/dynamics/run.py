"""The results of a training run, and the sentences at the top of its page."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from blockresearch.language.sentence import Sentence, say
from blockresearch.report.differences.heat import labels, relative
from blockresearch.report.wording import integer, number, percent
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

# A change is called larger than another one if it is so many times as large.
NOTABLE = 1.2


@dataclass(frozen=True)
class TrainingResults:
    """The folder of a training run, and its table, read on first use."""

    folder: Path

    @cached_property
    def table(self) -> pd.DataFrame:
        """The table dynamics, with the kind of each matrix as `label`."""
        table = read_table(self.folder / "dynamics.parquet", "dynamics")
        return table.assign(label=labels(table))

    @cached_property
    def facts(self) -> dict[str, str]:
        """Where the numbers come from: the metadata of the table."""
        return read_facts(self.folder / "dynamics.parquet")

    @cached_property
    def matrices(self) -> pd.DataFrame:
        """The rows of matrices, whose singular values were computed."""
        return self.table[self.table["spectral_norm"].notna()]

    @cached_property
    def heads(self) -> pd.DataFrame:
        """The table dynamics_heads."""
        return read_table(self.folder / "dynamics_heads.parquet", "dynamics_heads")

    @cached_property
    def last_heads(self) -> pd.DataFrame:
        """The attention heads at the last step."""
        return self.heads[self.heads["position"] == self.heads["position"].max()]

    @cached_property
    def knees(self) -> pd.DataFrame:
        """The table knees."""
        return read_table(self.folder / "knees.parquet", "knees")

    @cached_property
    def steps(self) -> list[str]:
        """The names of the steps in their order."""
        return list(dict.fromkeys(self.table["step"]))

    @cached_property
    def medians(self) -> pd.DataFrame:
        """Medians over the matrices of each step, by the place of the step."""
        names = ["stable_rank", "alpha", "delta_storage_rank", "change_from_first"]
        names += ["change_from_previous"]
        return self.matrices.groupby("position")[names].median().astype(float)

    def headline(self) -> Sentence:
        """How far the run has moved."""
        change = self.medians["change_from_first"].iloc[-1]
        return say(
            "{count} steps, from {first} to {last}: half of the matrices moved by more than "
            "{change} of their norm from the first to the last.",
            count=len(self.steps),
            first=self.steps[0],
            last=self.steps[-1],
            change=relative(change),
        )

    def sentences(self) -> list[Sentence]:
        """What else the table says, each sentence with its numbers."""
        found = [self._most_moved(), self._largest_step(), self._most_moved_head()]
        found += [*self._states(), self._knees(), self._not_read()]
        return [sentence for sentence in found if sentence is not None]

    def _most_moved(self) -> Sentence | None:
        last = self.matrices[self.matrices["position"] == self.matrices["position"].max()]
        by_label = last.groupby("label")["change_from_first"].median().dropna().sort_values()
        if len(by_label) < 2 or by_label.iloc[-1] < NOTABLE * by_label.iloc[0]:
            return None
        return say(
            "From the first step, {most} moved most ({high} in the median of its layers), {least} "
            "least ({low}).",
            most=by_label.index[-1],
            high=relative(float(by_label.iloc[-1])),
            least=by_label.index[0],
            low=relative(float(by_label.iloc[0])),
        )

    def _largest_step(self) -> Sentence | None:
        sizes = self.medians["change_from_previous"].dropna()
        if len(sizes) < 2:
            return None
        large, small = int(sizes.idxmax()), int(sizes.idxmin())  # type: ignore[arg-type]
        if sizes[large] < NOTABLE * sizes[small]:
            return None
        return say(
            "The largest step is that to {large} (median change {high}), the smallest that to "
            "{small} ({low}). Steps may be of different length.",
            large=self.steps[large],
            high=relative(float(sizes[large])),
            small=self.steps[small],
            low=relative(float(sizes[small])),
        )

    def _most_moved_head(self) -> Sentence | None:
        changes = self.last_heads[[f"{letter}_change_from_first" for letter in "qkvo"]]
        changes = changes.astype(float).mean(axis=1).dropna()
        if changes.empty or changes.max() < NOTABLE * changes.median():
            return None
        head = self.last_heads.loc[changes.idxmax()]
        return say(
            "The attention head that moved most is head {head} of layer {layer}: {high} in the "
            "mean of its q, k, v and o, {low} in the median head.",
            head=integer(head["head"]),
            layer=integer(head["layer_index"]),
            high=relative(float(changes.max())),
            low=relative(float(changes.median())),
        )

    def _knees(self) -> Sentence | None:
        curves = self.knees[self.knees["metric"] == "change_from_first"]
        steps = curves["step"].value_counts()
        if steps.empty:
            return None
        return say(
            "Of {total} curves of the change from the first step, {count} have a knee, most often "
            "at {step}.",
            total=integer(len(curves)),
            count=integer(steps.sum()),
            step=steps.index[0],
        )

    def _states(self) -> list[Sentence]:
        first, last = self.medians.iloc[0], self.medians.iloc[-1]
        found = []
        if pd.notna(first["stable_rank"]):
            found.append(
                say(
                    "The median stable rank went from {first} to {last}, {judgment}.",
                    first=number(first["stable_rank"]),
                    last=number(last["stable_rank"]),
                    judgment=_direction(first["stable_rank"], last["stable_rank"]),
                )
            )
        ranks = self.medians["delta_storage_rank"].dropna()
        if len(ranks):
            found.append(
                say(
                    "The change of the last step has a median rank of {rank}: rounding to the "
                    "stored types cannot explain so many of its singular values.",
                    rank=integer(round(float(ranks.iloc[-1]))),
                )
            )
        return found

    def _not_read(self) -> Sentence | None:
        later = self.table[self.table["position"] > 0]
        sizes = (later["rows"] * later["cols"]).astype(float)
        share = float(sizes[~later["is_read"].astype(bool)].sum() / sizes.sum())
        if not share:
            return None
        return say(
            "{share} of the weights after the first step lie in shards that have not changed since "
            "the step before; they were not read again.",
            share=percent(share),
        )


def _direction(first: float, last: float) -> Sentence:
    """Whether a number that uses of directions follow grew: by a twentieth or more."""
    if last > 1.05 * first:
        return say("so energy spread over more directions")
    if last < 0.95 * first:
        return say("so energy moved to fewer directions")
    return say("hardly a change")
