"""What /openapi.json says is what the server does, for requests that nobody thought of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lmos.model.base import BaseModel
from lmos.server.app import make_app
from lmos.server.settings import ServerConfig
from lmos.session import Session
from serving import TEXT

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

_PATIENCE_SECONDS = 100
"""For one request; by default a machine that does much else is too slow."""

SETTINGS = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_every_route_does_what_is_described(tiny_llama: BaseModel, tmp_path: Path) -> None:
    with Session.create(tmp_path / "life.lmos", tiny_llama) as session:
        session.add("diary", TEXT)
    name = tiny_llama.name
    app = make_app(ServerConfig(tmp_path, load=lambda *_: tiny_llama, default_model=name))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    found: list[Any] = list(schema.get_all_operations())
    operations = [each.ok() for each in found]
    assert {operation.path for operation in operations} == set(app.openapi()["paths"])
    for operation in operations:
        _validate_some(operation)
    app.state.serving.close()


def _validate_some(operation: Any) -> None:
    @SETTINGS
    @given(operation.as_strategy())
    def validate(case: Any) -> None:
        _validate(case)

    validate()


def _validate(case: Any) -> None:
    """One request that fits the description; most go to the store that there is."""
    for name in ("store", "vector_store_id"):
        if name in case.path_parameters and case.operation.label != "DELETE /stores/{store}":
            case.path_parameters[name] = "life"
    case.call_and_validate(checks=CHECKS, timeout=_PATIENCE_SECONDS)
