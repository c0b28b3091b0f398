"""One command per ECS operation, made from the structure of its input.

What the command line checks is its own grammar: options, JSON, required members. What the values mean is the
agent's to judge, so that every client gets the same answers.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click
from msgspec import inspect

from supervisor.shapes import OPERATIONS

from . import pages
from .client import Client
from .formats import FORMATS
from .group import Command, nearest
from .members import Member, item_type, members_of, sample
from .output import print_value
from .pages import Pages
from .query import Query, search
from .suggestions import OF_MEMBERS, socket_of
from .values import JsonObject, param_type

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from jmespath.parser import ParsedResult

Body = dict[str, Any]
Run = Callable[[Client, Body, dict[str, Any]], Body | Pages | None]
"""Carries the command out: the client, the input, and the values of the command's own options. Gives what to print."""

OUTPUT = "SUPERVISOR_OUTPUT"
"""The environment variable that says in which format replies are printed."""

EXAMPLES = {
    "register-task-definition": "--cli-input-json file://task.json",
    "describe-task-definition": "--task-definition web:1",
    "run-task": "--task-definition web --count 2 --started-by deploy",
    "stop-task": "--task 1dc5c17a422b4dc49a7e6a51f5d0a0ce --reason 'new release' --wait",
    "describe-tasks": "--tasks 1dc5c17a422b4dc49a7e6a51f5d0a0ce",
    "list-tasks": "--family web --desired-status STOPPED",
    "deregister-task-definition": "--task-definition web:1",
    "list-task-definitions": "--family-prefix web --sort DESC",
    "list-task-definition-families": "--status ACTIVE",
    "delete-task-definitions": "--task-definitions web:1 web:2",
    "start-task": "--task-definition web --container-instances 7f1d7e4b1c0e4b6f9d3a5c2e8b6a4d10",
    "create-cluster": "--cluster-name batch",
    "describe-clusters": "--clusters batch --include STATISTICS TAGS",
    "list-clusters": "--max-results 10",
    "delete-cluster": "--cluster batch",
    "tag-resource": "--resource-arn arn:aws:ecs:local:000000000000:cluster/batch --tags key=team,value=blue",
    "untag-resource": "--resource-arn arn:aws:ecs:local:000000000000:cluster/batch --tag-keys team",
    "list-tags-for-resource": "--resource-arn arn:aws:ecs:local:000000000000:cluster/batch",
    "list-container-instances": "--status ACTIVE",
    "describe-container-instances": "--container-instances 7f1d7e4b1c0e4b6f9d3a5c2e8b6a4d10 --include TAGS",
    "update-container-instances-state": "--container-instances 7f1d7e4b1c0e4b6f9d3a5c2e8b6a4d10 --status DRAINING",
    "get-task-protection": "--cluster default --tasks 1dc5c17a422b4dc49a7e6a51f5d0a0ce",
    "update-task-protection": "--cluster default --tasks 1dc5c17a422b4dc49a7e6a51f5d0a0ce --protection-enabled",
    "wait tasks-running": "--tasks 1dc5c17a422b4dc49a7e6a51f5d0a0ce --timeout 60",
    "wait tasks-stopped": "--tasks 1dc5c17a422b4dc49a7e6a51f5d0a0ce --timeout 60",
}


TRAILING = f"{__name__}.trailing"
"""In a context's ``meta``: the option with several values that the line ends in."""

SOCKET_HELP = """The agent's unix socket. Unless given: SUPERVISOR_SOCKET, else /run/supervisor/supervisor.sock for
root and $XDG_RUNTIME_DIR/supervisor/supervisor.sock for others."""


def call(operation: str) -> Run:
    """What most commands do: perform the operation; its reply, or all pages of it."""

    def run(client: Client, body: Body, own: dict[str, Any]) -> Body | Pages:
        if own and pages.wanted(body, own):
            return Pages(functools.partial(client.call, operation), body, own)
        return client.call(operation, body)

    return run


def command(name: str) -> click.Command:
    """The plain command of that name."""
    operation = "".join(word.capitalize() for word in name.split("-"))
    members = {member.name for member in members_of(OPERATIONS[operation])}
    paged = {pages.TOKEN, pages.LIMIT} <= members
    return OperationCommand(name, operation, call(operation), own=pages.options() if paged else ())


