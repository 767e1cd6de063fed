"""The end of a page."""

from blockresearch.report.citation import bibtex, ending, sources

FACTS = {
    "model": "org--my_model",
    "model_id": "org/my_model",
    "commit": "c" * 40,
    "commit_date": "2025-03-04T05:06:07Z",
    "tool": "AI Block Research 1.0",
    "tool_commit": "d" * 40 + "-dirty",
    "settings_hash": "0123456789ab",
}


def test_a_page_ends_with_checkpoint_program_settings():
    assert sources(FACTS) == (
        "Checkpoint: org/my_model at commit cccccccccc of 2025-03-04. Measured with "
        "AI Block Research 1.0 (commit dddddddddd, changed). Settings 0123456789ab."
    )
    folder = {"model": "local--x", "tool": "AI Block Research 1.0"}
    assert sources(folder) == "Checkpoint: local--x. Measured with AI Block Research 1.0."


def test_a_page_of_no_model_cites_the_program():
    program = {name: text for name, text in FACTS.items() if name.startswith("tool")}
    assert sources(program) == "Made with AI Block Research 1.0 (commit dddddddddd, changed)."
    assert sources({"tool": "AI Block Research 1.0"}) == "Made with AI Block Research 1.0."
    text = bibtex(program)
    assert text.startswith("@misc{AI-Block-Research,\n  title = {{AI Block Research 1.0}},")
    assert "howpublished" not in text and f"note = {{program commit {'d' * 40}-dirty}}" in text
    assert "<pre>@misc" in ending(program)


def test_tables_without_facts_end_without_sources():
    assert ending({}) == ""


def test_bibtex_is_balanced_and_escaped():
    text = bibtex(FACTS | {"model_id": "org/my_model{%}\\x"})
    assert text.startswith("@misc{org--my-model,\n") and "org/my\\_model\\%x" in text
    assert text.count("{") == text.count("}") and "year = {2025}" in text
    pair = bibtex(FACTS | {"base_model": "org--base", "base_commit": "b" * 40})
    assert "compared with org--base" in pair and "base commit bbbb" in pair
    assert "<b>" not in ending(FACTS | {"model_id": "<b>"})
