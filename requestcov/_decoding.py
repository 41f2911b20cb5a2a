"""From the bytes of a source file to its text, as Python itself reads them.

Law: never raises; what cannot be decoded is replaced, so that lines keep their numbers.
"""

from __future__ import annotations

import importlib.util


def decode_source(text: bytes, filename: str) -> str:
    """Python source bytes to text, by its coding cookie; undecodable bytes are replaced."""
    try:
        return str(importlib.util.decode_source(text))
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return text.decode("utf-8", "replace")
