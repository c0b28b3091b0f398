"""``--query``: a JMESPath expression, checked before anything is sent, so that a slip carries nothing out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .failures import CommandError
from .group import nearest

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult


class Query(click.ParamType["ParsedResult"]):
    """A JMESPath expression."""

    name = "jmespath"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ParsedResult:
        """Fails with the place of what is wrong."""
        import jmespath
        from jmespath import exceptions

        try:
            query = jmespath.compile(value)
            check_functions(query.parsed)
        except exceptions.EmptyExpressionError:
            self.fail("the expression is empty", param, ctx)
        except exceptions.IncompleteExpressionError:
            self.fail(f"the expression ends too early: {value!r}", param, ctx)
        except exceptions.LexerError as exc:
            self.fail(f"column {exc.lexer_position + 1}: {exc.message}, in {value!r}", param, ctx)
        except exceptions.ParseError as exc:
            self.fail(f"column {exc.lex_position + 1}: unexpected {exc.token_value!r}, in {value!r}", param, ctx)
        except (exceptions.JMESPathError, RecursionError, ValueError) as exc:
            self.fail(str(exc).partition("\n")[0] or "it is nested too deeply", param, ctx)
        return query


def check_functions(node: Any) -> None:
    """``ValueError`` for a call that can never succeed; jmespath itself would say so after the request was made."""
    from jmespath.functions import Functions

    if node["type"] == "function_expression":
        known = Functions.FUNCTION_TABLE
        name, given = node["value"], len(node["children"])
        if name not in known:
            raise ValueError(f"unknown function {name}(){nearest(name, list(known))}")
        takes = known[name]["signature"]
        variadic = bool(takes and takes[-1].get("variadic"))
        if given < len(takes) or (given > len(takes) and not variadic):
            raise ValueError(f"{name}() takes {'at least ' if variadic else ''}{len(takes)} arguments, not {given}")
    for child in node["children"]:
        if isinstance(child, dict):
            check_functions(child)


def search(query: ParsedResult | None, reply: Any) -> Any:
    """What the expression finds in the reply; the reply itself without one."""
    if query is None:
        return reply
    from jmespath.exceptions import JMESPathError

    try:
        return query.search(reply)
    except JMESPathError as exc:
        text = str(exc).partition("\n")[0]
        raise CommandError(f"cannot apply --query to the reply: {text}; the request itself was carried out") from exc
