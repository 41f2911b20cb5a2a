"""How often the line at fault is among the first that ``requestcov suspects`` names.

    python -m tests.bench.bench_localisation [--requests 300] [--every 1] [--lines-only] [--json FILE]

Every one-line fault of tests/bench/mutation is seeded, one at a time, into the
lines that shoppers run: of the shop's domain code, each fault once, by turns
served by FastAPI and by Flask; of the Flask app itself; of the Django test app.
Each runs in a process of its own (tests/bench/seeded_app), under the same
shoppers. A fault counts if it leaves between 1 % and 60 % of the requests to
some endpoint answered with 500, two more at least than without it. In the
endpoint with most more, all answered with 500 are held against those
that did not fail, so failures that the app has of its own are among them.

The rank of a line (or of a branch out of it) is the middle of the places that
its tie shares, so that a tie of ten is worth its sixth place; a function's is
that of its first tie, among functions. With too few requests recorded nothing
is ranked, and the fault counts as not found. Beside the formulas stand what
people have today, the last line of their own code in the traceback, and what a
blind pick among all that the failing requests ran would find.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from requestcov._source import Function, Source, parse
from requestcov.record import parse_lines
from tests.bench.mutation import Fault, faults, seeded
from tests.bench.seeded_app import SEED
from tests.bench.value_faults import FILES, value_faults

ROOT = Path(__file__).parents[2]
DOMAIN = [f"shop/{name}.py" for name in
          ("catalogue", "orders", "payments", "pricing", "recommend", "reports", "shipping")]  # fmt: skip
APPS = ("shop on FastAPI", "shop on Flask", "Django app")
TOP = (1, 3, 5, 10)
FORMULAS = ("ochiai", "tarantula", "dstar", "jaccard")
SAMPLINGS = {
    "full": "every request recorded",
    "tenth": "one request in ten recorded, of the same requests",
    "tenfold": "one request in ten recorded, of ten times as many",
    "full lines": "every request recorded, by lines alone",
    "tenth lines": "one request in ten recorded, of the same requests, by lines alone",
}
KINDS = {
    "mutations": "every one-line fault of tests/bench/mutation: easy ones, for the most part",
    "values": "faults that depend on a value, written by hand (tests/bench/value_faults)",
}
AT_ONCE = 2
Ranks = tuple[float | None, float | None]
"""Of the line, of its function; None: no place."""


def line_rank(ties: Sequence[Any], path: str, line: int) -> float | None:
    """The middle of the places of the first tie that has the line, or a branch out of it."""
    for first, last, parts in ties:
        if _holds(parts, path, line):
            return float(first + last) / 2
    return None


def function_rank(ties: Sequence[Any], path: str, name: str) -> float | None:
    """The middle of the places that a function shares, among functions by their first tie."""
    levels: defaultdict[tuple[int, int], set[tuple[str, str]]] = defaultdict(set)
    for first, last, parts in ties:
        levels[first, last].update((part[0], part[1]) for part in parts)
    above: set[tuple[str, str]] = set()
    for _, functions in sorted(levels.items()):
        new = functions - above
        if (path, name) in new:
            return len(above) + (1 + len(new)) / 2
        above |= new
    return None


def _rank_after(ties: Sequence[Any], path: str, owner: Function, line: int) -> float | None:
    """The rank of the statement after a line: where it fails, that is the first not to be run."""
    after = min((number for number in owner.body if number > line), default=None)
    return None if after is None else line_rank(ties, path, after)


def _holds(parts: Sequence[Any], path: str, line: int) -> bool:
    return any(
        part_path == path and line in parse_lines(lines) | {int(branch.split("-")[0]) for branch in branches}
        for part_path, _, lines, branches in parts
    )


def blind(counts: Sequence[Any]) -> tuple[int, int]:
    """Lines and branches, and functions, that failing requests ran: what a blind pick picks from."""
    parts = [part for failing, _, some in counts if failing for part in some]
    elements = sum(len(parse_lines(lines)) + len(branches) for _, _, lines, branches in parts)
    return elements, len({(path, function) for path, function, _, _ in parts})


def base(app: str) -> Path:
    """Where the app's files are."""
    return ROOT if app == "Django app" else ROOT / "examples" / "shop"


