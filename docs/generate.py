"""Write the pages that are made from the code: docs/configuration.md from the table of options,
docs/server-configuration.md from that of the server's settings, docs/json.md and
docs/json.schema.json from the types of the answers.

Run by ``make docs``; a test compares what is committed with what this makes.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from requestcov.analysis.coverage import EndpointCoverage, FileCoverage, FunctionUnion, ReleaseCoverage, Union
from requestcov.analysis.dead_results import Dead
from requestcov.analysis.evidence import Footing, Selection
from requestcov.analysis.export import Export
from requestcov.analysis.gap import Gap
from requestcov.analysis.hot import Hot
from requestcov.analysis.impact import Impact
from requestcov.analysis.paths_results import Paths
from requestcov.analysis.releases import Releases
from requestcov.analysis.slow import Slow
from requestcov.analysis.suspects import Suspects
from requestcov.analysis.thin import Thin
from requestcov.analysis.who import Who
from requestcov.config import OPTIONS, Option
from requestcov.reports.json import VERSION, names
from requestcov.server.settings import SETTINGS

HERE = Path(__file__).parent

OPENING = """\
# Configuration

<!-- Made by docs/generate.py from requestcov/config.py; edit that, then `make docs`. -->

Every option has one name, a keyword in code and a variable in the environment:

```python
app.wsgi_app = WSGIMiddleware(app.wsgi_app, sample_rate=0.05)
```

```sh
REQUESTCOV_SAMPLE_RATE=0.05 gunicorn shop:app
```

- What is given in code wins over the environment, and that over the default.
- A variable that is set to nothing is unset. Blanks around a value are not part of it.
- A boolean is one of `1 true yes on` or `0 false no off`, in any case.
- Lists are separated by commas and trimmed; `\\,` is a comma inside an item. In code, give any iterable.
- A value that cannot be used, and a `REQUESTCOV_` variable that is no option, stop the app at start-up with
  one sentence that names the variable, the value and what is allowed. Nothing is refused later.

"""


def shown(option: Option) -> str:
    """A default as a person would write it into the environment."""
    value = option.default
    if value is True or value is False:
        return f"`{'true' if value else 'false'}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    if isinstance(value, Mapping) or value == "":
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def configuration() -> str:
    """The text of docs/configuration.md."""
    rows = ["| option | variable | value | default |", "| --- | --- | --- | --- |"]
    for o in OPTIONS:
        default = shown(o) if len(shown(o)) < 40 else "see below"
        rows.append(f"| [{o.name}](#{o.name}) | `{o.variable}` | {o.kind} | {default} |")
    parts = [f"## {o.name}\n\n{o.help}\n\nDefault: {shown(o)}.\n" for o in OPTIONS]
    return OPENING + "\n".join(rows) + "\n\n" + "\n".join(parts)


SERVER_OPENING = """\
# Configuration of the server

<!-- Made by docs/generate.py from requestcov/server/settings.py; edit that, then `make docs`. -->

What `requestcov collect` and `requestcov serve` can be told, by a flag or by a variable of the environment.
The options of the app that is recorded are in [configuration.md](configuration.md).

- A flag wins over the environment, and that over the default. A variable that is set to nothing is unset.
- A value that cannot be used, and a `REQUESTCOV_` variable that is no option, end the start with a sentence.
- Tokens have no flag: what is on a command line, every user of the machine can read.

"""


def server_configuration() -> str:
    """The text of docs/server-configuration.md."""
    rows = ["| setting | flag | variable | value | default |", "| --- | --- | --- | --- | --- |"]
    parts = []
    for s in SETTINGS:
        flag = f"`{s.flag}`" if s.flag else ""
        rows.append(f"| [{s.name}](#{s.name}) | {flag} | `{s.variable}` | {s.kind} | {shown(s)} |")
        parts.append(f"## {s.name}\n\n{s.help}\n\nDefault: {shown(s)}.\n")
    return SERVER_OPENING + "\n".join(rows) + "\n\n" + "\n".join(parts)


ANSWERS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("report", {"endpoints": tuple[EndpointCoverage, ...], "union": Union}),
    ("report --by file", {"files": tuple[FileCoverage, ...], "union": Union}),
    ("report --by function", {"functions": tuple[FunctionUnion, ...], "union": Union}),
    ("report --by release", {"releases": tuple[ReleaseCoverage, ...], "union": Union}),
    ("hot", {"hot": Hot}),
    ("paths", {"paths": Paths}),
    ("thin", {"thin": Thin}),
    ("dead", {"dead": Dead}),
    ("releases", {"releases": Releases, "footing_before": Footing}),
    ("suspects", {"suspects": Suspects}),
    ("slow", {"slow": Slow}),
    ("impact", {"impact": Impact}),
    ("who", {"who": Who}),
    ("gap", {"gap": Gap}),
    ("export --to json", {"export": Export}),
)
"""Command -> what stands in its JSON beside ``v``, ``selection`` and ``footing``."""

COMMON = {
    "after": "recorded requests of the later release.",
    "before": "recorded requests of the earlier release.",
    "begun": "what the later release ran and the earlier did not.",
    "duration_ms": "until the response was complete.",
    "earlier": "the earlier release.",
    "endpoint": "`GET /orders/{id}`.",
    "error": "qualified name of the exception that left the app, or null.",
    "failed": "recorded requests that failed.",
    "failing": "their share of the weight.",
    "id": "of the request.",
    "later": "the later release.",
    "line": "its number, from 1.",
    "name": "qualified name of the function.",
    "number": "of the line, from 1.",
    "path": "of the file, relative to the project root.",
    "paths": "how many paths.",
    "problem": "why, in words.",
    "release": "deployed version.",
    "requests": "recorded.",
    "share": "of the weight of all requests asked about.",
    "silent": "what the earlier release ran and the later did not.",
    "status": "of the response, or null when none was started.",
    "text": "as written.",
    "time": "start of the request.",
    "trace_id": "of a W3C traceparent, or null.",
    "traffic": "of each endpoint, under both.",
    "unread": "paths whose text is not at hand or cannot be parsed.",
    "weight": "how many requests those stand for.",
    "weight_after": "how many requests those of the later release stand for.",
    "weight_before": "how many requests those of the earlier release stand for.",
}
"""What a key means where its type's docstring takes it for granted."""

