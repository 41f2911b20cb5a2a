"""Why a batch, or any request, is not taken: a status and one sentence.

Law: the sentence says what was wrong and what would be right, for the sender alone; no status
of 500 and up is given because of what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse


class Refusal(Exception):
    """A request is not taken.

    Attributes:
        status: of the response.
        sentence: for the sender.
        headers: of the response.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """What is answered."""
        return JSONResponse({"error": self.sentence}, self.status, self.headers)


def later(status: int, sentence: str, seconds: int) -> Refusal:
    """A refusal for now: the same request may be taken after so many seconds."""
    return Refusal(status, sentence, {"Retry-After": str(seconds)})
