"""Print the completion of a shell: bash, zsh or fish.

    eval "$(blockresearch completion bash)"         # in ~/.bashrc
    eval "$(blockresearch completion zsh)"          # in ~/.zshrc
    blockresearch completion fish | source          # in ~/.config/fish/config.fish

Subcommands and options are completed, and paths everywhere else. The scripts are made from the
parser; shtab and argcomplete do the same, for one more dependency in every environment.
"""

import argparse
import shlex

BASH = """\
_blockresearch() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" words
  case "${{COMP_WORDS[1]}}" in
{cases}
    *) words="" ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words={commands}
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [ "$COMP_CWORD" -gt 1 ] && [[ "$word" != -* ]] && COMPREPLY=($(compgen -f -- "$word"))
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
    flags = flags_of(chosen.parser)
    if chosen.shell == "fish":
        print(fish(flags), end="")
    else:
        print((ZSH if chosen.shell == "zsh" else "") + bash(flags), end="")
    return 0


def flags_of(parser: argparse.ArgumentParser) -> dict[str, dict[str, str]]:
    """Subcommand -> its long options with their help."""
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {
        name: {
            flag: (action.help or "").split("%")[0]
            for action in own._actions
            for flag in action.option_strings
            if flag.startswith("--")
        }
        for name, own in commands.choices.items()
    }


def bash(flags: dict[str, dict[str, str]]) -> str:
    """The script for bash, also read by zsh."""
    cases = [f'    {name}) words="{" ".join(own)}" ;;' for name, own in flags.items()]
    return BASH.format(cases="\n".join(cases), commands=shlex.quote(" ".join(flags)))


def fish(flags: dict[str, dict[str, str]]) -> str:
    """The script for fish."""
    lines = [f"complete -c blockresearch -n __fish_use_subcommand -f -a {name}" for name in flags]
    for name, own in flags.items():
        seen = f"'__fish_seen_subcommand_from {name}'"
        for flag, text in own.items():
            lines.append(
                f"complete -c blockresearch -n {seen} -l {flag[2:]} -d {shlex.quote(text)}"
            )
    return "\n".join([*lines, ""])
