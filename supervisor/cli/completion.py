"""``supervisor completion``: the script that a shell completes with, and how bash tells what was typed so far."""

from __future__ import annotations

import os
from typing import ClassVar

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from .group import Command
from .main import COMPLETION

HELP = """Print the script that completes commands, options, file:// paths, task ids and families in your shell.

Task ids and families are asked of the agent; where none answers within half a second, there are none.
"""

EPILOG = """\b
Example:
  source <(supervisor completion bash)                                       # in ~/.bashrc
  source <(supervisor completion zsh)                                        # in ~/.zshrc
  supervisor completion fish > ~/.config/fish/completions/supervisor.fish
"""

BASH = """\
%(complete_func)s() {
    local type value quoted
    COMPREPLY=()
    while IFS=, read -r type value; do
        [[ $type == plain ]] || continue
        [[ $value == */ ]] && compopt -o nospace
        printf -v quoted %%q "$value"
        COMPREPLY+=("$quoted")
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \
%(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Click's, but for values with a colon: bash takes each side of one for a word, so ``file://`` had no end."""

    name: ClassVar[str] = "bash"
    source_template: ClassVar[str] = BASH
    _before = ""
    """What bash holds for earlier words of the value, and will not replace."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        incomplete = "" if line[-1:].isspace() else words.pop()
        value = incomplete.partition("=")[2] if incomplete.startswith("--") else incomplete
        breaks = os.environ.get("COMP_WORDBREAKS", "")
        end = max((value.rfind(char) for char in ":=" if char in breaks), default=-1)
        self._before = value[: end + 1]
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.type},{item.value.removeprefix(self._before)}"


add_completion_class(Bash)


def answer(root: click.Command) -> None:
    """Tell the shell what could follow, as its environment asks, and exit."""
    root.main(prog_name="supervisor", complete_var=COMPLETION)


def command(name: str) -> click.Command:
    """The command under that name."""
    shell = click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]))
    return Command(
        name, callback=run, help=HELP, epilog=EPILOG, params=[shell], short_help="Print the script for your shell"
    )


def run(shell: str) -> None:
    """Print the script."""
    root = click.get_current_context().find_root().command
    complete = get_completion_class(shell)
    assert complete is not None, "click knows these shells"
    click.echo(complete(root, {}, "supervisor", COMPLETION).source())
