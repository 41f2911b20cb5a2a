"""The collector's OpenAPI 3.1 description, with the limits it was started with.

Law: it says exactly what is served: every path, every status, every field that is asked for.
"""

from __future__ import annotations

from typing import Any

from requestcov import __version__
from requestcov.checks import MAX_COUNT, MAX_LABELS, MAX_PATH, MAX_TEXT
from requestcov.server.collector.metrics import CONTENT_TYPE as METRICS_TYPE
from requestcov.server.settings import Settings
from requestcov.wire import PATH

JSON = dict[str, Any]

_TEXT: JSON = {"type": "string", "maxLength": MAX_TEXT}
_COUNT: JSON = {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}
_TIME: JSON = {
    "type": "string",
    "format": "date-time",
    "description": "RFC 3339 with an offset from UTC, of the years 1970 to 9999.",
}
_LINES = "[1-9][0-9]{0,6}(-[1-9][0-9]{0,6})?"
_DIGEST: JSON = {"type": "string", "pattern": "^[0-9a-f]{0,128}$"}
_FILE_PATH: JSON = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_PATH,
    "description": "Relative to the project's root, with /; no part of it is ..",
}

_REFUSALS = {
    400: "The request or the document is malformed; the sentence says where.",
    401: "No token, or one that is not known.",
    403: "A token of the other kind, a host name that is not allowed, or a page of another site.",
    404: "No such path.",
    405: "The path does not take this method.",
    408: "The body was not whole in time.",
    411: "Neither a Content-Length nor chunked.",
    413: "The body, the document or the number of its records is beyond the limit.",
    415: "Another type than application/json, or another encoding than gzip and identity.",
    422: "The document is well-formed, and the store does not take a value in it.",
    429: "The token has sent as much as it may today.",
    503: "Not now: the queue is full, the store cannot be written, or the collector is shutting down.",
}
_HEADERS = {
    401: ("WWW-Authenticate", "The scheme to authenticate by.", {"type": "string"}),
    405: ("Allow", "The methods that the path takes.", {"type": "string"}),
    429: ("Retry-After", "Seconds.", {"type": "integer", "minimum": 1}),
    503: ("Retry-After", "Seconds.", {"type": "integer", "minimum": 1}),
}


def description(settings: Settings) -> JSON:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "requestcov collector",
            "version": __version__,
            "description": "Takes batches of records of requests, and keeps each record once.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            PATH: {"post": _post(settings)},
            "/healthz": {"get": _get("alive", "Whether the process answers.", _status("alive"))},
            "/readyz": {
                "get": _get("ready", "Whether a batch that came now would be kept.", _status("ready"), 503)
            },
            "/metrics": {"get": _metrics(settings)},
            "/openapi.json": {"get": _get("openapi", "This description.", {"type": "object"})},
        },
        "components": {
            "securitySchemes": {
                "writeToken": {"type": "http", "scheme": "bearer", "description": "A write token."},
                "readToken": {"type": "http", "scheme": "bearer", "description": "A read token."},
            },
            "responses": {str(status): _refusal(status) for status in _REFUSALS},
            "schemas": _schemas(settings),
        },
    }


def _post(settings: Settings) -> JSON:
    kept = {
        "description": "Every record is committed: now (new), before (known), or it is from before the"
        " store was pruned (late) and counted as such.",
        "content": {"application/json": {"schema": _ref("Kept")}},
    }
    return {
        "operationId": "keepBatch",
        "summary": "Keep a batch of records.",
        "description": f"At most {settings.max_body} bytes as they are sent, {settings.max_document}"
        f" decompressed, and {settings.max_records} records. Sending a batch again adds nothing.",
        "security": [{"writeToken": []}],
        "parameters": [
            {
                "name": "Content-Encoding",
                "in": "header",
                "schema": {"enum": ["gzip", "identity"], "default": "identity"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("Batch")}},
        },
        "responses": {"200": kept, **_refusals(400, 401, 403, 408, 411, 413, 415, 422, 429, 503)},
    }


def _metrics(settings: Settings) -> JSON:
    return {
        "operationId": "metrics",
        "summary": "The collector's numbers, for Prometheus.",
        "security": [{"readToken": []}],
        "responses": {
            "200": {
                "description": "In Prometheus' text format.",
                "content": {METRICS_TYPE: {"schema": {"type": "string"}}},
            },
            **_refusals(401, 403),
        },
    }


def _get(name: str, summary: str, schema: JSON, *statuses: int) -> JSON:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {
            "200": {"description": summary, "content": {"application/json": {"schema": schema}}},
            **_refusals(403, *statuses),
        },
    }


