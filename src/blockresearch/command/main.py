"""The command `blockresearch`: one module per subcommand, of which only the chosen one does work.

A subcommand is a module with a docstring, `add_options(parser)` and `main(options)`, which returns
the exit code. Modules of this room import little, so that `--help` is there at once. Everything
after `--` goes to Snakemake.

Exit codes: 0 done, 1 failed, 2 wrong command line or settings, 3 the audit found something, 130
interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from blockresearch.command import (
    audit,
    compare,
    completion,
    demo,
    doctor,
    open_page,
    plan,
    remove,
    run,
    store,
    verify,
)
from blockresearch.command.calls import INTERRUPTED

FAILED, WRONG = 1, 2

SUBCOMMANDS: dict[str, ModuleType] = {
    "run": run,
    "plan": plan,
    "compare": compare,
    "audit": audit,
    "verify": verify,
    "remove": remove,
    "store": store,
    "open": open_page,
    "demo": demo,
    "doctor": doctor,
    "completion": completion,
}

ABOUT = "Measures every weight of language models and explains the result in tables and pages."

EXIT_CODES = """\
exit codes: 0 done, 1 failed, 2 wrong command line or settings, 3 the audit found something,
130 interrupted. Everything after -- goes to Snakemake: blockresearch run MODEL -- --profile slurm
"""


class Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import blockresearch

        print(f"blockresearch {blockresearch.__version__}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The parser of the command with all its subcommands."""
    result = argparse.ArgumentParser(
        prog="blockresearch",
        description=ABOUT,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action=Version, nargs=0, help="print the version")
    commands = result.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in SUBCOMMANDS.items():
        text = (module.__doc__ or "").strip()
        own = commands.add_parser(
            name,
            help=text.splitlines()[0].rstrip("."),
            description="\n".join(map(_indented, text.splitlines())),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_options(own)
        own.set_defaults(main=module.main, parser=result)
    return result


def _indented(line: str) -> str:
    """A line of a docstring; examples are indented also if nothing follows them."""
    return f"    {line}" if line.startswith("blockresearch ") else line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are one sentence."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    options = parser().parse_args(words[:end] or ["--help"])
    options.passed_on = words[end + 1 :]
    try:
        return int(options.main(options))
    except BrokenPipeError:
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ValueError, OSError) as error:
        # ConfigError by its name, because most subcommands do not load the configuration.
        is_wrong = type(error).__name__ in ("ConfigError", "UsageError")
        print(f"error: {_sentence(error)}", file=sys.stderr)
        return WRONG if is_wrong else FAILED


def _sentence(error: Exception) -> str:
    from blockresearch.run.cli import sentence

    return sentence(error)


if __name__ == "__main__":
    sys.exit(main())
