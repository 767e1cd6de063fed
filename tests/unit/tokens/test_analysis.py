import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from blockresearch.report.findings.record import Place
from blockresearch.report.findings.tokens import clusters
from blockresearch.tables.io import columns, typed, write_table
from blockresearch.tokens.analysis import analyze_embedding, find_probes, nothing, with_output
from blockresearch.tokens.geometry import first_equal, geometry, paired_cosines
from blockresearch.tokens.metric import METRICS
from blockresearch.tokens.tokenizer import Token, read_tokens
from blockresearch.tokens.vectors import survey
from blockresearch.tokens.workers import Workers
from tests.unit.tokens.samples import token, untrained_sample


def sample(n: int = 600, d: int = 20) -> tuple[np.ndarray, list[Token]]:
    """Three clusters; the rows of each are named a…, b…, c…; then special, padding, odd rows."""
    rng = np.random.default_rng(3)
    truth = np.arange(n) % 3
    rows = (8 * np.eye(3, d)[truth] + rng.standard_normal((n, d))).astype(np.float32)
    tokens = [Token(f"{'abc'[c]}{i}", "normal") for i, c in enumerate(truth)]
    rows[0:2] = 0
    tokens[0], tokens[1] = Token("<s>", "special"), Token("", "unnamed")
    return rows, tokens


@pytest.fixture(scope="module")
def analysis():
    return analyze_embedding(*sample(), k_min=2, k_max=10)


def test_tables_follow_their_schemas(analysis):
    for name in ("clusters", "clusters_summary", "elbow", "projection"):
        table = getattr(analysis, name)
        assert len(table)
        assert table.dtypes.equals(typed(table, name).dtypes)
    json.dumps(analysis.summary, allow_nan=False)


def test_clusters_are_those_of_the_elbow(analysis):
    assert analysis.summary["k"] == 3 and analysis.summary["clear_elbow"] is True
    assert analysis.elbow.loc[analysis.elbow["chosen"], "k"].tolist() == [3]
    named = analysis.clusters[analysis.clusters["kind"] == "normal"]
    assert (named.groupby(named["token"].str[0])["cluster"].nunique() == 1).all()
    assert "k = 3 is the elbow" in analysis.summary["k_rule"]


def test_summary_adds_up(analysis):
    table, clusters = analysis.clusters_summary, analysis.clusters
    assert table["size"].sum() == len(clusters) and table["share"].sum() == pytest.approx(1)
    assert table["inertia_share"].sum() == pytest.approx(1)
    for cluster in range(3):
        members = clusters[clusters["cluster"] == cluster].sort_values("distance")
        names = members["token"].replace("", "⟨1⟩").tolist()
        assert table["central_tokens"][cluster].split("  ") == names[:12]
        assert set(table["odd_tokens"][cluster].split("  ")) == set(names[-12:])


def test_geometry(analysis):
    rows, _ = sample()
    wide = rows.astype(float)
    norms = np.linalg.norm(wide, axis=1)
    summary = analysis.summary
    assert summary["mean_norm"] == pytest.approx(norms.mean())
    assert summary["std_norm"] == pytest.approx(norms.std())
    assert (summary["zero_rows"], summary["duplicate_rows"], summary["unnamed_rows"]) == (2, 1, 1)
    centered = wide - wide.mean(axis=0)
    variances = np.linalg.svd(centered, compute_uv=False) ** 2
    assert summary["pca_explained"] == pytest.approx((variances / variances.sum())[:2].tolist())
    places = analysis.projection[["x", "y"]].to_numpy(float)
    np.testing.assert_allclose((places**2).sum(axis=0), variances[:2], rtol=1e-5)
    inertia = (analysis.clusters["distance"].to_numpy(float) ** 2).sum()
    assert summary["explained_share"] == pytest.approx(1 - inertia / variances.sum())


def test_mean_cosine_is_that_of_all_pairs():
    rows = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32) + 1
    seen = geometry(rows)
    for shift, found in ((0, seen.mean_cosine), (seen.mean, seen.mean_cosine_centered)):
        shifted = rows.astype(float) - shift
        unit = shifted / np.linalg.norm(shifted, axis=1, keepdims=True)
        cosines = (unit @ unit.T)[~np.eye(40, dtype=bool)]
        assert found == pytest.approx(cosines.mean())
    longer = geometry(np.vstack([rows, np.zeros((3, 5), np.float32)]))
    assert longer.mean_cosine == pytest.approx(seen.mean_cosine, abs=1e-12)
    assert geometry(rows[:1]).mean_cosine is None


