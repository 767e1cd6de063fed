"""Names of strangers that become part of an address or a path: repositories, revisions, folders.

Stricter than the hub's client: `validate_repo_id` of huggingface_hub 2.4.0 accepts a line break at
the end, letters outside ASCII and namespaces of any length.
"""

import re

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)

REVISION = re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9_][\w.-]*(/[\w.-]+)*", re.ASCII)

FOLDER = re.compile(r"(?:[A-Za-z0-9_][\w.-]*/)*[A-Za-z0-9_][\w.-]*", re.ASCII)


def is_repo_id(text: str) -> bool:
    """Whether `text` can be the id of a repository, such as Qwen/Qwen3-4B.

    Source: the rules of `huggingface_hub.utils.validate_repo_id`, in ASCII and for the whole text.
    """
    return (
        REPO_ID.fullmatch(text) is not None
        and not any(word in text for word in ("..", "--"))
        and not text.endswith((".git", ".ipynb"))
        and not any(part[-1:] in ".-" for part in text.split("/"))
    )


def is_revision(text: str) -> bool:
    """Whether `text` can name a branch, a tag, a commit or refs/pr/N.

    Names with `--` are left out: in a results folder that stands for a slash.
    """
    return REVISION.fullmatch(text) is not None and ".." not in text and "--" not in text


def is_folder(path: str) -> bool:
    """Whether `path` can be a folder inside a model: relative, plain names, no way out."""
    return FOLDER.fullmatch(path) is not None


def is_inside(path: str) -> bool:
    """Whether the path of a file in a repository stays in the folder that it is put in."""
    return "\0" not in path and {"", ".", ".."}.isdisjoint(path.split("/"))


def is_hex(text: object, digits: int) -> bool:
    """Whether `text` is a hash of `digits` hexadecimal digits: 40 of a commit, 64 of a sha256."""
    return isinstance(text, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", text) is not None
