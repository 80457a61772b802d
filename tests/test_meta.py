"""The package as a whole: its layers, its names, its words, its README."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import lmos
from lmos.errors import ConfigError

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "lmos"
# A module imports from its own group and from those before it.
LAYERS = [
    {"errors", "nodes"},
    {"settings"},
    {"text"},
    {"documents"},
    {"store", "model"},
    {"tree"},
    {"search"},
    {"reading", "paper"},
    {"session"},
    {"upkeep"},
    {"training"},
    {"integrations", "mcp"},
    {"server"},
    {"cli"},
]
ONLY_IMPORTERS = {
    "transformers": ("model.base", "model.attention", "model.conversion"),
    "gguf": ("model.conversion",),
    "peft": ("model.base",),
    "accelerate": ("training",),
    "apsw": ("store",),
    "tokenizers": ("model.tokens", "model.conversion"),
    "faiss": ("search.vectorindex",),
    "ray": ("upkeep.scaleout", "server.replicas"),
    "pypdf": ("documents.pdfs",),
    "docx": ("documents.offices",),
    "pptx": ("documents.offices",),
    "openpyxl": ("documents.offices",),
    "selectolax": ("documents.webpages",),
    "watchfiles": ("upkeep.watching",),
    "fastapi": ("server",),
    "starlette": ("mcp", "server"),
    "pydantic": ("mcp", "server"),
    "prometheus_client": ("server",),
    "mcp": ("mcp",),
    "uvicorn": ("mcp", "server.running"),
    "click": ("cli",),
    "rich": ("cli",),
}


def iter_files() -> Iterator[tuple[str, Path]]:
    """Each module of the package with its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(iter_files())


def imports_of(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (inner & MODULES.keys()) or {node.module}
    return names


def layer_of(module: str) -> int:
    group = module.split(".")[1]
    return next(number for number, layer in enumerate(LAYERS) if group in layer)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "lmos"])
def test_imports_go_one_way(module: str) -> None:
    mine = layer_of(module)
    for imported in imports_of(MODULES[module]):
        if imported.split(".")[0] == "lmos":
            assert imported in MODULES, f"{module} imports {imported}, which is not there"
            assert imported != "lmos" or module.startswith("lmos.cli"), f"{module} imports lmos"
            if imported != "lmos":
                is_same_group = imported.split(".")[1] == module.split(".")[1]
                assert is_same_group or layer_of(imported) < mine, f"{module} imports {imported}"


def test_the_drawn_order_of_imports_is_the_one_that_is_kept() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    drawn = re.search(r"^`(errors[^`]*)`$", text, flags=re.MULTILINE)
    assert drawn is not None
    assert [set(group.split(", ")) for group in drawn[1].split(" < ")] == LAYERS


def test_every_module_is_listed_once_where_it_is() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.split("## Every file of src/lmos")[1].split("```")[1]
    listed, folder = [], ""
    for line in section.strip().splitlines():
        name = line.split()[0]
        if name.endswith("/"):
            folder = name
        else:
            listed.append(f"{folder if line.startswith(' ') else ''}{name}")
    there = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")]
    assert sorted(listed) == sorted(name for name in there if not name.endswith("__init__.py"))


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        name: {imported for imported in imports_of(path) if imported in MODULES} - {name}
        for name, path in MODULES.items()
    }
    assert set(TopologicalSorter(graph).static_order()) == set(MODULES)


@pytest.mark.parametrize("library", list(ONLY_IMPORTERS))
def test_libraries_are_imported_where_they_belong(library: str) -> None:
    importers = {
        module.removeprefix("lmos.")
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in imports_of(path))
    }
    homes = tuple(f"{home}." for home in ONLY_IMPORTERS[library])
    assert [name for name in importers if not f"{name}.".startswith(homes)] == []


def exports_of(path: Path) -> tuple[list[str], set[str]] | None:
    """`__all__` of a file, and what it defines, or imports without using it itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    listed: list[str] | None = None
    names = set()
    # What is imported when it is first used stands under `if TYPE_CHECKING`.
    later = [node for block in tree.body if isinstance(block, ast.If) for node in block.body]
    for node in [*tree.body, *later]:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names |= {alias.asname or alias.name for alias in node.names} - used
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(node.targets[0].id)
            if node.targets[0].id == "__all__":
                listed = ast.literal_eval(node.value)
    if listed is None:
        return None
    return listed, {name for name in names if not name.startswith("_") or name == "__version__"}


def test_all_is_sorted_and_complete() -> None:
    found = {name: exports_of(path) for name, path in MODULES.items()}
    assert found["lmos"] is not None
    assert found["lmos.store"] is not None
    for name, exports in found.items():
        if exports is not None:
            listed, public = exports
            assert listed == sorted(listed), name
            assert set(listed) == public, name
            assert all(hasattr(importlib.import_module(name), each) for each in listed), name


def iter_public(module: str) -> Iterator[tuple[str, Any]]:
    """Public functions, classes and methods that a module defines."""
    for name, value in vars(importlib.import_module(module)).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module:
            continue
        if inspect.isclass(value):
            yield f"{module}.{name}", value
            if not getattr(value, "_is_protocol", False):
                for method_name, method in inspect.getmembers(value, is_method):
                    place = f"{module}.{name}.{method_name}"
                    if not method_name.startswith("_") and method_name in vars(value):
                        yield place, method
        elif inspect.isfunction(value):
            yield f"{module}.{name}", value


def is_method(value: Any) -> bool:
    return inspect.isroutine(value) or isinstance(value, property)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_everything_public_says_what_it_is(module: str) -> None:
    try:
        assert importlib.import_module(module).__doc__
    except ConfigError as error:
        pytest.skip(str(error))  # of a framework that is not installed
    # A method that overrides another may leave the words to it.
    silent = [name for name, value in iter_public(module) if not inspect.getdoc(value)]
    assert silent == []


def test_the_version_is_the_newest_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^##? *\[?v?(\d+\.\d+\.\d+[^\s\]]*)", changelog, flags=re.MULTILINE)
    assert versions
    assert versions[0] == lmos.__version__


def test_the_code_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    assert blocks, "expected Python in README.md"
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"README.md, block {number}", "exec"), names)


DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
GROUPS = {name.split(".")[1] for name in MODULES if name.count(".") > 1}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_is_there(document: Path) -> None:
    if document.name == "log.md":
        pytest.skip("says what was, not what is")
    text = document.read_text(encoding="utf-8")
    homes = (ROOT, PACKAGE, ROOT / "tests", document.parent)
    for path in re.findall(r"`((?:\w+/)*\w+\.(?:py|md))(?:::\w+)?`", text):
        assert any((home / path).exists() for home in homes), path
    for name in re.findall(r"`((?:[a-z_]+\.)+\w+)[`(]", text):
        if name.split(".")[0] in GROUPS and not name.endswith((".py", ".md")):
            assert is_there(name), name


def is_there(name: str) -> bool:
    """Whether a dotted name, from the package on, is a module or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(("lmos", *parts[:length]))
        if module in MODULES:
            value: Any = importlib.import_module(module)
            for part in parts[length:]:
                value = getattr(value, part, None) or vars(value).get("__annotations__", {}).get(
                    part
                )
            return value is not None
    return False
