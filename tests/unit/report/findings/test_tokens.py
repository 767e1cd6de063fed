"""What is said about clusters follows silhouette and agreement."""

import pytest

from blockresearch.report.findings.record import Place
from blockresearch.report.findings.tokens import clusters, directions, odd_rows
from blockresearch.tables.io import frame


@pytest.mark.parametrize(
    ("silhouette", "stability", "words"),
    [
        (0.62, 0.95, "are separate groups"),
        (0.30, 0.95, "are stable groups that overlap"),
        (0.62, 0.50, "are not separate groups but slices of one cloud"),
        (0.016, 0.76, "are not separate groups but slices of one cloud"),
    ],
)
def test_silhouette_and_agreement_decide(silhouette, stability, words):
    row = {"k": 8, "chosen": True, "stability": stability, "sample_share": 0.12, "null_share": 0.09}
    summary = {"silhouette": silhouette, "beyond_null": True, "metric": "euclidean"}
    (found,) = clusters(summary, frame([row], "elbow"), Place("e"))
    assert words in found.text and "12.0 % of the variance; 9.00 %" not in found.text
    assert not list(clusters(summary, frame([row | {"null_share": None}], "elbow"), Place("e")))


def test_rows_without_a_name_are_no_padding():
    (found,) = odd_rows({"rows": 51_864, "unnamed_rows": 1501, "zero_rows": 0}, Place("e"))
    assert "51,864 rows of the token embedding, 1,501 have no name in tokenizer.json" in found.text
    assert "tokenizer" in found.action
    assert not list(odd_rows({"rows": 8, "unnamed_rows": 0}, Place("e")))
    (equal,) = odd_rows({"rows": 8, "duplicate_rows": 2}, Place("e"))
    assert "vocabulary sizes" not in equal.action


@pytest.mark.parametrize(("cosine", "is_common"), [(0.44, True), (0.018, False)])
def test_only_a_common_direction_is_to_be_removed(cosine, is_common):
    summary = {"isotropy": {"mean_cosine": cosine}, "mean_norm": 1.0, "std_norm": 0.1}
    (found,) = directions(summary, Place("e"))
    assert ("Subtract the mean row" in found.action) is is_common
