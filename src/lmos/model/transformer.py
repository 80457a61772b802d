"""The transformer of a causal LM: embeddings, masks and positions in, numbers out.

Hidden states, the attention of one layer, next-token scores, a stream of tokens. Knows the shape
of Hugging Face models, but neither files, text nor adapters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmos.errors import ConfigError, ModelError
from lmos.model.attention import (
    ATTENTION_NAME,
    AttentionState,
    LayerReached,
    masks_by_layer_type,
    record_attention,
)
from lmos.model.decoding import Choice, Chosen, Prefer, stream_tokens
from lmos.model.pretrained import first_line, require_known_layers
from lmos.model.rows import RowsCache, row_masks
from lmos.model.selfcheck import check_model
from lmos.model.together import Row, Together
from lmos.model.turns import Turns

_SCORING_DEPTH = 0.6
_SHORT_ITEMS = 64
"""A pass over so many items or fewer does not wait for several long ones."""


class _Stop(NamedTuple):
    """The layer before which a forward pass ends, and what enters it."""

    layer: nn.Module
    heard: list[Tensor]


_stop: ContextVar[_Stop | None] = ContextVar("lmos_stop", default=None)
_hooking = threading.Lock()


def _stop_here(layer: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
    """End the pass of this thread if it is to end before this layer."""
    stop = _stop.get()
    if stop is not None and stop.layer is layer:
        stop.heard.append(inputs[0] if inputs else options["hidden_states"])
        raise LayerReached


class Transformer:
    """A causal LM that takes embeddings and any mask. Threads may share one.

    Attributes:
        module: The Hugging Face model, with lmos' attention and, maybe, LoRA layers in place.
        name: What to call it in messages.
        num_heads: H, query heads.
        num_kv_heads: G, key heads.
        head_width: Numbers in the key of one head.
    """

    def __init__(self, module: Any, name: str) -> None:
        """Wrap a loaded model and try it out on a few tokens.

        Raises:
            ModelError: The architecture cannot be used; the message says why.
        """
        self.module = module.eval()
        self.name = name
        self._stopping: dict[int, nn.Module] = {}
        self._turns: Turns | None = None
        self._together: Together | None = None
        self._config = module.config.get_text_config(decoder=True)
        self._guarded(lambda: require_known_layers(self._config))
        state = self._guarded(self._hear_attention)
        self.num_heads = int(state.queries_BHTd.shape[1])
        self.num_kv_heads = int(state.keys_BGTd.shape[1])
        self.head_width = int(state.keys_BGTd.shape[3])
        self._guarded(lambda: check_model(self))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.module.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights."""
        dtype: torch.dtype = self.module.dtype
        return dtype

    @property
    def embedding_scale(self) -> float:
        """Root mean square over all entries of all token embeddings."""
        return self._embedding_measures[0]

    @property
    def mean_embedding(self) -> Float[Tensor, " D"]:
        """Mean of all token embeddings, in float32 on the CPU."""
        return self._embedding_measures[1]

    @property
    def embedding_width(self) -> int:
        """D, numbers in an embedding."""
        return int(self._config.hidden_size)

    @property
    def vocab_size(self) -> int:
        """V, token embeddings."""
        return int(self.module.get_input_embeddings().num_embeddings)

    @property
    def num_parameters(self) -> int:
        """Numbers in all its weights."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @property
    def num_layers(self) -> int:
        """Layers of the transformer."""
        return int(self._config.num_hidden_layers)

    @property
    def default_scoring_layer(self) -> int:
        """The layer at 60 % of the depth."""
        return max(0, min(self.num_layers - 1, round(_SCORING_DEPTH * self.num_layers)))

    @property
    def key_width(self) -> int:
        """Numbers in the keys of one item at the scoring layer, over all key heads."""
        return self.num_kv_heads * self.head_width

    @property
    def max_positions(self) -> int:
        """Longest input that it was made for."""
        return int(self._config.max_position_embeddings)

    def embed(self, ids_BT: Int[Tensor, "*B T"]) -> Float[Tensor, "*B T D"]:
        """Token embeddings as the transformer takes them."""
        x_BTD: Tensor = self.module.get_input_embeddings()(ids_BT)
        return x_BTD

    def forward(
        self,
        x_BTD: Float[Tensor, "B T D"],
        mask_BTT: Bool[Tensor, "B T T"] | None = None,
        positions_BT: Int[Tensor, "B T"] | None = None,
        depth: int | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Run the transformer, or its first layers.

        Args:
            x_BTD: Embeddings at input scale.
            mask_BTT: True where row may attend to column; causal when `None`. The output of a row
                that may attend to nothing is finite and means nothing.
            positions_BT: Positions; 0, 1, 2, ... when `None`.
            depth: Layers to run; all when `None`.

        Returns:
            Hidden states after the final norm; those that enter layer `depth`, not normalised,
            when the pass was cut short. Gradients flow.
        """
        arguments = self._mask_arguments(x_BTD, mask_BTT, positions_BT)
        if depth is not None and depth < self.num_layers:
            return self._run_first(x_BTD, depth, arguments)
        output = self._run(x_BTD, **arguments)
        hidden_BTD: Tensor = output.last_hidden_state
        return hidden_BTD

    def _run_first(
        self, x_BTD: Float[Tensor, "B T D"], depth: int, arguments: dict[str, Any]
    ) -> Float[Tensor, "B T D"]:
        """What enters layer `depth`; neither it nor those above it are run."""
        heard: list[Tensor] = []
        token = _stop.set(_Stop(self._stopping_layer(depth), heard))
        try:
            self._run(x_BTD, **arguments)
        except LayerReached:
            pass
        finally:
            _stop.reset(token)
        return heard[0]

    def _stopping_layer(self, depth: int) -> nn.Module:
        """Layer `depth`, which looks from now on whether a pass shall stop there.

        The hook stays: others may be computing while one is put in or taken out.
        """
        with _hooking:
            if depth not in self._stopping:
                self._stopping[depth] = layer = self._layers()[depth]
                layer.register_forward_pre_hook(_stop_here, with_kwargs=True)
            return self._stopping[depth]

    def _layers(self) -> nn.ModuleList:
        """The layers of the transformer, from the first on."""
        for part in self.module.modules():
            if isinstance(part, nn.ModuleList) and len(part) == self.num_layers:
                return part
        raise ModelError(f"{self.name}: its {self.num_layers} layers are not in one list")

    def attention(
        self,
        x_BTD: Float[Tensor, "B T D"],
        mask_BTT: Bool[Tensor, "B T T"] | None,
        positions_BT: Int[Tensor, "B T"] | None,
        layer: int,
    ) -> AttentionState:
        """Queries and keys of one layer; the layers above it are not run.

        Args:
            x_BTD: Embeddings at input scale.
            mask_BTT: As for `forward`; it shapes what reaches the layer.
            positions_BT: As for `forward`.
            layer: From 0.

        Returns:
            The states of that layer. Gradients flow.
        """
        if not 0 <= layer < self.num_layers:
            raise ConfigError(f"layer: expected 0..{self.num_layers - 1}, got {layer}")
        with record_attention(stop_layer=layer) as recorder:
            self._run(x_BTD, **self._mask_arguments(x_BTD, mask_BTT, positions_BT))
        return recorder.states[layer]

    def logits(self, hidden_BTD: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Next-token scores of hidden states, scaled and capped as the architecture does."""
        logits_BTV: Tensor = self.module.get_output_embeddings()(hidden_BTD.to(self.dtype))
        factor = getattr(self.module, "logit_scale", None)
        divisor = getattr(self._config, "logits_scaling", None)
        cap = getattr(self._config, "final_logit_softcapping", None)
        if factor is not None:
            logits_BTV = logits_BTV * factor
        if divisor is not None:
            logits_BTV = logits_BTV / divisor
        if cap is not None:
            logits_BTV = torch.tanh(logits_BTV / cap) * cap
        return logits_BTV

    def native_logits(self, ids_BT: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """What the model computes on its own, with its own attention. A yardstick, and slow."""
        self.module.set_attn_implementation("eager")
        try:
            logits_BTV: Tensor = self.module(input_ids=ids_BT, use_cache=False).logits
        finally:
            self.module.set_attn_implementation(ATTENTION_NAME)
        return logits_BTV

    def share(self, turns: Turns | None = None) -> None:
        """Have threads that use the model at once queue for the cores, and decode together.

        Each answer is what it would have been alone, but for rounding: a pass for several texts
        adds up numbers in another order. In 32 bits no greedy answer has differed; in 16 bits two
        tokens that are almost equally likely may change places. A model that is shared stays so.

        Args:
            turns: Those of other models that use the same cores.
        """
        if self._turns is None:
            self._turns = turns or Turns()
            self._together = Together(self._turns, self.step_rows)

    def step(self, x_BTD: Float[Tensor, "1 T D"], cache: Any) -> tuple[Float[Tensor, " V"], Any]:
        """Scores of the token after `x_BTD`, which follows what is in the cache.

        Args:
            x_BTD: New items, at input scale.
            cache: What the last step returned, or `None` to begin; it grows in place.

        Returns:
            `(logits_V, cache)`.
        """
        if self._together is not None and x_BTD.shape[1] == 1 and RowsCache.takes(cache):
            logits_V: Tensor = self._together.step(x_BTD, cache)
            return logits_V, cache
        return self._step_alone(x_BTD, cache)

    def _step_alone(self, x_BTD: Tensor, cache: Any) -> tuple[Float[Tensor, " V"], Any]:
        """A step in a pass of its own."""
        with self._turn(x_BTD):
            output = self._run(x_BTD, use_cache=True, past_key_values=cache)
            return self.logits(output.last_hidden_state[:, -1:])[0, 0], output.past_key_values

    def step_rows(self, rows: Sequence[Row]) -> Float[Tensor, "B V"]:
        """The same for single items that follow several texts, in one pass.

        Args:
            rows: Each an item `(1, 1, D)` and the cache of its text, which grows in place when the
                pass is over.
        """
        if len(rows) == 1:
            ((x_11D, cache),) = rows
            output = self._run(x_11D, use_cache=True, past_key_values=cache)
            return self.logits(output.last_hidden_state[:, -1:])[:, 0]
        joined = RowsCache([row.cache for row in rows])
        output = self._run(
            torch.cat([row.item for row in rows]),
            use_cache=True,
            past_key_values=joined,
            position_ids=joined.positions(self.device),
            attention_mask=row_masks(self._config, joined, self.device),
        )
        logits_BV = self.logits(output.last_hidden_state[:, -1])
        joined.commit()
        return logits_BV

    def _turn(self, x_BTD: Tensor) -> AbstractContextManager[None]:
        """A place to compute in, for threads that share the model."""
        if self._turns is None:
            return nullcontext()
        return self._turns.take(is_short=x_BTD.shape[0] * x_BTD.shape[1] <= _SHORT_ITEMS)

    def generate(
        self,
        x_TD: Float[Tensor, "T D"],
        max_new_tokens: int,
        stop_ids: Collection[int] = (),
        temperature: float = 0.0,
        seed: int = 0,
        prefer: Prefer | None = None,
    ) -> Iterator[Chosen]:
        """Tokens that follow a prefix of embeddings, one at a time, with their probabilities.

        Args:
            x_TD: The prefix, at input scale.
            max_new_tokens: Stop after so many.
            stop_ids: Ids that end the generation; they are not yielded.
            temperature: 0 takes the likeliest token, larger values sample.
            seed: Of the sampling.
            prefer: Chooses each token in the place of the temperature.

        Raises:
            ConfigError: An option is out of range, or the model has no room for so many tokens.
        """
        choice = Choice(max_new_tokens, frozenset(stop_ids), temperature, seed)
        self._require_room(x_TD, max_new_tokens)
        cache, rest_TD = self._begin(x_TD)
        return stream_tokens(self.step, self._embed_one, rest_TD[None], choice, prefer, cache)

    def _begin(self, x_TD: Float[Tensor, "T D"]) -> tuple[Any, Float[Tensor, "U D"]]:
        """A cache of how a prompt begins, if one is kept, and what is left of the prompt."""
        return None, x_TD

    def _require_room(self, x_TD: Tensor, max_new_tokens: int) -> None:
        prompt_len, room = x_TD.shape[0], self.max_positions
        if prompt_len == 0 or prompt_len + max_new_tokens > room:
            raise ConfigError(
                f"expected a prompt and an answer of up to {room} positions, got {prompt_len} and "
                f"{max_new_tokens} new tokens; lower the budget or max_new_tokens"
            )

    def _embed_one(self, token_id: int) -> Float[Tensor, "1 1 D"]:
        return self.embed(torch.tensor([[token_id]], device=self.device))

    def _run(self, x_BTD: Tensor, **arguments: Any) -> Any:
        arguments = {"use_cache": False, **arguments}
        with self._turn(x_BTD):
            return self.module.get_decoder()(inputs_embeds=x_BTD.to(self.dtype), **arguments)

    def _mask_arguments(
        self, x_BTD: Tensor, mask_BTT: Tensor | None, positions_BT: Tensor | None
    ) -> dict[str, Any]:
        if mask_BTT is None and positions_BT is None:
            return {}
        batch, length, _ = x_BTD.shape
        if mask_BTT is None:
            mask_BTT = torch.ones(1, length, length, dtype=torch.bool, device=x_BTD.device).tril()
        if positions_BT is None:
            positions_BT = torch.arange(length, device=x_BTD.device)[None]
        positions_BT = positions_BT.expand(batch, length)
        masks = masks_by_layer_type(
            self._config, mask_BTT.expand(batch, length, length), positions_BT
        )
        return {"attention_mask": masks, "position_ids": positions_BT}

    @torch.no_grad()
    def _hear_attention(self) -> AttentionState:
        """Run two tokens and hear every layer; the states of the first."""
        x_BTD = self.embed(torch.tensor([[0, 1]], device=self.device))
        with record_attention(stop_layer=None) as recorder:
            self.forward(x_BTD)
        if set(recorder.states) != set(range(self.num_layers)):
            raise ModelError(
                f"of its {self.num_layers} layers, {len(recorder.states)} call transformers' "
                "attention interface; expected all"
            )
        shapes = {(s.queries_BHTd.shape, s.keys_BGTd.shape) for s in recorder.states.values()}
        if len(shapes) > 1:
            raise ModelError("its layers differ in heads or head width; expected all alike")
        return recorder.states[0]

    @cached_property
    def _embedding_measures(self) -> tuple[float, Float[Tensor, " D"]]:
        """Root mean square over all entries of all token embeddings, and their mean."""
        vocabulary = torch.arange(len(self.module.get_input_embeddings().weight))
        sums, squares = [], []
        with torch.no_grad():
            for ids in torch.split(vocabulary, 8192):
                x_ND = self.embed(ids[None].to(self.device))[0].double()
                sums.append(x_ND.sum(0))
                squares.append(x_ND.square().mean(-1))
        mean_D = torch.stack(sums).sum(0) / len(vocabulary)
        return float(torch.cat(squares).mean().sqrt()), mean_D.float().cpu()

    def _guarded(self, trial: Callable[[], Any]) -> Any:
        """Run `trial`; whatever fails in foreign code becomes a `ModelError`."""
        label = f"{self.name} ({type(self.module).__name__})"
        try:
            return trial()
        except ModelError as error:
            raise ModelError(f"{label} cannot be used: {error}") from error
        except Exception as error:
            raise ModelError(
                f"{label} cannot be used: it does not run on embeddings: {first_line(error)}"
            ) from error
