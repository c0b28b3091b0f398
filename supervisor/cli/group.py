"""Groups of commands: modules imported only on use, and the nearest right name for a wrong one."""

from __future__ import annotations

import difflib
import importlib

import click


def nearest(name: str, names: list[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing if no name is near."""
    near = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


class Command(click.Command):
    """A command whose usage errors know it, so that they can name it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, which leaves some errors without their context."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as exc:
            exc.ctx = exc.ctx or ctx
            raise


class Group(click.Group):
    """A group that names the nearest command when there is no such one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without a command: ``UsageError``, one line, and not the whole help page as an error."""
        if not args and not ctx.resilient_parsing:
            raise click.UsageError("missing command", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; ``UsageError`` for an unknown name."""
        name = args[0]
        if not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            raise click.UsageError(f"no such command '{name}'{nearest(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group whose commands come from modules that are imported on use."""

    def __init__(self, name: str, modules: dict[str, str], **settings: object) -> None:
        """``modules``: command name → module, whose function ``command(name)`` makes the command."""
        super().__init__(name, **settings)  # type: ignore[arg-type]  # click's own keywords, passed through
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order of the help page."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, its module imported; None for an unknown name."""
        module = self.modules.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command(cmd_name)
        return command
