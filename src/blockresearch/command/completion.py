"""Print the completion of a shell: bash, zsh or fish.

    eval "$(blockresearch completion bash)"         # in ~/.bashrc
    eval "$(blockresearch completion zsh)"          # in ~/.zshrc
    blockresearch completion fish | source          # in ~/.config/fish/config.fish

Subcommands, their first word if it is one of a few, and options are completed, and paths everywhere
else. The scripts are made from the
parser; shtab and argcomplete do the same, for one more dependency in every environment.
"""

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

BASH = """\
_blockresearch() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" flags="" first=""
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  [ "$COMP_CWORD" -eq 1 ] && first={commands}
  [ "$COMP_CWORD" -gt 2 ] && first=""
  if [[ "$word" == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$word"))
  elif [ "$first" ]; then COMPREPLY=($(compgen -W "$first" -- "$word"))
  else COMPREPLY=($(compgen -f -- "$word")); fi
}}
complete -o filenames -F _blockresearch blockresearch
"""

# zsh runs completions of bash.
ZSH = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the name of the shell."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="for which shell")


def main(chosen: argparse.Namespace) -> int:
    """Print the script."""
    found = completions_of(chosen.parser)
    if chosen.shell == "fish":
        print(fish(found), end="")
    else:
        print((ZSH if chosen.shell == "zsh" else "") + bash(found), end="")
    return 0


@dataclass(frozen=True)
class Completions:
    """What may follow a subcommand.

    first  the words that its first argument may be, with their help; empty if it may be any
    flags  its long options with their help
    """

    first: Mapping[str, str]
    flags: Mapping[str, str]


def completions_of(parser: argparse.ArgumentParser) -> dict[str, Completions]:
    """What may follow each subcommand."""
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {name: _completions(own) for name, own in commands.choices.items()}


def _completions(own: argparse.ArgumentParser) -> Completions:
    first: dict[str, str] = {}
    flags: dict[str, str] = {}
    for action in own._actions:
        if isinstance(action, argparse._SubParsersAction):
            first = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for inner in action.choices.values():
                flags |= _completions(inner).flags
        elif action.choices and not action.option_strings:
            first = dict.fromkeys(action.choices, "")
        for flag in action.option_strings:
            if flag.startswith("--"):
                flags[flag] = (action.help or "").split("%")[0]
    return Completions(first, flags)


def bash(found: Mapping[str, Completions]) -> str:
    """The script for bash, also read by zsh."""
    cases = [
        f'    {name}) flags="{" ".join(own.flags)}" first="{" ".join(own.first)}" ;;'
        for name, own in found.items()
    ]
    return BASH.format(cases="\n".join(cases), commands=shlex.quote(" ".join(found)))


def fish(found: Mapping[str, Completions]) -> str:
    """The script for fish."""
    lines = [f"complete -c blockresearch -n __fish_use_subcommand -f -a {name}" for name in found]
    for name, own in found.items():
        seen = f"__fish_seen_subcommand_from {name}"
        for word, text in own.first.items():
            alone = f"'{seen}; and not __fish_seen_subcommand_from {' '.join(own.first)}'"
            described = f" -d {shlex.quote(text)}" if text else ""
            lines.append(f"complete -c blockresearch -n {alone} -f -a {word}{described}")
        for flag, text in own.flags.items():
            lines.append(
                f"complete -c blockresearch -n '{seen}' -l {flag[2:]} -d {shlex.quote(text)}"
            )
    return "\n".join([*lines, ""])