def test_equal_rows_are_found():
    rows = np.float32([[0.0, 1], [-0.0, 1], [2, 3], [0, 1], [3, 2]])
    assert first_equal(rows, survey(rows).hashes).tolist() == [0, 0, 2, 0, 4]
    # Also if different rows have one hash.
    assert first_equal(rows[[2, 0, 4, 0, 2]], np.zeros(5, np.uint64)).tolist() == [0, 1, 2, 1, 0]


@pytest.mark.parametrize("n_clusters", [4, 14])
def test_a_set_number_of_clusters_rules(n_clusters):
    analysis = analyze_embedding(*sample(), k_min=2, k_max=8, n_clusters=n_clusters)
    assert analysis.clusters["cluster"].nunique() == n_clusters
    assert analysis.elbow.loc[analysis.elbow["chosen"], "k"].tolist() == [n_clusters]
    assert analysis.elbow["k"].is_monotonic_increasing
    assert analysis.summary["k_rule"] == f"k = {n_clusters} was set by n_clusters."


def test_no_clear_elbow_is_said():
    rows = np.random.default_rng(0).standard_normal((900, 12)).astype(np.float32)
    analysis = analyze_embedding(rows, read_tokens(None, 900), k_max=12)
    assert analysis.summary["clear_elbow"] is False
    assert "no clear elbow" in analysis.summary["k_rule"]
    assert analysis.clusters_summary["central_tokens"].str.fullmatch(r"(⟨\d+⟩( {2})?){12}").all()


def test_same_seed_same_bytes(tmp_path):
    written = []
    for attempt in range(2):
        analysis = analyze_embedding(*sample(), k_max=6, random_state=5)
        path = tmp_path / f"{attempt}.csv"
        write_table(analysis.clusters, "clusters", path)
        written.append((path.read_bytes(), analysis.summary))
    assert written[0] == written[1]


def test_broken_rows_stay_in_the_tables(tmp_path):
    rows, tokens = sample(60)
    rows[7, 2], rows[9, 0] = np.nan, np.inf
    analysis = analyze_embedding(rows, tokens, k_max=5)
    clusters = analysis.clusters
    assert clusters.loc[[7, 9], ["cluster", "distance"]].isna().all(axis=None)
    assert clusters["cluster"].isna().sum() == analysis.summary["left_out_rows"] == 2
    assert analysis.projection.loc[[7, 9], ["x", "y"]].isna().all(axis=None)
    write_table(clusters, "clusters", tmp_path / "clusters.json")
    json.dumps(analysis.summary, allow_nan=False)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 1), (3, 2), (4, 3)])
@pytest.mark.parametrize("fill", [np.zeros, np.ones, np.random.default_rng(0).random])
def test_tiny_and_constant_tables(shape, fill):
    analysis = analyze_embedding(fill(shape).astype(np.float32), read_tokens(None, shape[0]))
    assert analysis.clusters["cluster"].notna().all()
    assert analysis.elbow["chosen"].sum() == 1
    json.dumps(analysis.summary, allow_nan=False)


@pytest.mark.parametrize("rows", [np.empty((0, 4)), np.empty((4, 0)), np.full((3, 2), np.nan)])
def test_no_usable_row_is_nothing(rows):
    analysis = analyze_embedding(rows.astype(np.float32), read_tokens(None, len(rows)))
    assert set(analysis.summary) == {"reason"} and len(analysis.clusters) == 0


def test_nothing_has_the_columns():
    empty = nothing("no token embedding")
    assert list(empty.clusters) == columns("clusters")
    assert empty.summary == {"reason": "no token embedding"}


def test_tokens_must_match():
    with pytest.raises(ValueError, match="2 tokens for an embedding of 3 rows"):
        analyze_embedding(np.ones((3, 2), np.float32), read_tokens(None, 2))


