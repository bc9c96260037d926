"""Render a user's Jinja template in bounded time and memory.

A template that can only print is rendered here. One that computes may ask for a string of a gigabyte in a single step,
which nothing in Python interrupts: that is rendered in a process of its own, which ends when it takes too much. Knows
templates and their variables, not what they mean.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NoReturn

from jinja2 import PackageLoader, StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from extractft.errors import PromptError
from extractft.prompt.template_step_limit import TEMPLATE as TEMPLATE_FILE
from extractft.prompt.template_step_limit import TooManyStepsError, limited_steps

__all__ = ["MAX_PROMPT_LENGTH", "child_main", "environment", "render_template"]

MAX_PROMPT_LENGTH = 1_000_000
"""Most characters that a template may write: more than any model's window holds."""
MAX_CHILD_MEMORY = 2**29
"""Bytes that a process for a template may take beyond what it needs to start."""
MAX_CHILD_SECONDS = 60
MAX_CHILD_CPU_SECONDS = 10
CHILD = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from extractft.prompt.template_rendering import child_main; child_main()"
)
PRINTING = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.If,
    nodes.For,
    nodes.Include,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.Test,
    nodes.Filter,
)
"""Nodes of templates that print what they are given, and make nothing that is much longer."""
PRINTING_FILTERS = frozenset({"capitalize", "count", "d", "default", "first", "last", "length", "lower", "upper"})
PRINTING_TESTS = frozenset({"defined", "undefined", "none", "string", "iterable", "sequence", "mapping", "number"})


@cache
def environment() -> ImmutableSandboxedEnvironment:
    """The environment of all prompts: a sandbox, strict about names."""
    made = ImmutableSandboxedEnvironment(
        loader=PackageLoader("extractft.prompt"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    del made.globals["lipsum"]  # writes as much as it is asked for
    made.concat = _concat  # type: ignore[method-assign]
    return made


def render_template(source: str, variables: Mapping[str, Any]) -> str:
    """Render a template of the user's.

    Raises:
        PromptError: It has a syntax error, fails, writes too much, or takes too long or too much memory.
    """
    if _only_prints(source) or getattr(sys, "frozen", False):  # a frozen program has no interpreter to start
        return _render_here(source, variables)
    return _render_apart(source, variables)


def _only_prints(source: str) -> bool:
    """True if a template is made of nodes alone that cannot blow anything up."""
    try:
        tree = environment().parse(source)
    except TemplateSyntaxError:
        return True  # rendering says what is wrong
    return all(_is_printing(node) for node in [tree, *tree.find_all(nodes.Node)])


def _is_printing(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in PRINTING_FILTERS
    if isinstance(node, nodes.Test):
        return node.name in PRINTING_TESTS
    return type(node) in PRINTING


def _render_here(source: str, variables: Mapping[str, Any]) -> str:
    try:
        template = environment().from_string(source)
        with limited_steps():
            return template.render(variables).strip()
    except (TooManyStepsError, _TooLongError) as error:
        _refuse(f"expected a template that renders, found that it runs on ({error})", error)
    except MemoryError as error:
        _refuse("expected a template that renders, found that it takes too much memory", error)
    except TemplateSyntaxError as error:
        message = f"expected a valid Jinja template, found a syntax error in line {error.lineno}: {error.message}"
        raise PromptError(message).hint("Correct PromptConfig.template.") from error
    except Exception as error:  # a template can raise whatever the expressions in it can
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == TEMPLATE_FILE]
        where = f" in line {lines[-1]}" if lines else ""
        message = f"expected a template that renders, found {type(error).__name__}{where}: {error}"
        hint = f"Correct PromptConfig.template. Its variables are: {', '.join(sorted(variables))}."
        raise PromptError(message).hint(hint) from error


class _TooLongError(Exception):
    """A template writes more than any prompt."""


def _concat(parts: Iterable[str]) -> str:
    """Join what a template writes, as long as it is a prompt."""
    found, length = [], 0
    for part in parts:
        found.append(part)
        length += len(part)
        if length > MAX_PROMPT_LENGTH:
            raise _TooLongError(f"more than {MAX_PROMPT_LENGTH:,} characters")
    return "".join(found)


def _refuse(message: str, cause: BaseException | None = None) -> NoReturn:
    raise PromptError(message).hint(
        "Correct PromptConfig.template: it loops for too long, or makes something too large."
    ) from cause


def _render_apart(source: str, variables: Mapping[str, Any]) -> str:
    """Render in a process of its own."""
    request = pickle.dumps(sys.path) + pickle.dumps((source, dict(variables)))
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD], input=request, capture_output=True, timeout=MAX_CHILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        _refuse(f"expected a template that renders, found that it runs on (more than {MAX_CHILD_SECONDS} s)", error)
    except OSError as error:
        raise PromptError(f"expected Python to render a template that computes, found: {error}") from error
    try:
        answer = json.loads(done.stdout.rpartition(b"\n")[2])  # whatever a site prints stands before it
    except ValueError:  # killed for its memory or its time
        _refuse("expected a template that renders, found that it takes too much memory or time")
    if "error" not in answer:
        return str(answer["prompt"])
    failure = PromptError(answer["error"])
    for note in answer["notes"]:
        failure.hint(note)
    raise failure


def child_main() -> None:
    """Render the template on standard input, within bounds, and write the prompt or the error to standard output."""
    source, variables = pickle.load(sys.stdin.buffer)
    _limit_resources()
    try:
        answer: dict[str, Any] = {"prompt": _render_here(source, variables)}
    except PromptError as error:
        answer = {"error": str(error), "notes": error.__notes__}
    sys.stdout.buffer.write(json.dumps(answer).encode())


def _limit_resources() -> None:
    """Bound memory and processor time of this process, where the system can."""
    try:
        import resource  # only on Unix
    except ImportError:
        return
    try:
        with open("/proc/self/statm") as file:  # in pages
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MAX_CHILD_MEMORY, used + MAX_CHILD_MEMORY))
    except OSError:  # no such file but on Linux; elsewhere time alone is bounded
        pass
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CHILD_CPU_SECONDS, MAX_CHILD_CPU_SECONDS))
