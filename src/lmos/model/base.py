"""The base model: a transformer with its tokenizer, its adapter and its files.

With `attention.py` and `conversion.py` the only file that imports transformers, and the only one
that imports peft, once there are LoRA weights. Knows no spans, trees or stores.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import logging as transformers_logging

from lmos.errors import ConfigError, ModelError
from lmos.model.adapter import Adapter, AdapterConfig, has_adapter
from lmos.model.attention import ATTENTION_NAME
from lmos.model.confidence import CALIBRATION_FILE, Calibration
from lmos.model.decoding import Choice, Chosen, stream_tokens
from lmos.model.devices import best_dtype
from lmos.model.fingerprint import hash_tensors
from lmos.model.formats import AbstractFormat, PromptFormat
from lmos.model.heads import HeadsConfig
from lmos.model.lowrank import LowRank
from lmos.model.openings import Opening, begins_with
from lmos.model.pretrained import LORA_CONFIG_FILE, base_of_adapter, first_line, require_model_files
from lmos.model.released import lasting_name, resolve_model
from lmos.model.tokens import TextTokenizer, Tokens
from lmos.model.transformer import Transformer

LORA_FOLDER = "lora"
UNTRAINED_KEYS = "untrained"
"""In the place of an adapter's hash: attention keys that nobody trained."""
UNTRAINED_HEADS = "untrained heads"
"""Likewise, heads as `new_heads` makes them; to be changed when it makes others.

A name, since what it computes differs in the last bits from one processor to the next.
"""
_UNTRAINED_DEPTH = 1


