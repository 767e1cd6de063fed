"""The license that a model card states."""

import pytest

from blockresearch.checkpoint import model_card


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
        ("---\r\nlicense:\r\n- mit\r\n- 7\r\n- bsd\r\n---\r\n", "mit, bsd"),
        ("---\nlicense: other\nlicense_name: llama2\ntags: {{broken\n---\n", "llama2"),
        ("---\nlicense: {a: [*b]}\n---\n", None),
        ("---\nlicense: 4\n---\n", None),
        ("# license: mit\n", None),
        ("---\nlicense: " + "x" * 9999 + "\n---\n", "x" * 100),
    ],
)
def test_the_license_of_a_model_card(card, license):
    assert model_card.stated_license(card.encode()) == license
