"""The end of a page: where its numbers come from, and how to cite it.

Facts are the metadata of the tables, so the end of a page changes only if its tables do.
"""

from collections.abc import Mapping

from markupsafe import Markup

from blockresearch.language.sentence import Sentence, joined, say
from blockresearch.report.words import escape, words

AUTHORS = "The AI Block Research authors"

# Digits of a commit for people.
SHORT = 10


def ending(facts: Mapping[str, str]) -> Markup:
    """Paragraphs for the footer of a page whose tables state `facts`; empty without any.

    Facts of the program alone are those of a page that is about no single model.
    """
    if "tool" not in facts:
        return Markup("")
    return Markup(
        f"<p>{words(sources(facts))}</p>\n"
        f'<details class="cite"><summary>{words(say("Cite this page"))}</summary>\n'
        f"<pre>{escape_lines(bibtex(facts))}</pre></details>"
    )


def sources(facts: Mapping[str, str]) -> Sentence:
    """Checkpoint, program and settings in a few short sentences."""
    program = facts.get("tool_commit", "")
    is_changed = program.endswith("-dirty")
    program = program.removesuffix("-dirty")[:SHORT] + (", changed" if is_changed else "")
    if "model" not in facts:
        if program:
            return say("Made with {tool} (commit {commit}).", tool=facts["tool"], commit=program)
        return say("Made with {tool}.", tool=facts["tool"])
    model = facts.get("model_id", facts["model"])
    commit, date = facts.get("commit", "")[:SHORT], facts.get("commit_date", "")[:SHORT]
    if not commit:
        checkpoint = say("Checkpoint: {model}.", model=model)
    elif not date:
        checkpoint = say("Checkpoint: {model} at commit {commit}.", model=model, commit=commit)
    else:
        checkpoint = say(
            "Checkpoint: {model} at commit {commit} of {date}.",
            model=model,
            commit=commit,
            date=date,
        )
    if program:
        tool = say("Measured with {tool} (commit {commit}).", tool=facts["tool"], commit=program)
    else:
        tool = say("Measured with {tool}.", tool=facts["tool"])
    settings = facts.get("settings_hash")
    used = say("Settings {settings}.", settings=settings) if settings else ""
    return joined(checkpoint, tool, used)


def bibtex(facts: Mapping[str, str]) -> str:
    """An entry for BibTeX: the analysis of a checkpoint by the program, or the program alone."""
    if "model" not in facts:
        commit = facts.get("tool_commit")
        note = f"program commit {commit}" if commit else ""
        return _entry(facts["tool"].rpartition(" ")[0], {"title": f"{{{facts['tool']}}}"}, note)
    model = facts.get("model_id", facts["model"])
    against = f" compared with {facts['base_model']}" if "base_model" in facts else ""
    notes = {
        "checkpoint commit": facts.get("commit"),
        "base commit": facts.get("base_commit"),
        "program commit": facts.get("tool_commit"),
        "settings": facts.get("settings_hash"),
    }
    note = ", ".join(f"{name} {value}" for name, value in notes.items() if value)
    work = {
        "title": f"Analysis of the weights of {_in_braces(model + against)}",
        "howpublished": facts["tool"],
        "year": facts.get("commit_date", "")[:4],
    }
    return _entry(facts["model"], work, note)


def _entry(key: str, work: Mapping[str, str], note: str) -> str:
    """An entry with the fields of `work` and a note; empty fields are left out."""
    fields = {"title": "", "author": f"{{{AUTHORS}}}", "howpublished": "", "note": note, "year": ""}
    lines = [f"  {name} = {{{value}}}," for name, value in (fields | dict(work)).items() if value]
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in key)
    return "\n".join([f"@misc{{{name},", *lines, "}"])


def _in_braces(text: str) -> str:
    """Text whose signs mean nothing to TeX."""
    return "".join("\\" + c if c in "_&%#$" else "" if c in "{}\\" else c for c in text)


def escape_lines(text: str) -> str:
    """Text of several lines escaped for HTML."""
    return "\n".join(map(escape, text.split("\n")))
