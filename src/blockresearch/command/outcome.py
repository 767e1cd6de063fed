"""What a run has left behind, for programs and for the last line on the screen."""

import json
import sys
from pathlib import Path
from typing import Any

from blockresearch.command.settings import Settings


def output_of(is_json: bool) -> int | None:
    """Where a call writes its standard output: to that of errors if ours is for JSON alone."""
    return sys.stderr.fileno() if is_json else None


def print_json(found: Any) -> None:
    """Print a value as JSON, and nothing else on standard output."""
    print(json.dumps(found, indent=2, ensure_ascii=False))


def of_models(settings: Settings, code: int) -> dict[str, Any]:
    """The result of a run: exit code, page of all models, and for each model page and failure."""
    return {
        "exit_code": code,
        "page": existing(settings.results / "index.html"),
        "models": [
            {
                "name": name,
                "source": model.source,
                "revision": model.revision,
                "folder": str(settings.results / name),
                "page": existing(settings.results / name / "index.html"),
                "error": error_of(settings.results, name),
            }
            for name, model in settings.models.items()
        ],
        "comparisons": of_comparisons(settings),
    }


def of_comparisons(settings: Settings) -> list[dict[str, Any]]:
    """Names, sides and pages of the comparisons of a run."""
    folder = settings.results / "compare"
    return [
        {
            "name": pair.name,
            "base": pair.base.name,
            "other": pair.other.name,
            "folder": str(folder / pair.name),
            "page": existing(folder / pair.name / "index.html"),
        }
        for pair in settings.comparisons
    ]


def error_of(results: Path, name: str) -> str | None:
    """Why a model has failed since its page was made; None if it has not."""
    from blockresearch.failures import failure

    folder = results / name
    found = failure(folder, []) if folder.is_dir() else None
    return f"{found.rule}: {found.reason or 'see the log'}" if found else None


def existing(path: Path) -> str | None:
    """A path as a text, None if nothing is there."""
    return str(path) if path.exists() else None
