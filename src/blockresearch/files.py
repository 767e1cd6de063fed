"""Write files atomically, and read JSON files once as long as they stay the same."""

import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

Version = tuple[str, int, int]  # path, time of the last change in ns, size


def version(path: str | os.PathLike[str]) -> Version:
    """Path, time of the last change and size of a file: the key of caches of its content."""
    status = os.stat(path)
    return str(path), status.st_mtime_ns, status.st_size


def read_json(path: str | os.PathLike[str]) -> Any:
    """The JSON value in a file, parsed once as long as the file stays the same."""
    return _read_json(version(path))


@cache
def _read_json(file: Version) -> Any:
    return json.loads(Path(file[0]).read_text(encoding="utf-8"))


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """The YAML value in a file."""
    import yaml

    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


class TableError(ValueError):
    """A table does not have the columns or the format that it must have, or cannot be written."""


# Less free space than this counts as a full disk.
MIN_FREE_BYTES = 2**16


def require_writable(folder: str | os.PathLike[str], setting: str = "results") -> None:
    """Make `folder`, which a `setting` names. Raises ValueError if nothing can be written into it.

    A run that cannot write its results ends here and not after hours.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(MIN_FREE_BYTES))
            file.flush()
    except OSError as error:
        raise ValueError(
            f"{setting}: cannot write into {folder} ({error.strerror}); choose another folder with "
            f"`{setting}`, or make it writable."
        ) from error


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, otherwise deleted.

    The temporary name is unique per attempt, and the latest writer owns the target: temporaries of
    earlier attempts are removed, so that an orphaned job of an earlier run cannot replace the
    output of a later one. Raises OSError, with the name of the target, if writing fails, and
    TableError if another process has begun to write the same target.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_temporaries(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename == str(temporary):
            raise TableError(
                f"{target}: another process is writing this file; run one at a time."
            ) from None
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _remove_temporaries(target: Path) -> None:
    ours = re.compile(re.escape(f".{target.name}.") + r"\d+\.[0-9a-f]{8}\.tmp")
    with os.scandir(target.parent) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name):
                Path(entry.path).unlink(missing_ok=True)


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write `text` as UTF-8 with Unix line ends, atomically; halves of surrogate pairs become
    escapes (\\udc80), which inside JSON mean the same as before."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n", errors="backslashreplace")


def write_json_by_line(value: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write an object as JSON, atomically, each element of its lists on one line.

    For large lists: json indents in Python, which takes ten times as long. NaN and infinities are
    refused.
    """

    def text_of(item: Any, indent: int | None = None) -> str:
        return json.dumps(item, indent=indent, ensure_ascii=False, allow_nan=False)

    fields = []
    for key, item in value.items():
        if isinstance(item, list) and item:
            text = "[\n" + ",\n".join(f"    {text_of(element)}" for element in item) + "\n  ]"
        else:
            text = text_of(item, indent=2).replace("\n", "\n  ")
        fields.append(f"  {text_of(key)}: {text}")
    write_text("{\n" + ",\n".join(fields) + "\n}\n", path)


def write_json(value: Any, path: str | os.PathLike[str]) -> None:
    """Write `value` as indented JSON, atomically; NaN and infinities are refused."""
    write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)
