"""The OpenAPI description says what is served: requests made from it are answered as it says."""

from __future__ import annotations

import json
import os

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from requestcov.server.collector.app import Collector
from requestcov.server.collector.openapi import description
from requestcov.server.settings import Settings
from requestcov.wire import encode
from tests.server.collector.running import READ, WRITE, Collecting
from tests.storage.samples import batch, record

EXAMPLES = int(os.environ.get("DESCRIPTION_EXAMPLES", "15"))
"""Of each path and kind. A campaign takes more."""

PATHS = ("/v1/batches", "/healthz", "/readyz", "/metrics", "/openapi.json")
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("path", "mode", "examples"),
    [
        (PATHS[0], schemathesis.GenerationMode.POSITIVE, EXAMPLES),
        (PATHS[0], schemathesis.GenerationMode.NEGATIVE, EXAMPLES),
        # The others take nothing that could be wrong.
        *((path, schemathesis.GenerationMode.POSITIVE, 3) for path in PATHS[1:]),
    ],
)
def test_requests_made_from_the_description_are_answered_as_it_says(
    collector: Collecting, path: str, mode: schemathesis.GenerationMode, examples: int
):
    """And none with a server error."""
    schema = schemathesis.openapi.from_dict(collector.client.get("/openapi.json").json())
    method, token = ("POST", WRITE) if path == "/v1/batches" else ("GET", READ)

    @settings(max_examples=examples, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(schema[path][method].as_strategy(mode))
    def ask(case: schemathesis.Case) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        response = case.call(base_url=collector.server.url, headers=headers)
        case.validate_response(response, checks=CHECKS)

    ask()


def test_a_batch_of_ours_is_one_of_the_description(collector: Collecting):
    told = collector.client.get("/openapi.json").json()
    schema = {"$ref": "#/components/schemas/Batch", "components": told["components"]}
    check = jsonschema.Draft202012Validator(schema)
    whole = json.loads(encode(batch([record(1), record(2, status=None, trace_id="0" * 32)])))
    check.validate(whole)
    for name in whole:
        with pytest.raises(jsonschema.ValidationError):
            check.validate({key: value for key, value in whole.items() if key != name})


def test_every_path_that_is_served_is_described_and_no_other(tmp_path):
    served = {path for path, _ in Collector(Settings(), str(tmp_path / "x.db")).routes()}
    assert served == set(description(Settings())["paths"]) == set(PATHS)


def test_a_path_without_a_token_is_answered_as_described(collector: Collecting):
    told = collector.client.get("/openapi.json").json()["paths"]
    for path, methods in told.items():
        for method, operation in methods.items():
            response = collector.client.request(method, path)
            assert str(response.status_code) in operation["responses"]
            assert (response.status_code == 401) == bool(operation["security"])