def make_tree(app: str, folder: Path, file: str, text: str | None) -> None:
    """A copy of what the app needs, with one file's text replaced."""
    if app == "Django app":
        copied, name = ROOT / "tests" / "apps", folder / "tests" / "apps"
    else:
        copied, name = ROOT / "examples" / "shop", folder
    shutil.copytree(copied, name, ignore=shutil.ignore_patterns("*.db*", "__pyc*"))
    if text is not None:
        (folder / file).write_text(text)


def run(
    app: str, file: str, text: str | None, requests: int, branch: bool = True, values: bool = False
) -> dict[str, Any] | None:
    """What one tree answers; None when the app does not start or hangs."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(os.path.realpath(directory), "tree")
        make_tree(app, folder, file, text)
        call = f"child({app!r}, {str(folder)!r}, {requests}, {branch}, {values})"
        code = f"from tests.bench.seeded_app import child; {call}"
        # The tree's own tests.apps comes before the checkout's.
        path = os.pathsep.join([str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
                capture_output=True, text=True, timeout=60 + requests,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
    if done.returncode:
        if text is None:  # without a fault in it, it must run
            sys.exit(f"{app} does not run:\n{done.stderr}")
        return None
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def candidates(app: str, healthy: dict[str, Any]) -> Iterator[tuple[str, Fault]]:
    """The faults of an app, in lines of functions that its shoppers run."""
    files = ["tests/apps/django_app.py"] if app == "Django app" else DOMAIN
    some = [(file, fault) for file in files for fault in faults((base(app) / file).read_text())]
    random.Random(SEED).shuffle(some)
    if app != "Django app":  # each once
        some = some[APPS.index(app) :: 2]
    if app == "shop on Flask":
        some += [("flask_app.py", fault) for fault in faults((base(app) / "flask_app.py").read_text())]
    sources: dict[str, Source] = {}
    for file, fault in some:
        source = sources.setdefault(file, parse(file, "", (base(app) / file).read_text()))
        line = source.first.get(fault.line, fault.line)
        if line in source.owner and line in source.statements(healthy["ran"].get(file, ())):
            yield file, fault


def by_hand(app: str) -> list[tuple[str, Fault]]:
    """The faults of an app that depend on values; of the shop's domain each once."""
    if app == "Django app":
        return _written("Django", app)
    domain = _written("shop", app)[APPS.index(app) :: 2]
    return domain + (_written("flask", app) if app == "shop on Flask" else [])


def _written(of: str, app: str) -> list[tuple[str, Fault]]:
    return [(file, fault) for file in FILES[of]
            for fault in value_faults(of, file, (base(app) / file).read_text())]  # fmt: skip


