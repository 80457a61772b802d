"""The adapter: what lmos learns beside the base model, except LoRA.

Learned input embeddings and head weights, and their two files. Knows no base model: widths and
scales are passed in.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmos.errors import ConfigError, ModelError
from lmos.model.fingerprint import hash_tensors
from lmos.model.heads import HeadsConfig, RetrievalHeads

ADAPTER_FORMAT = 2
_SKIP_GAIN = 4.0
CONFIG_FILE = "lmos_adapter.json"
WEIGHTS_FILE = "lmos_adapter.safetensors"


@dataclass(frozen=True)
class AdapterConfig:
    """Shapes of an adapter and the layer that it scores with.

    Attributes:
        embedding_width: D, of the base model.
        num_heads: H, query heads of the base model at the scoring layer.
        scoring_layer: Layer whose queries and keys score nodes, from 0.
        query_width: Q, numbers in the queries of one item over all heads; `num_heads` divides it.
        key_width: K, numbers in the keys of one item over all key heads; divides Q.
        num_retrieval_tokens: R.
        max_levels: Highest level of a node that has an embedding of its own.
        depth: Layers that compression runs, from the first on; `None` for all.
        has_prefix: Whether every window that is compressed follows a fixed token.
        heads: Shapes of the retrieval heads; without them a node's key is its attention key at the
            scoring layer.
    """

    embedding_width: int
    num_heads: int
    scoring_layer: int
    query_width: int
    key_width: int
    num_retrieval_tokens: int = 2
    max_levels: int = 8
    depth: int | None = None
    has_prefix: bool = False
    heads: HeadsConfig | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("embedding_width", 1),
            ("num_heads", 1),
            ("scoring_layer", 0),
            ("query_width", 1),
            ("key_width", 1),
            ("num_retrieval_tokens", 1),
            ("max_levels", 1),
            ("depth", 1),
        ):
            value = getattr(self, name)
            if name == "depth" and value is None:
                continue
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"{name}: expected a whole number ≥ {least}, got {value!r}")
        if self.query_width % self.key_width or self.query_width % self.num_heads:
            raise ConfigError(
                f"key_width: expected a divisor of query_width {self.query_width}, which "
                f"num_heads {self.num_heads} divides, got {self.key_width}"
            )


class Adapter(nn.Module):
    """Learned inputs and weights, in float32.

    Attributes:
        config: Shapes.
        heads: Retrieval heads, if it has any.
        trained_on: Hash of the base model that it was trained with, or `None`.
        trained_on_name: What that model is called, for people; `None` if it is not known.
        compression_LD: By level, added to the mean that a compression token starts from.
        retrieval_RD: Input embeddings of the retrieval tokens, at the scale of token embeddings.
        level_LD: By level, added to a node's embedding when it enters the model again.
        residual_D: Gain of the compression token's own state in a node's embedding.
        pool_RD: What a retrieval token looks for in the question that it starts from the mean of.
        skip_D: Gain of the mean of a span's inputs in a node's embedding.
        head_weights_RH: Weight of each query head in the paper's score, by retrieval token.
        query_map_RQK: From the queries of all heads to what a stored key is multiplied with:
            learned head weights, and more than that, since heads may mix.
        query_offset_Q: Taken off the queries first.
        log_temperature: Of the scores; scores are multiplied by its exponential.
        scale: Root mean square of an embedding's entries: that of the token embeddings when the
            adapter was made. Not trained.
    """

    compression_LD: Float[nn.Parameter, "L D"]
    retrieval_RD: Float[nn.Parameter, "R D"]
    level_LD: Float[nn.Parameter, "L D"]
    residual_D: Float[nn.Parameter, " D"]
    skip_D: Float[nn.Parameter, " D"]
    pool_RD: Float[nn.Parameter, "R D"]
    head_weights_RH: Float[nn.Parameter, "R H"]
    query_map_RQK: Float[nn.Parameter, "R Q K"]
    query_offset_Q: Float[nn.Parameter, " Q"]
    log_temperature: Float[nn.Parameter, ""]
    scale: Float[Tensor, ""]

    def __init__(self, config: AdapterConfig, embedding_scale: float = 1.0, seed: int = 0) -> None:
        """A fresh adapter.

        Args:
            config: Shapes.
            embedding_scale: Root mean square of the entries of token embeddings; retrieval
                tokens and nodes get the same.
            seed: Of the retrieval tokens, the only random numbers.
        """
        super().__init__()
        self.config = config
        self.trained_on: str | None = None
        self.trained_on_name: str | None = None
        width, num_tokens = config.embedding_width, config.num_retrieval_tokens
        generator = torch.Generator().manual_seed(seed)
        retrieval_RD = torch.randn(num_tokens, width, generator=generator) * embedding_scale
        self.retrieval_RD = nn.Parameter(retrieval_RD)
        self.compression_LD = nn.Parameter(torch.zeros(config.max_levels + 1, width))
        self.level_LD = nn.Parameter(torch.zeros(config.max_levels + 1, width))
        self.residual_D = nn.Parameter(torch.ones(width))
        self.skip_D = nn.Parameter(torch.full((width,), _SKIP_GAIN))
        uniform_RH = torch.full((num_tokens, config.num_heads), 1.0 / config.num_heads)
        self.head_weights_RH = nn.Parameter(uniform_RH)
        self.pool_RD = nn.Parameter(torch.zeros(num_tokens, width))
        self.query_map_RQK = nn.Parameter(
            head_mean_map(config).expand(num_tokens, -1, -1).contiguous()
        )
        self.query_offset_Q = nn.Parameter(torch.zeros(config.query_width))
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.register_buffer("scale", torch.tensor(float(embedding_scale)))
        # What torch draws for weights that are set at once is nobody's random number.
        with torch.random.fork_rng(devices=[]):
            self.heads = None if config.heads is None else RetrievalHeads(config.heads)

    def to_input_scale(self, hidden_BTD: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Hidden states as inputs: every vector brought to the scale of token embeddings."""
        hidden_BTD = hidden_BTD.float()
        squares_BT1 = hidden_BTD.square().mean(-1, keepdim=True)
        return hidden_BTD * (self.scale * torch.rsqrt(squares_BT1 + 1e-6))

    def tensors(self) -> dict[str, Tensor]:
        """Its weights by name, on the CPU, as they are saved."""
        state = self.state_dict()
        return {name: value.detach().cpu().contiguous() for name, value in state.items()}

    def hash(self) -> str:
        """SHA-256 of the weights, in hex."""
        return hash_tensors(self.tensors(), torch.float32)

    def save(self, folder: Path) -> None:
        """Write `lmos_adapter.safetensors` and `lmos_adapter.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        is_plain = self.config.heads is None and self.config.depth is None
        header = {
            "format": 1 if is_plain and not self.config.has_prefix else ADAPTER_FORMAT,
            "trained_on": self.trained_on,
            "trained_on_name": self.trained_on_name,
            "config": _without_defaults(self.config),
        }
        save_file(self.tensors(), folder / WEIGHTS_FILE)
        (folder / CONFIG_FILE).write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Adapter:
        """Read what `save` wrote.

        Raises:
            ModelError: There is no adapter, or its two files do not fit each other.
        """
        header = _read_header(folder)
        try:
            adapter = cls(_config_of(header["config"]))
        except (KeyError, TypeError, ConfigError) as error:
            raise ModelError(f"{folder / CONFIG_FILE} is not complete: {error}") from error
        adapter.trained_on = header.get("trained_on")
        adapter.trained_on_name = header.get("trained_on_name")
        adapter.load_state_dict(_read_weights(folder, adapter))
        return adapter


def _config_of(values: dict[str, Any]) -> AdapterConfig:
    heads = values.get("heads")
    heads = None if heads is None else HeadsConfig(**heads)
    return AdapterConfig(**{**values, "heads": heads})


def _without_defaults(config: AdapterConfig) -> dict[str, Any]:
    """The config as older versions of lmos read it, where they can."""
    later = ("depth", "has_prefix", "heads")
    return {key: value for key, value in asdict(config).items() if key not in later or value}


def head_mean_map(config: AdapterConfig) -> Float[Tensor, "Q K"]:
    """The map under which a score is the mean over heads of the attention's dot products."""
    head_width = config.query_width // config.num_heads
    num_groups = config.query_width // config.key_width
    eye_QQ = torch.eye(config.query_width).view(config.query_width, -1, num_groups, head_width)
    return eye_QQ.sum(2).reshape(config.query_width, config.key_width) / config.num_heads


def has_adapter(folder: Path) -> bool:
    """Whether `folder` holds an adapter."""
    return (folder / CONFIG_FILE).is_file()


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        version = int(header["format"])
    except FileNotFoundError as error:
        raise ModelError(f"no adapter in {folder}: expected {CONFIG_FILE}; train one") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read: {error!r}") from error
    if version > ADAPTER_FORMAT:
        raise ModelError(
            f"{path} has format {version}, this lmos reads up to {ADAPTER_FORMAT}; upgrade lmos"
        )
    return dict(header)


def _read_weights(folder: Path, adapter: Adapter) -> dict[str, Tensor]:
    path = folder / WEIGHTS_FILE
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read: {error}; copy the adapter again") from error
    expected = {name: tuple(value.shape) for name, value in adapter.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != found:
        different = sorted(
            f"{name}: expected {expected.get(name)}, got {found.get(name)}"
            for name in expected.keys() | found.keys()
            if expected.get(name) != found.get(name)
        )
        raise ModelError(f"{path} does not fit {CONFIG_FILE}: " + "; ".join(different))
    return tensors
