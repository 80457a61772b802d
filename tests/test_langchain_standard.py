"""LangChain's own tests of retrievers; langchain-tests brings plugins for pytest along.

pytest-asyncio among them wants settings of its own: run this alone, with
`-o filterwarnings=default -o asyncio_mode=auto`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_tests")

from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from lmos.integrations.langchain import LmosRetriever
from lmos.model.base import BaseModel
from lmos.session import Session


class TestStandard(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def fill(self, tiny_llama: BaseModel, tmp_path: Path) -> None:
        self.session = Session.create(tmp_path / "life.lmos", tiny_llama)
        for name in ("Eva", "Ada", "Hugo", "Greta", "Clara"):
            self.session.add(name, f"{name} came on Monday.")

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return LmosRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"session": self.session}

    @property
    def retriever_query_example(self) -> str:
        return "Who came on Monday?"