def judge(
    app: str,
    healthy: dict[str, Any],
    requests: int,
    one: tuple[str, Fault],
    branch: bool = True,
    values: bool = False,
) -> dict[str, Any] | str:
    """The ranks of one fault; or why it is none that makes some requests fail."""
    file, fault = one
    broken = seeded((base(app) / file).read_text(), fault)
    answer = run(app, file, broken, requests, branch, values)
    if answer is None:
        return "do not start, or hang"
    # The apps have failures of their own, without any fault seeded.
    known = {name: found["failing"] for name, found in healthy["endpoints"].items()}
    new = {name: found["failing"] - known.get(name, 0) for name, found in answer["endpoints"].items()}
    if not any(failing > 0 for failing in new.values()):
        return "fail no request"
    share = {name: found["failing"] / found["requests"] for name, found in answer["endpoints"].items()}
    fit = [name for name, failing in new.items() if failing >= 2 and 0.01 <= share[name] <= 0.6]
    if not fit:
        return "fail most requests to an endpoint, or fewer than two more"
    endpoint = max(fit, key=lambda name: new[name])
    source = parse(file, "", broken)
    line = source.first.get(fault.line, fault.line)
    owner = source.owner[line]
    usual = {(path, number): count for path, number, count in healthy["last"]}
    raised = [(count - usual.get((path, number), 0), path, number) for path, number, count in answer["last"]]
    more, last_file, last_line = max(raised, default=(0, "", 0))
    here = more > 0 and last_file == file
    result: dict[str, Any] = {
        "app": app, "file": file, "line": fault.line, "kind": fault.kind, "after": fault.after.strip(),
        "function": owner.name, "endpoint": endpoint, "new": new[endpoint],
        "requests": answer["endpoints"][endpoint]["requests"],
        "traceback": here and source.first.get(last_line, last_line) == line,
        "traceback_function": here and owner.line <= last_line <= owner.end,
    }  # fmt: skip
    # Of those that depend on values so many are sent that a tenth is enough.
    again = None if values else run(app, file, broken, 10 * requests, branch) or {"endpoints": {}}
    for sampling, found, key in (
        ("full", answer, "full"),
        ("tenth", answer, "tenth"),
        ("tenfold", again, "tenth"),
        ("full lines", answer, "full lines"),
        ("tenth lines", answer, "tenth lines"),
    ):
        if found is None:
            continue
        ranked = found["endpoints"].get(endpoint, {}).get(key)
        result[sampling] = None if ranked is None else {
            formula: (line_rank(ties, file, line), function_rank(ties, file, owner.name))
            for formula, ties in ranked["formulas"].items()
        }  # fmt: skip
        result["missing " + sampling] = None if ranked is None else {
            formula: (_rank_after(ties, file, owner, line), function_rank(ties, file, owner.name))
            for formula, ties in ranked["missing"].items()
        }  # fmt: skip
        result["counts " + sampling] = ranked and [ranked["failing"], ranked["healthy"], ranked["counts"]]
    full = answer["endpoints"][endpoint]["full"]
    if full is not None:
        result["picked_from"] = blind(full["counts"])
        ran_it = [(ef, ep) for ef, ep, parts in full["counts"] if _holds(parts, file, line)]
        result["ran_it"] = [*max(ran_it, default=(0, 0)), full["failing"], full["healthy"]]
    return result


def either(ranks: Ranks) -> float | None:
    """The better of the line's and its function's."""
    return min((rank for rank in ranks if rank is not None), default=None)


def within(
    results: Sequence[dict[str, Any]], sampling: str, formula: str, best: Callable[[Ranks], Any]
) -> str:
    """Shares of all faults whose rank is up to 1, 3, 5, 10; one that was not ranked is not found."""
    ranks = [best(r[sampling][formula]) if r[sampling] else None for r in results]
    return _row([sum(rank is not None and rank <= top for rank in ranks) / len(ranks) for top in TOP])


def _row(shares: Sequence[float]) -> str:
    return "".join(f"{share:8.0%}" for share in shares)


def _run_by_healthy(result: dict[str, Any]) -> bool:
    """Whether the fault shows in some requests that run it only: those are the hard ones."""
    return bool(result.get("ran_it", [0, 0])[1])


