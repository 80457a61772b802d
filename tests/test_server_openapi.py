"""What /openapi.json says is what the server does, for requests that nobody thought of."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
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


@pytest.fixture(scope="module")
def described(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("stores")
    with Session.create(folder / "life.lmos", tiny_llama) as session:
        session.add("diary", TEXT)
    name = tiny_llama.name
    app = make_app(ServerConfig(folder, load=lambda *_: tiny_llama, default_model=name))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_does_what_is_described(case: schemathesis.Case[Any]) -> None:
    if "store" in case.path_parameters and case.method != "DELETE":
        case.path_parameters["store"] = "life"
    if "vector_store_id" in case.path_parameters:
        case.path_parameters["vector_store_id"] = "life"
    case.call_and_validate(checks=CHECKS)
