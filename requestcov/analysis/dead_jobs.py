"""Which functions look like those of a command or a scheduled job, by their text alone?

Laws: a hint with its reason, never a fact: nothing is imported or run, and a name can mean anything.
What calls a function is said only where every use of its name in all the files is a plain one in
its own file, so that a function which requests may reach otherwise gets no hint by it.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeGuard

from requestcov._source import Source, definitions

Hints = Mapping[int, str]
"""Line of a ``def`` -> the reason why its function looks like one, of a file."""

DECORATORS = frozenset({
    # Celery, Dramatiq, RQ, Huey, APScheduler, procrastinate, taskiq.
    "actor", "cron", "db_periodic_task", "db_task", "job", "periodic_task", "scheduled_job", "shared_task",
    "task",
    # click, Typer, the command line of Flask, invoke.
    "command", "group",
})  # fmt: skip
"""Last name of a decorator that makes a job or a command of a function."""

LIBRARIES = frozenset({
    "apscheduler", "celery", "click", "django_rq", "dramatiq", "huey", "invoke", "prefect", "procrastinate",
    "rq", "schedule", "taskiq", "typer",
})  # fmt: skip
"""Packages from which a decorator written as a bare name must come: ``job`` alone may mean anything."""

SCHEDULERS = frozenset({"add_job", "enqueue", "enqueue_at", "enqueue_in"})
"""Methods that are given a function for a worker to call (APScheduler, RQ)."""

KEPT = 1000
"""Files that are remembered as understood: in one process the same ones are asked about again."""

_FOLDERS = re.compile(r"(^|/)(management/commands|migrations)/|(^|/)__main__\.py$")
_DECORATED = re.compile(rf"@.*\b({'|'.join(sorted(DECORATORS))})\b")
_SIGNS = (
    "__main__",
    "down_revision",
    *(f".{name}(" for name in sorted(SCHEDULERS)),
    *(f"from {name}" for name in sorted(LIBRARIES)),
)

_Definition = ast.FunctionDef | ast.AsyncFunctionDef


class Jobs:
    """The hints of a project's files, each worked out when it is first asked for."""

    def __init__(self, files: Mapping[str, Source], scripts: Mapping[tuple[str, str], str]) -> None:
        """Nothing is parsed yet.

        Args:
            files: path -> text, of all files.
            scripts: (module, qualified name) that an entry point calls -> what it is, in words.
        """
        self._files = files
        self._scripts = scripts
        self._found: dict[str, Hints] = {}

    def hint(self, path: str, line: int) -> str | None:
        """Why the function whose ``def`` is there looks like a command's or a job's; None: it does not."""
        if path not in self._found:
            self._found[path] = self._hints(path)
        return self._found[path].get(line)

    def _hints(self, path: str) -> Hints:
        source, text = self._files[path], self._texts[path]
        scripts = dict(self._called_by_scripts(path))
        module = _module(path, text, bool(scripts))
        if module is None:
            return {}
        lines: dict[str, list[int]] = defaultdict(list)
        for function in source.functions:
            lines[function.name].append(function.line)
        reasons = dict(module.reasons)
        for name, what in scripts.items():
            reasons.setdefault(name, f"called by {what}")
        for name, caller in module.only_called(reasons, lambda name: self._used_outside(path, name)):
            reasons[name] = f"called only by {caller}"
        found: dict[int, str] = {}
        for name, its in lines.items():
            # A function inside another goes the way of that one.
            outer = next((n for n in _outward(name) if n in reasons), None)
            if outer is not None:
                reason = reasons[outer] if outer == name else f"inside {outer}: {reasons[outer]}"
                found.update(dict.fromkeys(its, reason))
        return found

    def _called_by_scripts(self, path: str) -> Iterator[tuple[str, str]]:
        if not self._scripts:
            return
        names = path.removesuffix(".py").removesuffix("/__init__").split("/")
        ends = {".".join(names[at:]) for at in range(len(names))}
        for (module, name), what in self._scripts.items():
            if module in ends:
                yield name, what

    def _used_outside(self, path: str, name: str) -> bool:
        """Whether a name stands in another file, where it may be the function's."""
        return any(name in words for other, words in self._words.items() if other != path)

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        return {path: "\n".join(source.lines) for path, source in self._files.items()}

    @cached_property
    def _words(self) -> Mapping[str, frozenset[str]]:
        return {path: frozenset(re.findall(r"\w+", text)) for path, text in self._texts.items()}


@dataclass(frozen=True)
class _Module:
    """What one file says by itself.

    Attributes:
        reasons: qualified name of a function that looks like a command or a job -> why.
        plain: top-level functions without a decorator.
        users: top-level function -> the functions in which its name stands; ``""``: elsewhere, or in a text.
    """

    reasons: Mapping[str, str]
    plain: Sequence[str]
    users: Mapping[str, Set[str]]

    def only_called(
        self, reasons: Mapping[str, str], outside: Callable[[str], bool]
    ) -> Iterator[tuple[str, str]]:
        """Functions that nothing but such ones uses -> one of those.

        Args:
            reasons: such functions, and why.
            outside: whether a name may be used in another file.
        """
        users = self.users
        told = {name: name for name in reasons}
        while True:
            fresh = {
                name: sorted(users[name])[0]
                for name in self.plain
                if name not in told and users.get(name) and users[name] <= told.keys() and not outside(name)
            }
            if not fresh:
                return
            yield from fresh.items()
            told.update(fresh)