def test_structureless_rows_are_told_from_clusters():
    rows = np.random.default_rng(0).standard_normal((2000, 30)).astype(np.float32)
    cloud = analyze_embedding(rows, read_tokens(None, 2000), k_max=8)
    assert cloud.summary["beyond_null"] is False
    (alone,) = clusters(cloud.summary, cloud.elbow, Place("e"))
    assert "slices of one cloud: mean silhouette" in alone.text
    found = analyze_embedding(*sample(), k_max=8)
    assert found.summary["beyond_null"] is True
    (apart,) = clusters(found.summary, found.elbow, Place("e"))
    assert "are stable groups that overlap" in apart.text


def test_the_spherical_metric_ignores_lengths():
    rows, tokens = sample()
    rows[2:] *= np.random.default_rng(0).uniform(1, 9, (len(rows) - 2, 1)).astype(np.float32)
    norms = np.linalg.norm(rows, axis=1)
    analysis = analyze_embedding(rows, tokens, k_max=8, metric="spherical")
    assert analysis.summary["k"] == 3
    named = analysis.clusters[analysis.clusters["kind"] == "normal"]
    assert (named.groupby(named["token"].str[0])["cluster"].nunique() == 1).all()
    np.testing.assert_allclose(analysis.clusters["norm"].to_numpy(float), norms, rtol=1e-6)


def test_tsne_is_drawn_beside_the_plane():
    rows, tokens = sample(120)
    rows[4, 0] = np.nan
    one, two = (analyze_embedding(rows, tokens, k_max=4, projection="tsne") for _ in range(2))
    assert one.projection.equals(two.projection)
    assert one.projection["tsne_x"].notna().sum() == one.projection["x"].notna().sum() == 119
    with pytest.raises(ValueError, match="umap"):
        analyze_embedding(rows, tokens, projection="umap")


def test_typical_tokens_have_the_largest_margin(analysis):
    for row in analysis.clusters_summary.to_dict("records"):
        own = analysis.clusters[analysis.clusters["cluster"] == row["cluster"]]
        best = own.sort_values("margin", ascending=False, kind="stable")["token"].head(12)
        assert row["typical_tokens"].split("  ") == best.tolist()


@pytest.mark.parametrize("metric", METRICS)
def test_planted_clusters_are_recovered_in_every_space(metric):
    rows, tokens = sample()
    truth = np.arange(len(rows)) % 3
    analysis = analyze_embedding(rows, tokens, k_max=8, metric=metric, n_clusters=3)
    found = analysis.clusters["cluster"].to_numpy(int)
    # The first two rows are zeros, in no cluster of the three.
    assert adjusted_rand_score(truth[2:], found[2:]) >= 0.99


def test_a_gpu_gives_the_tables_of_the_cpu():
    # Torch's own CPU device goes the way of a GPU.
    one, two = (
        analyze_embedding(*sample(), k_max=6, probe_tokens=["a3"], workers=Workers(2, device))
        for device in ("cpu", "cpu:0")
    )
    assert one.summary["k"] == two.summary["k"] == 3
    assert one.clusters["cluster"].equals(two.clusters["cluster"])
    assert one.tokens["neighbours"].tolist() == two.tokens["neighbours"].tolist()
    for name in ("explained_share", "silhouette"):
        assert two.elbow[name].to_numpy(float) == pytest.approx(
            one.elbow[name].to_numpy(float), rel=0.01
        )


def test_the_map_is_the_plane_of_the_cluster_centers():
    rows = np.random.default_rng(0).standard_normal((800, 12)).astype(np.float32) * range(1, 13)
    analysis = analyze_embedding(rows, read_tokens(None, 800), metric="euclidean", n_clusters=5)
    wide = rows - rows.mean(axis=0, dtype=float)
    labels = analysis.clusters["cluster"].to_numpy(int)
    means = np.array([wide[labels == cluster].mean(axis=0) for cluster in range(5)])
    between = (means * np.bincount(labels)[:, None]).T @ means
    places = wide @ np.linalg.eigh(between)[1][:, [-1, -2]]
    found = analysis.projection[["plane_x", "plane_y"]].to_numpy(float)
    signs = np.sign((found * places).sum(axis=0))
    np.testing.assert_allclose(found, signs * places, atol=0.01)
    shares = (places**2).sum(axis=0) / (wide**2).sum()
    assert analysis.summary["plane_explained"] == pytest.approx(shares.tolist(), rel=1e-3)
    two = analyze_embedding(rows, read_tokens(None, 800), k_max=4, n_clusters=2)
    assert two.projection["plane_x"].isna().all() and two.summary["plane_explained"] == [None, None]


