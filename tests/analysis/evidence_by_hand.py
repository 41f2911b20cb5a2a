"""Evidence made by hand: texts and runs, without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from requestcov._source import digest_of
from requestcov.analysis.evidence import Counts, Evidence, Footing, Run, Sources


def build(
    texts: Mapping[str, Sequence[str | None]],
    runs: Sequence[tuple[str, str, int, set[int], int, float]],
    seen: Mapping[str, int] | None = None,
) -> Evidence:
    """``build({"shop/views.py": [old, new]}, [(endpoint, path, version, lines, requests, weight)])``.

    ``version`` is an index into the path's texts; a text of None has no source.
    """

    def digest(path: str, version: int) -> str:
        text = texts[path][version]
        return digest_of((text or f"unknown {version}").encode())

    stored = {
        (path, digest(path, version)): text.encode()
        for path, versions in texts.items()
        for version, text in enumerate(versions)
        if text is not None
    }
    made = [Run(e, p, digest(p, v), frozenset(lines), n, w) for e, p, v, lines, n, w in runs]
    counts: dict[str, Counts] = {}
    for name in {run.endpoint for run in made}:
        # In these examples the runs of one file of an endpoint are all its requests.
        first = next(run.path for run in made if run.endpoint == name)
        own = [run for run in made if run.endpoint == name and run.path == first]
        counts[name] = Counts(sum(r.requests for r in own), sum(r.weight for r in own), 0)
    records = sum(count.requests for count in counts.values())
    footing = Footing(
        store="sqlite:///example.db",
        seen=sum((seen or {}).values()),
        excluded=0,
        sampled=records,
        stored=records,
        dropped={},
        pending=0,
        records=records,
        weight=sum(count.weight for count in counts.values()),
        failed=0,
        partial={},
        first=None,
        last=None,
        releases=("r1",),
        services=("shop",),
        engines=("monitoring",),
        workers=1,
    )
    return Evidence(
        footing=footing,
        counts=counts,
        seen=seen or {},
        runs=tuple(made),
        newest={path: digest(path, len(versions) - 1) for path, versions in texts.items()},
        source=Sources(lambda path, name: stored.get((path, name))),
    )
