"""Ids of headings, so that each can be linked and cited."""

import re
from collections.abc import Iterable, Iterator

HEADING = re.compile(r"^#{1,6} +(.+)", re.MULTILINE)

WITHOUT_ID = re.compile(r"<(h[1-6])>")


def ids(sources: Iterable[str]) -> Iterator[str]:
    """An id for each heading of Markdown texts: its words with dashes, numbered if it repeats."""
    seen: dict[str, int] = {}
    for source in sources:
        for text in HEADING.findall(source):
            words = "-".join(re.findall(r"\w+", text.lower())) or "section"
            seen[words] = seen.get(words, 0) + 1
            yield words if seen[words] == 1 else f"{words}-{seen[words]}"


def with_ids(html: str, names: Iterable[str]) -> str:
    """`html` with the `names`, in their order, as ids of its headings; the rest has none."""
    rest = iter(names)

    def tag(found: re.Match[str]) -> str:
        name = next(rest, None)
        return found[0] if name is None else f'<{found[1]} id="{name}">'

    return WITHOUT_ID.sub(tag, html)