def find(
    requests: int, every: int, branch: bool, values: bool = False
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """All faults that count, and how many do not, by why; ``values``: those written by hand."""
    results: list[dict[str, Any]] = []
    others: Counter[str] = Counter()
    for app in APPS:
        healthy = run(app, "", None, requests, branch, values)
        assert healthy is not None
        some = (by_hand(app) if values else list(candidates(app, healthy)))[::every]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            judged = pool.map(partial(judge, app, healthy, requests, branch=branch, values=values), some)
            for number, found in enumerate(judged, 1):
                if isinstance(found, str):
                    others[found] += 1
                else:
                    results.append(found)
                if sys.stderr.isatty():
                    end = "\n" if number == len(some) else ""
                    print(
                        f"\r{app}: {number} of {len(some)} tried, {len(results)} count",
                        end=end,
                        file=sys.stderr,
                    )
    return results, others


def tell(results: Sequence[dict[str, Any]], others: Counter[str]) -> None:
    """Print the tables, and what was not found."""
    apps = Counter(result["app"] for result in results)
    lines = {(result["file"], result["line"]) for result in results}
    print(f"{len(results)} faults on {len(lines)} lines make some requests fail: "
          + ", ".join(f"{count} in {app}" for app, count in apps.items()))  # fmt: skip
    print("others seeded: " + ", ".join(f"{count} {why}" for why, count in others.most_common()))
    kinds = (("the line", lambda r: r[0]), ("its function", lambda r: r[1]), ("either", either))
    for sampling, words in SAMPLINGS.items():
        if sampling not in results[0]:
            continue
        few = sum(result[sampling] is None for result in results)
        print(f"\n{words}; for {few} of {len(results)} faults too few failed or did not to rank anything")
        print(f"{'share of faults in the top':38}" + "".join(f"{top:>8}" for top in TOP))
        for formula in FORMULAS:
            for name, best in kinds:
                print(f"  {formula:10} {name:25}" + within(results, sampling, formula, best))
        for formula in FORMULAS if "missing " + sampling in results[0] else ():
            for name, best in (("the statement after", kinds[0][1]), ("its function", kinds[1][1])):
                print(
                    f"  missing: {formula:10} {name:19}"
                    + within(results, "missing " + sampling, formula, best)
                )
    print("\nto compare with")
    for name, key in (("the line", "traceback"), ("its function", "traceback_function")):
        print(f"  {'traceback':10} {name:25}{sum(r[key] for r in results) / len(results):8.0%}")
    for index, name in enumerate(("the line", "its function")):
        sizes = [result["picked_from"][index] for result in results if "picked_from" in result]
        picked = [sum(min(1, top / size) for size in sizes) / len(sizes) for top in TOP]
        print(
            f"  {'blind pick':10} {name:25}"
            + _row(picked)
            + f"  among {sorted(sizes)[len(sizes) // 2]} (median)"
        )
    print("\nby Ochiai, every request recorded, apart by whether healthy requests ran the line at fault too")
    for words, some in (("none did", [r for r in results if not _run_by_healthy(r)]),
                        ("some did", [r for r in results if _run_by_healthy(r)])):  # fmt: skip
        for name, best in kinds if some else ():
            print(f"  {words}, {len(some):3} faults: {name:16}" + within(some, "full", "ochiai", best))
    by_kind: defaultdict[str, list[bool]] = defaultdict(list)
    print("\nnot in the top 5 by Ochiai, line or function, with every request recorded:")
    for result in results:
        ranks = result["full"] and result["full"]["ochiai"]
        rank = either(ranks) if ranks else None
        by_kind[result["kind"]].append(rank is not None and rank <= 5)
        if rank is None or rank > 5:
            failing, healthy, of_failing, of_healthy = result.get("ran_it", [0, 0, 0, 0])
            print(
                f"  {result['app']} {result['file']}:{result['line']} {result['function']}: {result['after']}"
            )
            print(f"      {result['kind']}; {result['endpoint']}; line and function rank {ranks}")
            print(
                f"      run by {failing} of {of_failing} failing, {healthy} of {of_healthy} healthy requests"
            )
    print("\nfound in the top 5, by kind: "
          + ", ".join(f"{kind} {sum(ok)} of {len(ok)}" for kind, ok in sorted(by_kind.items())))  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=300, help="sent to each (default: 300)")
    parser.add_argument("--every", type=int, default=1, help="try only every so many'th fault (default: 1)")
    parser.add_argument("--lines-only", action="store_true", help="record no branches beside the lines")
    parser.add_argument("--only", choices=("mutations", "values"), help="one of the two kinds of faults")
    parser.add_argument("--json", help="where the ranks and counts of each fault are to be written")
    options = parser.parse_args()
    everything = []
    for kind, words in KINDS.items():
        if options.only not in (None, kind):
            continue
        results, others = find(options.requests, options.every, not options.lines_only, kind == "values")
        if not results:
            sys.exit(f"none of {others.total()} faults makes some requests fail: try more requests")
        print(f"\n{words}\n{'=' * len(words)}")
        tell(results, others)
        everything += [{"by": kind, **result} for result in results]
    if options.json:
        Path(options.json).write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