JSON_OPENING = """\
# The JSON form of the answers

<!-- Made by docs/generate.py from the types of the answers; edit those, then `make docs`. -->

Every command that answers a question takes `--format json` and prints one object, in ASCII. Within one
`v` no key is removed or changes its meaning; new ones may come. Times are RFC 3339 in UTC, shares go
from 0 to 1, sets are ascending lists. [json.schema.json](json.schema.json) says the same to programs, as
JSON Schema 2020-12 with a definition for each command.

Every object has `v` (1), `selection` (what was asked for), `footing` (what the answer stands on), and:

"""


def classes(kind: Any, found: dict[str, type]) -> dict[str, type]:
    """Every result type that a type is made of, by name, itself first."""
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in found:
            found[kind.__name__] = kind
            for inner in keys(kind).values():
                classes(inner, found)
    else:
        for inner in typing.get_args(kind):
            classes(inner, found)
    return found


def keys(kind: type) -> dict[str, Any]:
    """The keys of a result's JSON, each with the type of its value."""
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for name in names(kind):
        attribute = inspect.getattr_static(kind, name, None)
        if isinstance(attribute, property):
            found[name] = typing.get_type_hints(attribute.fget)["return"]
        else:
            found[name] = hints[name]
    return found


def schema(kind: Any) -> dict[str, Any]:
    """JSON Schema of a type's JSON form."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    simple = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    if kind in simple:
        return {"type": simple[kind]}
    if kind is datetime:
        return {"type": "string", "format": "date-time"}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if isinstance(kind, type) and is_dataclass(kind):
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema(one) for one in inner]}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema(inner[1])}
    if origin is tuple and inner[-1] is not Ellipsis:
        return {"type": "array", "prefixItems": [schema(one) for one in inner]}
    if origin is not None and issubclass(origin, (Sequence, set, frozenset)):
        return {"type": "array", "items": schema(inner[0])}
    raise TypeError(f"{kind} has no JSON Schema")


def whole_schema() -> str:
    """The text of docs/json.schema.json."""
    found: dict[str, type] = {}
    commands = {}
    for command, answer in ANSWERS:
        values = {"selection": Selection, "footing": Footing, **answer}
        for kind in values.values():
            classes(kind, found)
        commands[command] = {
            "type": "object",
            "required": ["v", *values],
            "properties": {"v": {"const": VERSION}, **{name: schema(kind) for name, kind in values.items()}},
        }
    defs: dict[str, Any] = {
        name: {
            "type": "object",
            "required": list(keys(kind)),
            "properties": {key: schema(value) for key, value in keys(kind).items()},
        }
        for name, kind in sorted(found.items())
    }
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The JSON answers of requestcov",
        "$defs": {**defs, **{f"requestcov {command}": text for command, text in commands.items()}},
    }
    return json.dumps(document, indent=1) + "\n"


def meanings(kind: type) -> dict[str, str]:
    """Key -> what the docstrings say of it."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, block = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        for entry in re.split(r"\n(?=    \S)", block.partition("\n\n")[0]):
            head, colon, text = entry.strip().partition(": ")
            if colon:
                for name in head.split(","):
                    found[name.strip()] = " ".join(text.split())
    for name in keys(kind):
        attribute = inspect.getattr_static(kind, name, None)
        if name not in found and isinstance(attribute, property):
            found[name] = (inspect.getdoc(attribute) or "").split("\n\n")[0].replace("\n", " ")
    return found


def written(kind: Any) -> str:
    """A type in a few words, for people."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    words = {str: "text", int: "number", float: "number", bool: "true or false", type(None): "null"}
    if kind in words:
        return words[kind]
    if kind is datetime:
        return "time"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(f"`{member.value}`" for member in kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(written(one) for one in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"object of {written(inner[1])} by name"
    if origin is tuple and inner[-1] is not Ellipsis:
        return "list of " + ", ".join(written(one) for one in inner)
    return f"list of {written(inner[0])}"


def answers() -> str:
    """The text of docs/json.md."""
    rows = ["| command | key | value |", "| --- | --- | --- |"]
    found: dict[str, type] = {}
    for kind in (Selection, Footing):
        classes(kind, found)
    for command, answer in ANSWERS:
        for key, kind in answer.items():
            rows.append(f"| `{command}` | `{key}` | {written(kind)} |")
            classes(kind, found)
    return JSON_OPENING + "\n".join(rows) + "\n" + "\n".join(section(kind) for kind in found.values())


def section(kind: type) -> str:
    """One type, as a heading, a sentence and a table."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]
    said = meanings(kind)

    def rows() -> Iterator[str]:
        for key, value in keys(kind).items():
            meaning = said.get(key, COMMON.get(key, "")).replace("|", "\\|").replace("``", "`")
            yield f"| `{key}` | {written(value)} | {meaning} |"

    return (
        f"\n## {kind.__name__}\n{text}\n\n| key | value | meaning |\n| --- | --- | --- |\n"
        + "\n".join(rows())
        + "\n"
    )


PAGES = {
    "configuration.md": configuration,
    "server-configuration.md": server_configuration,
    "json.md": answers,
    "json.schema.json": whole_schema,
}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