@lru_cache(KEPT)
def _module(path: str, text: str, called: bool) -> _Module | None:
    """A file understood; None where it cannot be, or holds nothing of the kind; ``called``: by a script."""
    # Parsing takes longer than all the rest, and most files hold nothing of the kind.
    if not called and not _FOLDERS.search(path) and not _has_signs(text):
        return None
    try:
        tree = _Tree(path, ast.parse(text))
    except (SyntaxError, ValueError, RecursionError):
        return None
    reasons = dict(tree.reasons())
    return _Module(reasons, tree.plain, tree.users() if reasons or called else {})


class _Tree:
    """One file's tree, and who uses which name in it."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self._path = path
        self._tree = tree
        self._nodes = tuple(ast.walk(tree))
        self._definitions = definitions(tree)
        self._top = {node.name: node for node in tree.body if isinstance(node, _Definition)}
        self.plain = tuple(name for name, node in self._top.items() if not node.decorator_list)
        self._imported = {
            alias.asname or alias.name: (node.module or "").partition(".")[0]
            for node in self._nodes
            if isinstance(node, ast.ImportFrom) and not node.level
            for alias in node.names
        }

    def reasons(self) -> Iterator[tuple[str, str]]:
        """See :class:`_Module`."""
        *folders, file = self._path.removesuffix(".py").split("/")
        everything = [name for _, name in self._definitions]
        if folders[-2:] == ["management", "commands"] and not file.startswith("_"):
            yield from ((name, f"in Django's management command {file}") for name in everything)
        elif folders[-1:] == ["migrations"] and re.match(r"\d{4}_", file):
            yield from ((name, "in a Django migration") for name in everything)
        elif self._is_alembic():
            yield from ((name, "in an Alembic migration") for name in ("upgrade", "downgrade"))
        for statement, how in self._started():
            for call in ast.walk(statement):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                    yield call.func.id, how
        for function, name in self._definitions:
            for decorator in function.decorator_list:
                if written := self._schedules(decorator):
                    yield name, f"decorated with @{written}"
        for node in self._nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.args else None
                if node.func.attr in SCHEDULERS and isinstance(first, ast.Name) and first.id in self._top:
                    yield first.id, f"given to {node.func.attr}()"

    def _started(self) -> Iterator[tuple[ast.stmt, str]]:
        """What runs when the file itself is run, and how that is to be said."""
        for node in self._tree.body:
            if _asks_for_main(node):
                yield from ((inner, 'called under if __name__ == "__main__"') for inner in node.body)
            elif self._path.rpartition("/")[2] == "__main__.py" and not isinstance(node, _DEFINING):
                yield node, "called by __main__.py"

    def users(self) -> Mapping[str, Set[str]]:
        """See :class:`_Module`."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        started = {id(statement) for statement, _ in self._started()}
        for statement in self._tree.body:
            parts: list[tuple[ast.AST, str]] = [(statement, "")]
            if isinstance(statement, _Definition):
                # Decorators and default values run at import.
                head = (*statement.decorator_list, statement.args)
                parts = [*((part, "") for part in head), *((s, statement.name) for s in statement.body)]
            elif _asks_for_main(statement):
                parts = [(part, "") for part in statement.orelse]
            elif id(statement) in started:
                parts = []
            for part, inside in parts:
                for node in ast.walk(part):
                    named = _named(node)
                    if named in self._top and named != inside:
                        found[named].add(inside)
        return found

    def _schedules(self, decorator: ast.expr) -> str | None:
        """The decorator as written, without arguments, if it makes a job or a command."""
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(named, ast.Attribute) and named.attr in DECORATORS:
            return ast.unparse(named)
        if isinstance(named, ast.Name) and self._imported.get(named.id) in LIBRARIES:
            return named.id
        return None

    def _is_alembic(self) -> bool:
        assigned = {
            target.id
            for node in self._tree.body
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        return {"revision", "down_revision"} <= assigned


_DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _has_signs(text: str) -> bool:
    """Whether there can be a command or a job in a text; without any sign there is none."""
    return any(sign in text for sign in _SIGNS) or any(
        _DECORATED.search(line) for line in text.split("\n") if "@" in line
    )


def _asks_for_main(node: ast.stmt) -> TypeGuard[ast.If]:
    """``if __name__ == "__main__":``, either way round."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.ops[0], ast.Eq)
        and {ast.unparse(side) for side in (node.test.left, *node.test.comparators)}
        == {"__name__", "'__main__'"}
    )


def _named(node: ast.AST) -> str | None:
    """The name that a node uses; of a text that is one, too, for getattr and registries."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rpartition(".")[2]
    return None


def _outward(name: str) -> Iterable[str]:
    """The function itself, then those that it stands in, the innermost first."""
    while True:
        yield name
        name, inside, _ = name.rpartition(".<locals>.")
        if not inside:
            return