class BaseModel(Transformer):
    """A causal LM with its tokenizer and adapter.

    Attributes:
        is_trained: Whether the adapter was trained; set it after training, before saving.
        adapter_folder: Where the adapter is, if not in the folder that names the model.
        calibration: What turns evidence into the confidence of an answer, if it was fitted. It is
            saved with the adapter as long as it belongs to it.
    """

    def __init__(self, module: Any, tokenizer: Any, name: str | None = None) -> None:
        """Wrap a model and a tokenizer that transformers loaded, with a fresh adapter.

        From here on the model attends as lmos has it, with the same results; the tokenizer stays
        as it is, and what is done to it later changes nothing here.

        Args:
            module: A causal LM.
            tokenizer: A fast one.
            name: What to call the model in messages and stores; by default as transformers does.

        Raises:
            ModelError: The architecture cannot be used; the message says why.
        """
        name = name or str(module.name_or_path) or str(module.config.model_type)
        _require_offsets(tokenizer, name)
        _take_attention(module, name)
        super().__init__(module, name)
        self._tokenizer = tokenizer
        self._text = TextTokenizer(tokenizer.backend_tokenizer)
        self._lora: Any = None
        self._reader: LowRank | None = None
        self._format: AbstractFormat | None = None
        self._opening: Opening | None = None
        self._hash: tuple[object, str] | None = None
        self._adapter: Adapter | None = None
        self.is_trained = False
        self.calibration: Calibration | None = None
        self.adapter_folder: str | None = None

    @property
    def adapter(self) -> Adapter:
        """Learned inputs and weights; made when it is first asked for, if none was loaded."""
        if self._adapter is None:
            is_trained = self.is_trained
            self.new_heads()
            self.is_trained = is_trained
        assert self._adapter is not None
        return self._adapter

    @adapter.setter
    def adapter(self, adapter: Adapter) -> None:
        self._adapter = adapter

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path,
        adapter: str | Path | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | Literal["auto"] = torch.float32,
        trust_remote_code: bool = False,
        *,
        device_map: Any = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> BaseModel:
        """Load a model that lmos knows by name, a folder, a GGUF file or a model of the Hub.

        Args:
            path_or_id: A name such as `smollm2-135m-instruct`; a folder with `config.json`,
                safetensors and tokenizer; a GGUF file; a name on the Hugging Face Hub; or the
                folder of an adapter with LoRA weights, which names its base model.
            adapter: Folder of the adapter; by default the model's own folder, if it has one.
            device: Where to compute; the CPU by default.
            dtype: Of the weights; `auto` is what they were saved in where the device is fast with
                that, else float32. The adapter stays in float32.
            trust_remote_code: Run Python code that comes with the model.
            device_map: Which part computes where, as transformers takes it; instead of `device`.
            revision: Branch, tag or commit of the model on the Hub.
            token: For private models of the Hub; `True` for the one that is stored.
            cache_dir: Where to keep what comes from the Hub.
            local_files_only: Take nothing from the network.

        Raises:
            ModelError: Something is missing, does not fit, or the architecture cannot be used.
            ConfigError: The device cannot be used, or there is a device map too.
        """
        if device is not None and device_map is not None:
            raise ConfigError("device and device_map: expected one of them, got both")
        name = resolve_model(str(path_or_id))
        base = base_of_adapter(Path(name))
        if base is not None:
            adapter = path_or_id if adapter is None else adapter
            name = resolve_model(base)
        require_model_files(name)
        options = {
            "trust_remote_code": trust_remote_code,
            "revision": revision,
            "token": token,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
        }
        options = {key: value for key, value in options.items() if value is not None}
        with _quiet():
            config = _load_config(name, options)
            tokenizer = _load_tokenizer(name, options)
            if dtype == "auto":
                dtype = best_dtype(config.dtype, "cuda" if device_map else device or "cpu")
            module = _load_module(name, config, dtype, options | {"device_map": device_map})
        if device_map is None:
            module = _move(module, device or "cpu")
        model = cls(module, tokenizer, str(path_or_id))
        if adapter is not None:
            model.load_adapter(Path(adapter))
            if str(adapter) != str(path_or_id):
                model.adapter_folder = str(Path(adapter).absolute())
        elif has_adapter(Path(name)):
            model.load_adapter(Path(name))
        return model

    @classmethod
    def from_config(cls, config: Mapping[str, Any], tokenizer_folder: Path, seed: int) -> BaseModel:
        """A model with random weights.

        Args:
            config: What a `config.json` says, `model_type` among it.
            tokenizer_folder: Folder with the tokenizer's files.
            seed: Of the weights.

        Raises:
            ModelError: No such architecture, no tokenizer, or it cannot be used.
        """
        tokenizer = _load_tokenizer(str(tokenizer_folder), {})
        name = str(config.get("name_or_path") or config["model_type"])
        return cls(_random_module(config, seed), tokenizer, name)

    def copy(self) -> BaseModel:
        """The same base model with weights of its own, frozen; without adapter and LoRA weights.

        Raises:
            ConfigError: It has LoRA weights; `without_lora` needs no copy.
        """
        self._require_no_lora()
        module = copy.deepcopy(self.module).requires_grad_(False)
        return BaseModel(module, self._tokenizer, self.name)

    # What it is

    @property
    def scoring_layer(self) -> int:
        """Layer whose attention scores nodes, from 0."""
        return self.adapter.config.scoring_layer

    @property
    def node_key_width(self) -> int:
        """K, numbers in the stored key of a node."""
        heads = self.adapter.config.heads
        return self.key_width if heads is None else heads.key_width

    @property
    def prefix_id(self) -> int:
        """The token that stands before every window, where the adapter wants one."""
        for token_id in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token_id is not None:
                return int(token_id)
        return 0

    @property
    def end_id(self) -> int | None:
        """The token that ends a text, if the tokenizer has one."""
        token_id = self._tokenizer.eos_token_id
        return None if token_id is None else int(token_id)

    @property
    def stop_ids(self) -> frozenset[int]:
        """The tokens that end what it says: that of the tokenizer, and those of its own config."""
        own = getattr(self.module.generation_config, "eos_token_id", None)
        own = [own] if isinstance(own, int) else own or []
        return frozenset(int(stop_id) for stop_id in (*own, self.end_id) if stop_id is not None)

    @property
    def base_name(self) -> str:
        """What leads to the base model: a name, a folder, a GGUF file, an id of the Hub."""
        return lasting_name(str(self.module.name_or_path)) or self.name

    @property
    def has_lora(self) -> bool:
        """Whether low-rank weights stand beside the frozen base model."""
        return self._lora is not None

    @property
    def base_hash(self) -> str:
        """SHA-256 of the weights without LoRA, the same in whichever precision they are loaded."""
        tensors = self._base_tensors()
        version = [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors.values()]
        if self._hash is None or self._hash[0] != version:
            self._hash = (version, hash_tensors(tensors, torch.bfloat16))
        return self._hash[1]

    @property
    def adapter_hash(self) -> str:
        """SHA-256 of the adapter's weights and LoRA, or what kind of keys an untrained one has."""
        if not self.is_trained:
            return UNTRAINED_KEYS if self.adapter.heads is None else UNTRAINED_HEADS
        return hash_tensors(self.adapter.tensors() | self._lora_tensors(), torch.float32)

    @property
    def tokenizer_hash(self) -> str:
        """SHA-256 of the tokenizer."""
        return self._text.hash

    def as_module(self) -> nn.ModuleDict:
        """Everything that can be trained, under `base` and `adapter`."""
        return nn.ModuleDict({"base": self.module, "adapter": self.adapter})

    # Text

    def encode(self, text: str) -> Tokens:
        """Token ids and their byte offsets, without special tokens."""
        return self._text.encode(text)

    @property
    def format(self) -> AbstractFormat:
        """How it is asked: in the words of its chat template, or plainly if it has none."""
        if self._format is None:
            render = self._render_chat if self._tokenizer.chat_template else None
            self._format = PromptFormat(
                lambda text: self.encode(text).ids, self.encode_control, render, self.stop_ids
            )
        return self._format

    @format.setter
    def format(self, value: AbstractFormat) -> None:
        self._format = value

    def _render_chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        text = self.render_chat(messages)
        assert text is not None, "asked only where there is a template"
        return text

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, without special tokens."""
        return self._text.decode(ids)

    def encode_control(self, text: str) -> list[int]:
        """Token ids in which special tokens that the text spells out are special: for templates.

        Never for text of others: what they write could then end a turn.
        """
        return self._text.encode_control(text)

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str | None:
        """A talk as the model was taught to read it, up to where its own answer begins.

        Args:
            messages: Each with a `role` (`system`, `user`, `assistant`) and a `content`.

        Returns:
            Text for `encode_control`; `None` if the tokenizer has no chat template.

        Raises:
            ModelError: The template does not take these messages.
        """
        if not self._tokenizer.chat_template:
            return None
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=True
                )
            )
        except Exception as error:
            raise ModelError(
                f"the chat template of {self.name} refuses these messages: {first_line(error)}"
            ) from error

    # Adapter

    def new_adapter(
        self,
        num_retrieval_tokens: int = 2,
        scoring_layer: int | None = None,
        max_levels: int = 8,
        seed: int = 0,
        *,
        depth: int | None = None,
        has_prefix: bool = False,
        heads: HeadsConfig | None = None,
    ) -> None:
        """Replace the adapter by a fresh one; LoRA weights stay.

        Args:
            num_retrieval_tokens: R.
            scoring_layer: From 0; `None` is the layer at 60 % of the depth.
            max_levels: Highest level of a node.
            seed: Of the retrieval tokens.
            depth: Layers that compression runs; `None` for all.
            has_prefix: Put a fixed token before every window.
            heads: Shapes of retrieval heads; `None` for attention keys.
        """
        config = AdapterConfig(
            embedding_width=self.embedding_width,
            num_heads=self.num_heads,
            query_width=self.num_heads * self.head_width,
            key_width=self.key_width,
            scoring_layer=self.default_scoring_layer if scoring_layer is None else scoring_layer,
            num_retrieval_tokens=num_retrieval_tokens,
            max_levels=max_levels,
            depth=depth,
            has_prefix=has_prefix,
            heads=heads,
        )
        self._require_fit(config)
        self.adapter = Adapter(config, self.embedding_scale, seed).to(self.device)
        self.is_trained = False
        self.calibration = None
        self.adapter_folder = None

    def new_heads(self, *, depth: int | None = _UNTRAINED_DEPTH) -> None:
        """Replace the adapter by one that finds passages by their words; LoRA weights stay.

        What a model has that nobody trained: retrieval heads that follow from its token embeddings
        and its vocabulary. See `RetrievalHeads.weigh_rare_tokens`.

        Args:
            depth: Layers that compression runs, `None` for all. Heads need none, and nobody can
                read embeddings before training, so by default it is the first layer alone.
        """
        width = self.embedding_width
        shape = HeadsConfig(self.vocab_size, width, min(HeadsConfig.key_width, width))
        self.new_adapter(num_retrieval_tokens=1, depth=depth, heads=shape)
        assert self.adapter.heads is not None
        self.adapter.heads.weigh_rare_tokens(self.mean_embedding)

    def with_attention_keys(self) -> BaseModel:
        """The same model with a fresh adapter without heads: nodes have plain attention keys.

        As the paper has it; and as stores have it that were made with an untrained model before
        there were heads. The weights are shared, this model stays as it is.
        """
        other = copy.copy(self)
        other.new_adapter()
        return other

    def load_adapter(self, folder: Path) -> None:
        """Take the adapter, the LoRA weights and the calibration of `folder`.

        Raises:
            ModelError: There is none, or one of them belongs to another model.
        """
        adapter = Adapter.load(folder)
        self._require_fit(adapter.config)
        if adapter.trained_on is not None and adapter.trained_on != self.base_hash:
            of = "" if adapter.trained_on_name is None else f", {adapter.trained_on_name}"
            raise ModelError(
                f"the adapter in {folder} was trained on another base model{of} (weights "
                f"{adapter.trained_on[:12]}…, {self.name} has {self.base_hash[:12]}…); "
                "load that one, or train an adapter for this one"
            )
        self.adapter = adapter.to(self.device)
        lora_folder = folder / LORA_FOLDER if (folder / LORA_FOLDER).is_dir() else folder
        if (lora_folder / LORA_CONFIG_FILE).is_file():
            self._load_lora(lora_folder)
        self.is_trained = True
        self.calibration = Calibration.load(folder)
        if self.calibration is not None and self.calibration.adapter_hash != self.adapter_hash:
            raise ModelError(
                f"{folder / CALIBRATION_FILE} was fitted for another adapter; delete it, and fit "
                "it again with lmos calibrate"
            )

    def load_reader(self, folder: Path) -> None:
        """Take the LoRA weights of `folder` for answering; what is compressed stays as it was.

        A calibration in the folder is taken along if it was fitted for this adapter and reader.

        Raises:
            ModelError: There are none, or they belong to another model.
        """
        if self._reader is not None:
            self._reader.remove()
        self._reader = LowRank(self.module, Path(folder))
        calibration = Calibration.load(Path(folder))
        fits = calibration is not None and calibration.adapter_hash == self.answering_hash
        self.calibration = calibration if fits else None

    @property
    def answering_hash(self) -> str:
        """SHA-256 of all that answers depend on beside the base model: the adapter, the reader."""
        if self._reader is None:
            return self.adapter_hash
        return hashlib.sha256(f"{self.adapter_hash} {self._reader.hash}".encode()).hexdigest()

    def step(self, x_BTD: Float[Tensor, "1 T D"], cache: Any) -> tuple[Float[Tensor, " V"], Any]:
        """See `Transformer.step`; with the reader's weights, if there are any."""
        reader = getattr(self, "_reader", None)
        with nullcontext() if reader is None else reader.on():
            logits_V, after = super().step(x_BTD, cache)
        # Not in the trial of a model that is being loaded.
        if cache is None and hasattr(self, "_opening"):
            key, size = self._opening_key(x_BTD[0])
            if size:
                self._opening = Opening.cut(key, self.module, after, size)
        return logits_V, after

    def _begin(self, x_TD: Float[Tensor, "T D"]) -> tuple[Any, Float[Tensor, "U D"]]:
        """See `Transformer._begin`: the first words of the format, which all prompts share."""
        key, size = self._opening_key(x_TD)
        if self._opening is None or not size or not self._opening.is_of(key, self.module):
            return None, x_TD
        return self._opening.begin(), x_TD[size:]

    def _opening_key(self, x_TD: Float[Tensor, "T D"]) -> tuple[Hashable, int]:
        """What the opening of a prompt depends on, and its length; 0 if the prompt has none."""
        if self._lora is not None:
            return None, 0
        ids = tuple(self.format.head_ids(""))
        x_KD = self.embed(torch.tensor(ids, dtype=torch.long, device=self.device))
        reader = None if self._reader is None else self._reader.hash
        return (ids, reader, self.device), len(ids) if begins_with(x_TD, x_KD) else 0

    def speak(
        self, x_TD: Float[Tensor, "T D"], max_new_tokens: int, temperature: float, seed: int
    ) -> Iterator[Chosen]:
        """As `generate`, up to a token that ends what it says, without the reader's weights."""
        self._require_room(x_TD, max_new_tokens)
        choice = Choice(max_new_tokens, self.stop_ids, temperature, seed)
        return stream_tokens(self._step_alone, self._embed_one, x_TD[None], choice)

    def add_lora(self, rank: int) -> None:
        """Put trainable low-rank weights beside every linear layer and freeze the base model."""
        if rank < 1:
            raise ConfigError(f"rank: expected a number ≥ 1, got {rank}")
        self._require_no_lora()
        from peft import LoraConfig, get_peft_model

        options = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        with _quiet():
            self._lora = get_peft_model(self.module, options)

    @contextmanager
    def without_lora(self) -> Iterator[None]:
        """Have the base model compute alone inside the `with`, if it has LoRA weights."""
        with nullcontext() if self._lora is None else self._lora.disable_adapter():
            yield

    def checkpoint_gradients(self) -> None:
        """Have layers keep their inputs alone in training, and run again in the backward pass.

        Less memory for a third more time; the gradients are the same. The scoring layer is left as
        it is: a pass that only wants its queries and keys is cut short inside it.

        Raises:
            ConfigError: The architecture cannot.
        """
        try:
            with (
                _quiet()
            ):  # the name that all versions from 5.0 on know is deprecated in later ones
                self.module.gradient_checkpointing_enable({"use_reentrant": False})
        except ValueError as error:
            raise ConfigError(f"{self.name}: {first_line(error)}") from error
        for layer in self.module.modules():
            numbers = (getattr(part, "layer_idx", None) for part in layer.modules())
            is_layer = isinstance(layer, GradientCheckpointingLayer)
            if is_layer and self.scoring_layer in numbers:
                layer.gradient_checkpointing = False

    def save_pretrained(self, folder: Path) -> None:
        """Write the base model, its tokenizer and, when trained, the adapter.

        LoRA weights go to a folder of their own in it: beside a model, transformers would load the
        model that they name.
        """
        folder = Path(folder)
        with _quiet():
            self.module.save_pretrained(folder, state_dict=self._base_tensors())
        self._tokenizer.save_pretrained(folder)
        if self.is_trained:
            self._save_adapter(folder, folder / LORA_FOLDER)

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter, LoRA weights and calibration only, bound to this base model.

        With LoRA weights the folder is one that peft reads too, and names the base model.
        """
        self._save_adapter(Path(folder), Path(folder))

    def _save_adapter(self, folder: Path, lora_folder: Path) -> None:
        self.adapter.trained_on = self.base_hash
        self.adapter.trained_on_name = self.base_name
        self.adapter.save(folder)
        # Weights that changed have left their calibration behind.
        (folder / CALIBRATION_FILE).unlink(missing_ok=True)
        if self.calibration is not None and self.calibration.adapter_hash == self.adapter_hash:
            self.calibration.save(folder)
        if self._lora is not None:
            for config in self._lora.peft_config.values():
                config.base_model_name_or_path = lasting_name(str(self.module.name_or_path))
            # The embeddings never change; peft would ask the Hub whether they had.
            self._lora.save_pretrained(str(lora_folder), save_embedding_layers=False)

    def _load_lora(self, folder: Path) -> None:
        from peft import PeftModel

        self._require_no_lora()
        try:
            with _quiet():
                self._lora = PeftModel.from_pretrained(self.module, str(folder), is_trainable=True)
        except (OSError, ValueError, TypeError, RuntimeError, KeyError, SafetensorError) as error:
            raise ModelError(f"{folder} does not load: {first_line(error)}") from error
        self.module.eval()

    def _require_no_lora(self) -> None:
        if self._lora is not None:
            raise ConfigError("the model has LoRA weights already; load it again to start over")

    def _require_fit(self, config: AdapterConfig) -> None:
        expected = (self.embedding_width, self.num_heads, self.key_width)
        got = (config.embedding_width, config.num_heads, config.key_width)
        if expected != got or config.scoring_layer >= self.num_layers:
            raise ModelError(
                f"the adapter does not fit {self.name}: expected width, heads and key width "
                f"{expected} and a scoring layer below {self.num_layers}, got {got} and "
                f"{config.scoring_layer}"
            )

    # Weights

    def _base_tensors(self) -> dict[str, Tensor]:
        """The weights without LoRA, under their own names."""
        return {
            name.replace(".base_layer.", "."): tensor
            for name, tensor in self.module.state_dict().items()
            if ".lora_" not in name
        }

    def _lora_tensors(self) -> dict[str, Tensor]:
        state = self.module.state_dict()
        return {name: tensor for name, tensor in state.items() if ".lora_" in name}


def _reason(error: Exception) -> str:
    """What a model that could not be made complains of."""
    if isinstance(error, KeyError) and error.args == (ATTENTION_NAME,):
        return "its attention cannot be replaced; expected transformers' attention interface"
    return first_line(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, and without warnings that only transformers or peft can act on."""
    had_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if had_bars:
            transformers_logging.enable_progress_bar()