class OperationCommand(Command):
    """A command whose options are the members of an operation's input."""

    def __init__(
        self,
        name: str,
        operation: str,
        run: Run,
        *,
        own: Iterable[click.Option] = (),
        without: tuple[str, ...] = (),
        help_text: str | None = None,
    ) -> None:
        """``own``: options beside the operation's; ``without``: members that mean nothing to this command."""
        shape = OPERATIONS[operation]
        text = help_text or shape.__doc__ or ""
        self.operation = operation
        self.members = [member for member in members_of(shape) if member.name not in without]
        self.run = run
        self.own = [str(option.name) for option in own]
        path = name if name in EXAMPLES else f"wait {name}"
        super().__init__(
            name,
            params=[*map(_option, self.members), *own, *_common_options()],
            help=text,
            short_help=re.split(r"[:;.]\s", text.strip() + " ")[0],
            epilog=f"\b\nExample:\n  supervisor {path} {EXAMPLES[path]}",
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, after options that take several values have been written out one by one."""
        options = [param for param in self.params if isinstance(param, click.Option)]
        variadic = {name for option in options if option.multiple for name in option.opts}
        valued = {name for option in options if not option.is_flag for name in option.opts}
        return super().parse_args(ctx, list(_written_out(args, variadic, valued, ctx)))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """One more value of an option that takes several, else an option; also before its dashes are typed."""
        option = ctx.meta.get(TRAILING)
        for param in self.params:
            if option in param.opts and not incomplete.startswith("-"):
                return param.shell_complete(ctx, incomplete)
        return super().shell_complete(ctx, incomplete or "-")

    def invoke(self, ctx: click.Context) -> None:
        """Print the skeleton, or build the input and carry the command out."""
        if ctx.params["generate_cli_skeleton"]:
            print_value({member.name: sample(member.type) for member in self.members})
            return
        body = self._body(ctx)
        client = Client(socket_of(ctx))
        reply = self.run(client, body, {name: ctx.params[name] for name in self.own})
        if reply is not None:
            self._print(reply, ctx.params["output"], ctx.params["query"])

    def _print(self, reply: Body | Pages, output: str, query: ParsedResult | None) -> None:
        """In the format asked for. As with ``aws``, lines of text come page by page, and a query sees one at a time."""
        if isinstance(reply, Pages) and output == "text":
            for page in reply:
                print_value(search(query, page), output)
            if reply.resume_token:
                print_value(search(query, {"NextToken": {"NextToken": reply.resume_token}}), output)
            return
        whole = reply.merged() if isinstance(reply, Pages) else reply
        print_value(search(query, whole), output, self.operation)

    def _body(self, ctx: click.Context) -> Body:
        """The JSON input with the options on the line laid over it; complete, or ``UsageError``."""
        body: Body = dict(ctx.params["cli_input_json"] or {})
        names = [member.name for member in self.members]
        for name in body:
            if name not in names:
                near = nearest(name, names)
                raise click.UsageError(f"unknown member '{name}' in '--cli-input-json'{near}", ctx)
        for member in self.members:
            value = ctx.params[_param_name(member)]
            if item_type(member.type) is not None:
                value = [item for items in value or () for item in items] if value else None
            if value is not None:
                body[member.name] = value
        missing = [one.option for one in self.members if one.required and body.get(one.name) is None]
        if missing:
            options = " and ".join(f"'{option}'" for option in missing)
            raise click.UsageError(f"missing {'option' if len(missing) == 1 else 'options'} {options}", ctx)
        return body


def _param_name(member: Member) -> str:
    return member.option.removeprefix("--").replace("-", "_")


def _option(member: Member) -> click.Option:
    """The option of one member. Whether it is there is asked later: ``--cli-input-json`` may give it."""
    text = f"{member.description} Required." if member.required else member.description
    if isinstance(member.type, inspect.BoolType):
        names = f"{member.option}/{member.option.replace('--', '--no-', 1)}"
        return click.Option([names, _param_name(member)], default=None, help=text)
    several = item_type(member.type) is not None
    return click.Option(
        [member.option, _param_name(member)],
        type=param_type(member),
        metavar=_metavar(member),
        multiple=several,
        help=text,
        shell_complete=OF_MEMBERS.get(member.name),
    )


def _metavar(member: Member) -> str:
    match item_type(member.type) or member.type:
        case inspect.StructType() | inspect.DictType():
            word = "JSON"
        case inspect.IntType():
            word = "INTEGER"
        case _:
            word = "TEXT"
    return f"{word}…" if item_type(member.type) is not None else word


def _common_options() -> list[click.Option]:
    return [
        click.Option(
            ["--cli-input-json"],
            type=JsonObject(),
            metavar="JSON",
            help="The whole input as JSON text or file://PATH; other options on the line win over it.",
        ),
        click.Option(
            ["--generate-cli-skeleton"],
            is_flag=True,
            help="Print a sample of the input for --cli-input-json, and do nothing else.",
        ),
        click.Option(
            ["--query"],
            type=Query(),
            metavar="JMESPATH",
            help="Print what this expression finds in the reply, such as 'tasks[].lastStatus'.",
        ),
        click.Option(
            ["--output"],
            type=click.Choice(list(FORMATS)),
            envvar=OUTPUT,
            default="json",
            help=f"How to print the reply. Unless given: {OUTPUT}, else json.",
        ),
        click.Option(["--socket"], metavar="PATH", help=SOCKET_HELP),
    ]


def _written_out(args: list[str], variadic: set[str], valued: set[str], ctx: click.Context) -> Iterator[str]:
    """``--tasks a b`` as ``--tasks a --tasks b``, which is what click understands.

    Like ``aws``, such an option takes all words up to the next one that begins with a dash.
    """
    words = deque(args)
    while words:
        word = words.popleft()
        if word in variadic:
            if (not words or _is_option(words[0])) and not ctx.resilient_parsing:
                raise click.UsageError(f"option '{word}' requires at least one value", ctx)
            while words and not _is_option(words[0]):
                yield word
                yield words.popleft()
            if not words:
                ctx.meta[TRAILING] = word
        else:
            yield word
            if word in valued and words:
                yield words.popleft()


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"
