"""coverage.py's data file, with a context for each endpoint.

Law: coverage.py finds every file and line in it where the working tree has them.
"""

from __future__ import annotations

import os
from dataclasses import replace

from coverage import CoverageData

from requestcov.analysis.export import Export, ExportedFile, LeftOut
from requestcov.reports.export import legible


def nameable(export: Export) -> Export:
    """The export without the files whose names a data file cannot hold; they are left out and named."""
    files = tuple(file for file in export.files if _is_text(file.path))
    left = tuple(_left(file) for file in export.files if not _is_text(file.path))
    return replace(export, files=files, left_out=(*export.left_out, *left))


def _is_text(path: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in path)


def _left(file: ExportedFile) -> LeftOut:
    lines = len(frozenset().union(*file.ran.values()))
    why = "its name is not UTF-8, and coverage.py's file has no other"
    return LeftOut(file.path, file.digest, lines, why)


def write(export: Export, root: str, relative: bool, name: str) -> None:
    """Write a data file where there is none.

    Args:
        root: absolute path of the working tree.
        relative: whether files are named relative to it, as coverage.py's ``relative_files`` wants it.
        name: of the file to be written.
    """
    data = CoverageData(basename=name)
    try:
        endpoints = sorted({endpoint for file in export.files for endpoint in file.ran})
        for endpoint in endpoints:
            data.set_context(legible(endpoint))
            files = {
                file.path if relative else os.path.join(root, *file.path.split("/")): file
                for file in export.files
                if endpoint in file.ran
            }
            if export.branches:
                # What is recorded are branches. That a line ran, and no more, is an arc to itself:
                # coverage.py counts its line, and no branch.
                data.add_arcs(
                    {
                        path: {*(file.arcs or {})[endpoint], *((line, line) for line in file.ran[endpoint])}
                        for path, file in files.items()
                    }
                )
            else:
                data.add_lines({path: file.ran[endpoint] for path, file in files.items()})
        data.write()
    finally:
        data.close()
