"""Faults that show for some values only, written by hand into lines that healthy requests run too.

Laws: a fault is one line; all were written before any was ranked, and none was left out
for its rank. Each is a mistake that people make: a value that is not always there, a table
that lacks an entry, a size that can be nought, an index too far, a text that is not ASCII,
a calendar that has no such day.
"""

from __future__ import annotations

from tests.bench.mutation import Fault

_SHIPPING, _CATALOGUE = "shop/shipping.py", "shop/catalogue.py"
_PRICING, _RECOMMEND, _FLASK = "shop/pricing.py", "shop/recommend.py", "flask_app.py"
_DJANGO = "tests/apps/django_app.py"

# App, file, what is wrong, a part of one line (or of the last that has it), what stands there instead.
_WRITTEN = (
    ("shop", _SHIPPING, "missing default", "FREE_FROM.get(where, subtotal + 1)", "FREE_FROM[where]"),
    ("shop", _SHIPPING, "wrong table", "_PER_KILO[where] * (", "_FREIGHT[where] * ("),
    ("shop", _SHIPPING, "wrong operator", "_PER_KILO[where] * (", "_PER_KILO[where] // ("),
    ("shop", _CATALOGUE, "wrong index", '" AND ".join(where)', 'f"{where[0]} AND {where[1]}"'),
    ("shop", _CATALOGUE, "missing empty check", "-(-total // PAGE)", "-(-total // min(PAGE, len(rows)))"),
    ("shop", _CATALOGUE, "wrong slice", "values).fetchone()[0]", "values[:1]).fetchone()[0]"),
    ("shop", _CATALOGUE, "wrong bounds check", 'if len(word) > 3 and word.endswith("s")',
     'if word[3] and word.endswith("s")'),
    ("shop", _CATALOGUE, "missing empty check",
     "sorted(counts, key=lambda category: (-counts[category], category))", "[max(counts, key=counts.get)]"),
    ("shop", _CATALOGUE, "missing zero check", '"available": row["stock"] > 0',
     '"available": 50_000 // row["stock"] > 0'),
    ("shop", _CATALOGUE, "wrong rounding", '"grams": row["grams"], "text"',
     '"grams": row["cents"] // (row["grams"] // 500), "text"'),
    ("shop", "shop/orders.py", "missing None check", "wanted = quantity if held is None else",
     "wanted = quantity if quantity == 1 else"),
    ("shop", _PRICING, "missing entry", '_REDUCED[country] if item.category == "books" else _VAT[country]',
     '{"books": _REDUCED, "kitchen": _VAT, "home": _VAT}[item.category][country]'),
    ("shop", _PRICING, "wrong comparison", "    if country not in _VAT:",
     '    if country in ("US", "CH", "JP"):'),
    ("shop", _PRICING, "wrong key", "COUPONS.get(code.strip().upper())", "COUPONS[code.strip().upper()]"),
    ("shop", _PRICING, "missing empty check", "worth = sum(item.total for item in eligible)",
     "worth = max(item.total for item in eligible)"),
    ("shop", _RECOMMEND, "missing empty check", 'reason = "bought together" if chosen else "same category"',
     """reason = f"bought {together[0]['times']} times together\""""),
    ("shop", _RECOMMEND, "wrong constant", '"?" * len(chosen)', '"?" * LIMIT'),
    ("flask", _FLASK, "missing check", 'page = web.required(web.integer(request.args, "page", 1), "page")',
     'page = int(request.args.get("page", "1"))'),
    ("flask", _FLASK, "wrong rounding", '"cents": shipping.cost(country, grams, subtotal, express)}',
     '"per_kilo": shipping.cost(country, grams, subtotal, express) // (grams // 1000)}'),
    ("flask", _FLASK, "missing empty check", "catalogue.suggest_categories(conn, query)",
     "catalogue.suggest_categories(conn, query)[0]"),
    ("flask", _FLASK, "index too far", "return catalogue.details(conn, slug)",
     'return {"seventh": catalogue.details(conn, slug)["text"].split()[6]}'),
    ("flask", _FLASK, "index too far", "return recommend.recommend(conn, slug)",
     'return {"fourth": recommend.recommend(conn, slug)["products"][3]}'),
    ("Django", _DJANGO, "missing default", 'request.GET.get("name")', 'request.GET["name"]'),
    ("Django", _DJANGO, "wrong encoding", 'f"hello {name}"', 'f"hello {name}".encode("latin-1")'),
    ("Django", _DJANGO, "index too far", "return len(slug) * 100", "return ord(slug[6]) * 100"),
    ("Django", _DJANGO, "missing entry", "total += ord(char) % 3",
     'total += "0123456789abcdefghijklmnopqrstuvwxyz".index(char) % 3'),
    ("Django", _DJANGO, "wrong calculation", "self.cents * 19 // 100",
     "self.cents * 19 // (1_000 - self.cents)"),
    ("Django", _DJANGO, "off by one", 'f"{sum(item.cents for item in self.items)} cents"',
     'f"{sum(item.cents for item in self.items) // (len(self.items) - 1)} cents"'),
    ("Django", _DJANGO, "wrong encoding", "text.upper(), status=201", 'text.encode("ascii"), status=201'),
    ("Django", _DJANGO, "missing empty check", 'request.POST.get("text", "")',
     'request.POST.get("text", "").split()[0]'),
    ("Django", _DJANGO, "wrong calendar", 'return HttpResponse(f"archive of {year}")',
     'from datetime import date; return HttpResponse(f"until {date(int(year), 2, 29)}")'),
    ("Django", _DJANGO, "off by one", 'return JsonResponse({"order": number, "kind": "even"})',
     'from datetime import date; return JsonResponse({"month": date(2026, number % 12, 1)})'),
    ("Django", _DJANGO, "wrong calendar", "if number % 2:",
     'if __import__("datetime").date(2026, 2, number % 30 + 1).day % 2:'),
    ("Django", _DJANGO, "wrong time zone", 'return JsonResponse({"order": number, "kind": "odd"})',
     "from datetime import timedelta, timezone; "
     'return JsonResponse({"zone": str(timezone(timedelta(hours=number % 30)))})'),
    ("Django", _DJANGO, "missing zero check", "first + second", "first // (second - first)"),
)  # fmt: skip


def value_faults(app: str, file: str, text: str) -> list[Fault]:
    """Those written for one file of an app, ``shop``, ``flask`` or ``Django``.

    Raises:
        ValueError: a line that one is written for is no longer there.
    """
    found = []
    for of, name, kind, before, after in _WRITTEN:
        if (of, name) == (app, file):
            lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if before in line]
            if not lines:
                raise ValueError(f"no line of {file} has {before!r}")
            number, line = lines[-1]
            found.append(Fault(number, kind, line, line.replace(before, after)))
    return found


FILES = {app: sorted({name for of, name, *_ in _WRITTEN if of == app}) for app in ("shop", "flask", "Django")}
"""App -> the files that faults are written for."""