def _move(module: Any, device: str | torch.device) -> Any:
    try:
        return module.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {str(device)!r} cannot be used: {first_line(error)}") from error


def _take_attention(module: Any, name: str) -> None:
    """Let a model that was loaded by others attend as lmos has it."""
    if module.config._attn_implementation == ATTENTION_NAME:
        return
    try:
        module.set_attn_implementation(ATTENTION_NAME)
    except Exception as error:
        raise ModelError(f"{name} cannot be used: {_reason(error)}") from error


def _require_offsets(tokenizer: Any, name: str) -> None:
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {name} gives no offsets; expected a fast one, with a tokenizer.json"
        )


def _load_config(name: str, options: Mapping[str, Any]) -> Any:
    try:
        return AutoConfig.from_pretrained(name, **options)
    except Exception as error:
        raise ModelError(f"no model config in {name}: {first_line(error)}") from error


def _random_module(config: Mapping[str, Any], seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return AutoModelForCausalLM.from_config(
                AutoConfig.for_model(**config),
                attn_implementation=ATTENTION_NAME,
                dtype=torch.float32,
            )
        except Exception as error:
            raise ModelError(f"no model for this config: {_reason(error)}") from error


def _load_tokenizer(name: str, options: Mapping[str, Any]) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    except Exception as error:
        raise ModelError(
            f"no tokenizer in {name}: expected a tokenizer.json ({first_line(error)})"
        ) from error
    _require_offsets(tokenizer, name)
    return tokenizer


def _load_module(name: str, config: Any, dtype: torch.dtype, options: Mapping[str, Any]) -> Any:
    module: Any
    # transformers looks for an adapter in the same place, and goes to the network unless told.
    places = ("cache_dir", "local_files_only", "token")
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            adapter_kwargs={each: options[each] for each in places if each in options},
            config=config,
            dtype=dtype,
            attn_implementation=ATTENTION_NAME,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
        module, report = loaded
    except Exception as error:
        raise ModelError(f"{name} does not load as a causal LM: {_reason(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{name} lacks {len(missing)} weights of {type(module).__name__}, {missing[0]} among "
            "them; expected all weights of a causal LM"
        )
    return module
