"""Write the pages that are made from the code: docs/configuration.md from the table of options.

Run by ``make docs``; a test compares what is committed with what this makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from requestcov.config import OPTIONS, Option

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


if __name__ == "__main__":
    (HERE / "configuration.md").write_text(configuration(), encoding="utf-8")