def test_an_output_layer_of_its_own():
    rows, _ = untrained_sample(n=400)
    tokens = [token(f" w{i}") for i in range(400)]
    head = np.vstack([2 * rows, rows[:3]]).astype(np.float32)
    head[0] = 0
    analysis = analyze_embedding(rows.copy(), tokens, k_max=4, probe_tokens=["w7", 399, "none"])
    cosines = paired_cosines(rows, head)
    assert np.isnan(cosines[0]) and cosines[1:] == pytest.approx(np.ones(399))
    both = with_output(analysis, head, [*tokens, *tokens[:3]], cosines)
    assert len(both.output_tokens) == 403 and both.summary["output"]["zero_rows"] == 1
    assert both.tokens["output_cosine"].isna().sum() == 1
    assert [probe["token_id"] for probe in both.summary["probes"]] == [7, 399]
    assert isinstance(both.output_tokens["neighbours"][399], list)
    json.dumps(both.summary, allow_nan=False)
    broken = with_output(analysis, np.full((400, 48), np.nan, np.float32), tokens, cosines)
    assert broken.summary["output"] is None and "finite" in broken.summary["output_reason"]
    assert np.isnan(paired_cosines(rows, np.ones((400, 3), np.float32))).all()


def test_an_output_layer_ranks_untrained_tokens_first():
    rows, known = untrained_sample(n=600)
    head, _ = untrained_sample(tied_like=False, n=600)
    head[:-60] += np.random.default_rng(7).standard_normal(48)  # trained rows move together
    tokens = [token(f"<unused{i}>") if k else token(f" w{i}") for i, k in enumerate(known)]
    cosines = paired_cosines(rows, head)
    analysis = with_output(analyze_embedding(rows, tokens, k_max=3), head, tokens, cosines)
    planted = set(range(541, 600, 2))
    for table in (analysis.tokens, analysis.output_tokens):
        first = table.dropna(subset=["undertrained_rank"]).nsmallest(30, "undertrained_rank")
        assert set(first["token_id"]) == planted
    expected = (rows * head).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(head, axis=1)
    for table in (analysis.tokens, analysis.output_tokens):
        assert table["output_cosine"].to_numpy(float) == pytest.approx(expected, abs=1e-6)


def test_rows_without_a_name_are_not_ranked(tmp_path):
    rows, known = untrained_sample(n=400)
    order = np.argsort(known, kind="stable")  # the known ones last, as padding rows are
    rows = rows[order]
    vocabulary = {f"▁w{i}": i for i in range(len(rows) - known.sum())}
    path = tmp_path / "tokenizer.json"
    path.write_text(
        json.dumps({"model": {"type": "BPE", "byte_fallback": True, "vocab": vocabulary}})
    )
    analysis = analyze_embedding(rows, read_tokens(path, len(rows)), k_max=4)
    assert analysis.summary["unnamed_rows"] == 30
    assert "rows without a name in the tokenizer" in analysis.summary["undertrained"]["method"]
    padding = analysis.tokens[analysis.tokens["kind"] == "unnamed"]
    assert len(padding) == 30 and padding["reference"].all()
    assert padding["undertrained_rank"].isna().all() and padding["category"].eq("unused").all()
    first = analysis.tokens.nsmallest(30, "undertrained_rank")["token_id"]
    assert set(first) == set(range(340, 370))
    assert analysis.clusters["cluster"].notna().all()


def test_probes_are_looked_for_with_a_space_first():
    tokens = [token("a"), token(" a"), token(" b"), Token("", "unnamed")]
    found, unknown = find_probes(tokens, ["a", "B", "c", 3, -1, 9])
    assert found == [
        {"token_id": 1, "token": "␣a"},
        {"token_id": 2, "token": "␣b"},
        {"token_id": 3, "token": ""},
    ]
    assert unknown == ["c", -1, 9]