def _status(word: str) -> JSON:
    return {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"const": word}},
        "additionalProperties": False,
    }


def _refusals(*statuses: int) -> JSON:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in (*statuses, 405)}


def _refusal(status: int) -> JSON:
    found: JSON = {
        "description": _REFUSALS[status],
        "content": {"application/json": {"schema": _ref("Refusal")}},
    }
    if status in _HEADERS:
        name, said, schema = _HEADERS[status]
        found["headers"] = {name: {"description": said, "required": True, "schema": schema}}
    return found


def _ref(name: str) -> JSON:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: JSON, optional: tuple[str, ...] = ()) -> JSON:
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }


def _or_null(schema: JSON) -> JSON:
    return {"anyOf": [schema, {"type": "null"}]}


def _number_in(table: str) -> JSON:
    return {"type": "integer", "minimum": 0, "description": f"Which of {table}, from 0."}


def _schemas(settings: Settings) -> JSON:
    counts = {"type": "object", "propertyNames": _TEXT, "additionalProperties": _COUNT}
    return {
        "Refusal": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"type": "string", "description": "One sentence."}},
            "additionalProperties": False,
        },
        "Kept": {
            **_object(
                {
                    "id": {"type": "string"},
                    **{
                        name: {"type": "integer", "minimum": 0}
                        for name in ("records", "new", "known", "late")
                    },
                }
            ),
            "additionalProperties": False,
        },
        "Batch": _object(
            {
                "v": {"const": 1},
                "id": {"type": "string", "pattern": "^[!-~]{1,100}$"},
                "ledger": _ref("Ledger"),
                "files": {"type": "array", "items": _ref("File")},
                "blocks": {"type": "array", "items": _ref("Block")},
                "spectra": {
                    "type": "array",
                    "items": {"type": "array", "items": _number_in("blocks")},
                    "description": "Each an execution path: blocks of which no two are of one file's path.",
                },
                "records": {"type": "array", "items": _ref("Record"), "maxItems": settings.max_records},
                "sources": {"type": "array", "items": _ref("Source")},
            }
        ),
        "File": {
            "type": "array",
            "prefixItems": [_FILE_PATH, _DIGEST],
            "minItems": 2,
            "maxItems": 2,
            "description": "A version of a file: its path and its source's digest.",
        },
        "Block": {
            "type": "array",
            "prefixItems": [
                _number_in("files"),
                {
                    "type": "string",
                    "pattern": f"^({_LINES}(,{_LINES})*)?$",
                    "description": "Ascending ranges of lines up to 1000000.",
                },
                {"type": "array", "items": {"type": "string", "pattern": "^-?[0-9]{1,9}--?[0-9]{1,9}$"}},
            ],
            "minItems": 2,
            "maxItems": 3,
            "description": "The lines that ran in a file, and the branches where those were measured.",
        },
        "Record": _object(
            {
                "id": {"type": "string", "minLength": 1, "maxLength": 100},
                "time": _TIME,
                "service": _TEXT,
                "release": _TEXT,
                "worker": _TEXT,
                "seq": _COUNT,
                "method": _TEXT,
                "route": _TEXT,
                "status": _or_null({"type": "integer", "minimum": 0, "maximum": 65_535}),
                "duration_ms": {"type": "number", "minimum": 0, "maximum": 1e12},
                "error": _or_null(_TEXT),
                "sampled_by": _TEXT,
                "weight": {"type": "number", "minimum": 1, "maximum": 1e18},
                "partial": _or_null(_TEXT),
                "engine": _TEXT,
                "labels": {
                    "type": "object",
                    "propertyNames": _TEXT,
                    "additionalProperties": _TEXT,
                    "maxProperties": MAX_LABELS,
                },
                "trace_id": _or_null({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
                "spectrum": _number_in("spectra"),
                "background": _or_null(_number_in("spectra")),
            },
            ("background",),
        ),
        "Ledger": _object(
            {
                **dict.fromkeys(("worker", "boot", "service", "release"), _TEXT),
                "started": _TIME,
                "updated": _TIME,
                "seen": counts,
                **dict.fromkeys(("excluded", "sampled", "stored"), _COUNT),
                "dropped": counts,
                "pending": _COUNT,
            }
        ),
        "Source": {
            **_object({"path": _FILE_PATH, "digest": _DIGEST}),
            "oneOf": [
                {"required": ["text"], "properties": {"text": {"type": "string"}}},
                {
                    "required": ["base64"],
                    "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
                },
            ],
            "description": "The text of a version of a file, or its bytes where they are not UTF-8.",
        },
    }
