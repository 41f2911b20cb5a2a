"""From a finished recording to a RequestRecord; runs in the drainer.

Laws: the sets a recording hands over are read, never kept; what the same lines
of the same file yield is derived once and shared; what is remembered for that
is bounded.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable

from requestcov import _coverage
from requestcov._decoding import decode_source
from requestcov.config import Config
from requestcov.engines import Found, merge
from requestcov.record import Arc, Block, RequestRecord
from requestcov.recording import Recording
from requestcov.scope import Scope

MAX_BLOCKS = 4000
"""Remembered blocks; one takes about 2.5 kB at 40 lines."""


class Assembler:
    """Makes records; one per recorder, used by one thread at a time."""

    def __init__(self, config: Config, scope: Scope, engine: str, arcs: bool) -> None:
        self._config = config
        self._scope = scope
        self._engine = engine
        self._arcs = arcs
        self._blocks: dict[tuple[str, frozenset[int]], Block] = {}
        self._possible: dict[tuple[str, str], _coverage.Parsed | None] = {}

    def assemble(self, recording: Recording) -> RequestRecord:
        """One finished recording as a record; raises only on a defect of ours."""
        blocks, background = self._collected(recording.before, recording.after)
        return RequestRecord(
            id=recording.id,
            time=recording.time,
            service=self._config.service,
            release=self._config.release,
            worker=f"{platform.node()}:{recording.pid}",
            seq=recording.seq,
            method=recording.method,
            route=recording.route or recording.fallback,
            status=recording.status,
            duration_ms=(recording.duration or 0.0) * 1000,
            error=recording.error,
            sampled_by=recording.decision.policy,
            weight=recording.decision.weight,
            partial=recording.partial,
            engine=self._engine,
            labels={**self._config.labels, **recording.labels},
            trace_id=recording.trace_id,
            blocks=blocks,
            background=background,
        )

    def _collected(self, before: Found | None, after: Found) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
        last = merge(after)
        if before is None:
            return self._named((name, frozenset(lines)) for name, lines in last.items()), ()
        whole = {name: frozenset(lines) for name, lines in merge(before).items()}
        later: dict[str, frozenset[int]] = {}
        for name, lines in last.items():
            seen = whole.get(name, frozenset())
            new = frozenset(lines) - seen
            if new:
                later[name] = new
                whole[name] = seen | new
        return self._named(whole.items()), self._named(later.items())

    def _named(self, collected: Iterable[tuple[str, frozenset[int]]]) -> tuple[Block, ...]:
        blocks = [self._block(name, lines) for name, lines in collected if lines]
        blocks.sort(key=_path)
        return tuple(blocks)

    def _block(self, name: str, raw: frozenset[int]) -> Block:
        # Taken out and put back: the dict's order is the order of last use.
        block = self._blocks.pop((name, raw), None)
        if block is None:
            path, digest = self._scope.identify(name)
            if self._arcs:
                arcs = _coverage.unpack_arcs(raw)
                # An arc's first line may have run before the request came to this frame.
                lines = frozenset(line for _, line in arcs if line > 0)
                block = Block(path, digest, lines, self._branches(path, digest, arcs))
            else:
                block = Block(path, digest, raw)
            if not digest:
                return block  # its version may be known next time
            if len(self._blocks) >= MAX_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
        self._blocks[name, raw] = block
        return block

    def _branches(self, path: str, digest: str, arcs: Iterable[Arc]) -> frozenset[Arc]:
        """The arcs that leave a line with more than one way on, by coverage.py's parser."""
        key = (path, digest)
        if key not in self._possible:
            self._possible[key] = self._parse(path, digest)
        parsed = self._possible[key]
        return frozenset() if parsed is None else parsed.taken(arcs)

    def _parse(self, path: str, digest: str) -> _coverage.Parsed | None:
        text = self._scope.text(path, digest)
        if text is None:
            return None
        try:
            source = decode_source(text, path)
            return _coverage.parse(source, path, self._scope.settings.exclude_lines)
        except SyntaxError:
            return None


def _path(block: Block) -> str:
    return block.path
