"""What stored texts may do to a terminal: nothing."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.table import Table
from rich.text import Text

from requestcov.reports.terminal import Name, Rows, clean, percent, write


@given(st.text())
def test_a_cleaned_text_is_printable_and_a_clean_one_is_unchanged(text):
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert clean(cleaned) == cleaned
    cleaned.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\r\nb", "a\\r\\nb"),
        ("\u202eabc", "\\u202eabc"),
        ("\x9b2J", "\\x9b2J"),
        ("caf\u00e9 \u6f22", "caf\u00e9 \u6f22"),
        ("bytes \udcff", "bytes \\udcff"),
        ("[red]markup[/red]", "[red]markup[/red]"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text, shown):
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (None, "-"),
        (0.0, "0%"),
        (1e-9, "<1%"),
        (0.01, "1%"),
        (0.734, "73%"),
        (0.99, "99%"),
        (0.9999, ">99%"),
        (1.0, "100%"),
    ],
)
def test_only_all_is_100_percent_and_only_nothing_is_0(fraction, shown):
    assert percent(fraction) == shown


def test_without_a_terminal_there_is_no_colour_and_no_trailing_space():
    stream = io.StringIO()
    write(stream, [Text("red  ", style="red"), "plain"])
    assert stream.getvalue() == "red\nplain\n"


CELLS = st.text("abc é界/", max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6))
def test_a_table_put_together_at_once_is_as_rich_lays_it_out(rows):
    """Where nothing is folded."""

    def printed(made: Table) -> str:
        made.add_column("where")
        for heading in ("n", "share of all"):
            made.add_column(heading, justify="right", no_wrap=True)
        for name, one, other in rows:
            made.add_row(Name(name), one, Text(other, style="red"))
        stream = io.StringIO()
        write(stream, [made])
        return stream.getvalue()

    assert printed(Rows()) == printed(
        Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    )
