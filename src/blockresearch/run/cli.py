"""What all scripts share: flags in both spellings, logging, and errors as one sentence."""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blockresearch.run import lifeline
from blockresearch.text import visible

log = logging.getLogger(__name__)

# By name, because neither the pool nor torch is imported by every script.
OUT_OF_MEMORY = {
    "BrokenProcessPool": "a worker was killed, most likely by the system because memory ran out: "
    "use fewer --threads or give a --memory_limit.",
    "OutOfMemoryError": "not enough memory on the GPU: use --device cpu, or end what else uses it.",
}

ADVICE = {
    errno.ENOSPC: "make room there, then start the same command again",
    errno.EDQUOT: "make room in your quota, then start the same command again",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that you may use, or change its permissions",
}


# Largest |w| that counts as near zero, unless an option or the configuration sets another.
SPARSITY_THRESHOLD = 1e-6


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the flags that every script has; its text is the script's docstring."""
    result = argparse.ArgumentParser(description=description, formatter_class=HelpWithDefaults)
    result.add_argument(
        "--verbose", action="store_true", help="log details, and a traceback when something fails"
    )
    return result


class HelpWithDefaults(argparse.RawDescriptionHelpFormatter):
    """Help that states the default of every flag that has one and does not state it itself."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        is_stated = "default" in text or action.default in (None, False, "", [], argparse.SUPPRESS)
        return text if is_stated else f"{text} (default: {self._default(action)})".lstrip()

    def _default(self, action: argparse.Action) -> str:
        value = action.default
        # A percent sign would begin a placeholder.
        return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else "%(default)s"


def run(
    parser: argparse.ArgumentParser,
    main: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse the command line, run `main`, and end the process with its exit code.

    Foreseen errors (ValueError, OSError, hub and memory errors) become one sentence on standard
    error and exit code 1, with the traceback only under --verbose; SIGINT ends with 130, SIGTERM
    with 143.
    """
    lifeline.follow_run()
    options = parser.parse_args(underscored(sys.argv[1:] if arguments is None else arguments))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableLines("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    level = logging.DEBUG if options.verbose else logging.INFO
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("matplotlib", "numba", "httpx", "httpx2", "httpcore2", "PIL", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        main(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and type(error).__name__ not in OUT_OF_MEMORY:
            raise
        if options.verbose:
            log.exception("failed")
        sys.exit(f"error: {sentence(error)}")


class PrintableLines(logging.Formatter):
    """One line per message, whatever names from a model stand in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without a traceback."""
        return visible(super().formatMessage(record))


def underscored(arguments: Sequence[str]) -> list[str]:
    """Flags in the hyphen spelling (--model-path) as the underscore spelling (--model_path)."""
    result = []
    for argument in arguments:
        if argument.startswith("--") and len(argument) > 2:
            name, equals, value = argument[2:].partition("=")
            argument = "--" + name.replace("-", "_") + equals + value
        result.append(argument)
    return result


def sentence(error: BaseException) -> str:
    """An error as one line for the user, control characters made visible."""
    if isinstance(error, MemoryError):
        text = "not enough memory: run fewer jobs at once (--cores), or use --low_cpu_mem_usage."
    elif type(error).__name__ in OUT_OF_MEMORY:
        text = OUT_OF_MEMORY[type(error).__name__]
    elif isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        advice = f": {ADVICE[error.errno]}" if error.errno in ADVICE else ""
        text = f"{place}{error.strerror}{advice}."
    elif isinstance(error, FileNotFoundError):  # as pyarrow raises it
        text = f"{error}: {os.strerror(errno.ENOENT)}."
    else:
        text = str(error) or type(error).__name__
    return visible(text)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose among the sets of weights in a folder or repository."""
    parser.add_argument("--subfolder", default="", help="folder inside the model to read")
    parser.add_argument("--variant", help="e.g. fp16, for model.fp16.safetensors")
    parser.add_argument("--file", help="file of weights, or index, if there are several")


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a step that reads weights: of a folder, or of a manifest in the workflow."""
    source = parser.add_mutually_exclusive_group(required=True)
    add_selection(parser)
    source.add_argument("--model_path", help="local folder of safetensors files")
    source.add_argument("--manifest", help="manifest of a model (with --weights)")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--digest", help="hash of what is read; only for the workflow's record")


def selection(options: argparse.Namespace) -> dict[str, Any]:
    """What the flags of `add_selection` say, as keywords."""
    return {name: getattr(options, name) for name in ("subfolder", "variant", "file")}


def add_language(parser: argparse.ArgumentParser) -> None:
    """Add the flag that sets the language of pages and pictures."""
    parser.add_argument(
        "--language",
        choices=("en", "zh", "both"),
        default="en",
        help="English, Simplified Chinese, or both with a switch",
    )


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add the flags that set how weights are measured."""
    parser.add_argument(
        "--sparsity_threshold",
        type=threshold,
        default=SPARSITY_THRESHOLD,
        help="|w| up to this value counts as near zero in the column sparsity",
    )
    parser.add_argument(
        "--spectra",
        choices=("full", "rank", "sketch", "none"),
        default="full",
        help="all singular values, what the rank needs, estimates for costly matrices, or none",
    )
    parser.add_argument(
        "--sketch_above",
        type=threshold,
        default=60.0,
        help="with --spectra sketch: seconds of one core above which a matrix is only estimated",
    )
    add_device(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option for the device that computes."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def named_file(text: str) -> tuple[str, Path]:
    """Argument type: NAME=FILE. Raises ArgumentTypeError if one of them is missing."""
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=FILE")
    return name, Path(path)


def positive_int(text: str) -> int:
    """Argument type. Raises ArgumentTypeError if the integer is not at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def positive(text: str) -> float:
    """Argument type. Raises ArgumentTypeError if the number is not above 0 and finite."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def share(text: str) -> float:
    """Argument type. Raises ArgumentTypeError if the number is not above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share above 0 and at most 1")
    return value


def seed(text: str) -> int:
    """Argument type: a seed of NumPy's and scikit-learn's generators.

    Raises ArgumentTypeError if it is not between 0 and 2³² - 1.
    """
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 4294967295")
    return value


def threshold(text: str) -> float:
    """Argument type. Raises ArgumentTypeError if the number is negative or not finite."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value


def now() -> str:
    """The time of day as tables record it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
