"""Published super weights are found by the name of a model's results."""

from blockresearch.tables.published import SUPER_WEIGHTS, published_of


def test_a_model_is_known_by_its_name():
    for folder in ("mistralai--Mistral-7B-v0.1", "local--mistral-7b-v0.1@step1"):
        name, found = published_of(folder)
        assert name == "Mistral-7B-v0.1" and found.places == ((1, 2070, 7310),)
    assert published_of("mistralai--Mistral-7B-v0.3") is None
    assert published_of("local--demo") is None


def test_coordinates_lie_inside_their_matrices():
    for found in SUPER_WEIGHTS.values():
        for layer, row, col in found.places:
            assert 0 <= layer < found.layers / 4 and row < found.rows and col < found.cols
