"""The reader's forward and backward pass for training, several times faster than peft's own.

A Llama model with low-rank weights on every linear layer. Rows follow each other without padding;
attention is computed for each row by itself, and a question never looks at the others. The
frozen weights are kept in the type of the products; sums along layers are float32. The low-rank
weights are peft's own, so whatever trains them can be saved by peft.

Shapes: N tokens of all rows, D width, H heads, E width of a head, R rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from recipes.reader.packing import Row

_BLOCK = 160


class Block(NamedTuple):
    """Neighbouring queries and the keys that they may see, as slices of the flat rows.

    Attributes:
        queries: Of the tokens that look.
        keys: Of the tokens that they see, or some of them.
        mask: What is added to the scores, `(P, K)`: the queries once for each head of a key.
    """

    queries: slice
    keys: slice
    mask: Tensor


@dataclass(frozen=True)
class Flat:
    """Rows one after the other.

    Attributes:
        ids_N: Tokens.
        places_N: Positions within their row.
        blocks: Who sees whom; their queries are all tokens, in order.
        said_N: Whether the token is part of an answer.
        numbers_N: Which question a token belongs to, counted over all rows by thousands.
    """

    ids_N: Tensor
    places_N: Tensor
    blocks: tuple[Block, ...]
    said_N: Tensor
    numbers_N: Tensor


def flatten(
    rows: Sequence[Row], repeat: int, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Flat:
    """Rows as the pass reads them; `repeat` heads look at each key."""
    blocks: list[Block] = []
    start = 0
    for row in rows:
        branch_T = torch.tensor(row.branch)
        context = int((branch_T == 0).sum())
        seen_TT = ((branch_T[:, None] == branch_T) | (branch_T == 0)).tril()
        ends = [*range(_BLOCK, context - _BLOCK // 2, _BLOCK), context, len(row)]
        for first, last in zip([0, *ends], ends, strict=False):
            seen_QK = seen_TT[first:last, :last]
            mask_QK = torch.zeros(seen_QK.shape, dtype=dtype).masked_fill_(~seen_QK, -1e9)
            queries, keys = slice(start + first, start + last), slice(start, start + last)
            blocks.append(Block(queries, keys, mask_QK.repeat(repeat, 1).to(device)))
        start += len(row)
    return Flat(
        torch.tensor([each for row in rows for each in row.ids], device=device),
        torch.tensor([each for row in rows for each in row.places], device=device),
        tuple(blocks),
        torch.tensor([each for row in rows for each in row.is_said], device=device),
        torch.tensor(
            [n * 1000 + each for n, row in enumerate(rows) for each in row.branch], device=device
        ),
    )


class _LowRank(torch.autograd.Function):
    """A frozen linear layer with low-rank weights beside it; only what is needed is kept."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, w_OD: Tensor, a_RD: Tensor, b_OR: Tensor) -> Tensor:
        a_RD, b_OR = a_RD.to(w_OD.dtype), b_OR.to(w_OD.dtype)
        h_NR = x_ND @ a_RD.T
        ctx.save_for_backward(x_ND, w_OD, a_RD, b_OR, h_NR)
        return torch.addmm(x_ND @ w_OD.T, h_NR, b_OR.T)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x_ND, w_OD, a_RD, b_OR, h_NR = ctx.saved_tensors
        (grad_NO,) = grads
        grad_NR = grad_NO @ b_OR
        grad_ND = torch.addmm(grad_NO @ w_OD, grad_NR, a_RD)
        return grad_ND, None, (grad_NR.T @ x_ND).float(), (grad_NO.T @ h_NR).float()


class _Attention(torch.autograd.Function):
    """Attention of all queries to the keys of their blocks, several heads to each key."""

    @staticmethod
    def forward(
        ctx: Any, q_GJNE: Tensor, k_GNE: Tensor, v_GNE: Tensor, blocks: Sequence[Block]
    ) -> Tensor:
        out_GJNE = torch.empty_like(q_GJNE)
        kept = []
        for queries, keys, mask_PK in blocks:
            q_GPE = q_GJNE[:, :, queries].flatten(1, 2)
            mask_GPK = mask_PK.expand(len(k_GNE), -1, -1)
            p_GPK = torch.baddbmm(mask_GPK, q_GPE, k_GNE[:, keys].mT).softmax(-1)
            out_GPE = torch.bmm(p_GPK, v_GNE[:, keys])
            out_GJNE[:, :, queries] = out_GPE.view(out_GJNE[:, :, queries].shape)
            kept.append(p_GPK)
        ctx.save_for_backward(q_GJNE, k_GNE, v_GNE, *kept)
        ctx.blocks = blocks
        return out_GJNE

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (grad_GJNE,) = grads
        q_GJNE, k_GNE, v_GNE, *kept = ctx.saved_tensors
        by_query_GJNE = torch.empty_like(q_GJNE)
        by_key_GNE, by_value_GNE = torch.zeros_like(k_GNE), torch.zeros_like(v_GNE)
        for (queries, keys, _), p_GPK in zip(ctx.blocks, kept, strict=True):
            grad_GPE = grad_GJNE[:, :, queries].flatten(1, 2)
            s_GPK = torch.ops.aten._softmax_backward_data(
                torch.bmm(grad_GPE, v_GNE[:, keys].mT), p_GPK, -1, p_GPK.dtype
            )
            by_query_GPE = torch.bmm(s_GPK, k_GNE[:, keys])
            by_query_GJNE[:, :, queries] = by_query_GPE.view(by_query_GJNE[:, :, queries].shape)
            by_key_GNE[:, keys] += torch.bmm(s_GPK.mT, q_GJNE[:, :, queries].flatten(1, 2))
            by_value_GNE[:, keys] += torch.bmm(p_GPK.mT, grad_GPE)
        return by_query_GJNE, by_key_GNE, by_value_GNE, None


class _Linear:
    """Linear layers that read the same input, as one."""

    def __init__(self, modules: Sequence[Any], dtype: torch.dtype) -> None:
        self._weight_OD = torch.cat([each.base_layer.weight.detach() for each in modules]).to(dtype)
        self._modules = modules

    def __call__(self, x_ND: Tensor) -> Tensor:
        name = "default"
        a_RD = torch.cat([each.lora_A[name].weight for each in self._modules])
        b_OR: Tensor = torch.block_diag(  # type: ignore[no-untyped-call]
            *(each.lora_B[name].weight * each.scaling[name] for each in self._modules)
        )
        result: Tensor = _LowRank.apply(x_ND, self._weight_OD, a_RD, b_OR)  # type: ignore[no-untyped-call]
        return result


def _norm(x_ND: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    scale = torch.rsqrt(x_ND.pow(2).mean(-1, keepdim=True) + eps)
    return (x_ND * scale * weight_D).to(weight_D.dtype)


def _turn(x_NHE: Tensor, cos_NE: Tensor, sin_NE: Tensor) -> Tensor:
    """Rotary positions."""
    first, second = x_NHE.chunk(2, -1)
    turned = torch.cat((-second, first), -1)
    return (x_NHE * cos_NE[:, None] + turned * sin_NE[:, None]).to(x_NHE.dtype)


def _gated(x_NF: Tensor) -> Tensor:
    gate, up = x_NF.chunk(2, -1)
    return functional.silu(gate) * up


class ReaderPass:
    """The pass over rows, of a Llama model with peft's low-rank weights.

    Args:
        model: From peft; every linear layer of its blocks has low-rank weights.
        dtype: Of the products.
        is_compiled: Fuse what lies between products, which needs a C++ compiler.
    """

    def __init__(self, model: Any, dtype: torch.dtype, *, is_compiled: bool = True) -> None:
        base = model.get_base_model()
        config = base.config
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.repeat = self._heads // self._kv_heads
        self._eps, self.dtype, self._rotary = config.rms_norm_eps, dtype, base.model.rotary_emb
        self._embed_VD = base.model.embed_tokens.weight.detach()
        self._head_VD = base.lm_head.weight.detach().to(dtype)
        self._last_norm_D = base.model.norm.weight.detach().to(dtype)
        self._layers = [
            (
                layer.input_layernorm.weight.detach().to(dtype),
                _Linear([getattr(layer.self_attn, f"{name}_proj") for name in "qkv"], dtype),
                _Linear([layer.self_attn.o_proj], dtype),
                layer.post_attention_layernorm.weight.detach().to(dtype),
                _Linear([layer.mlp.gate_proj, layer.mlp.up_proj], dtype),
                _Linear([layer.mlp.down_proj], dtype),
            )
            for layer in base.model.layers
        ]
        fuse: Callable[..., Any] = (
            (lambda function: torch.compile(function, dynamic=True))
            if is_compiled
            else (lambda function: function)
        )
        self._norm, self._turn, self._gated = fuse(_norm), fuse(_turn), fuse(_gated)

    def flatten(self, rows: Sequence[Row]) -> Flat:
        """Rows as this pass reads them."""
        return flatten(rows, self.repeat, self.dtype, self._embed_VD.device)

    def embed(self, ids_N: Tensor) -> Tensor:
        """What the model takes for tokens, `(N, D)`, float32."""
        x_ND: Tensor = self._embed_VD[ids_N]
        return x_ND.float()

    def hidden(self, flat: Flat, x_ND: Tensor | None = None) -> Tensor:
        """Last states, after the last norm, `(N, D)`.

        Args:
            flat: The rows.
            x_ND: Inputs in the place of their tokens' embeddings.
        """
        x_ND = self.embed(flat.ids_N) if x_ND is None else x_ND
        cos_1NE, sin_1NE = self._rotary(x_ND, flat.places_N[None])
        cos_NE, sin_NE = cos_1NE[0], sin_1NE[0]
        scale = cos_NE.shape[1] ** -0.5
        for norm, qkv, out, second_norm, wide, down in self._layers:
            q_NHE, k_NHE, v_NHE = self._heads_of(qkv(self._norm(x_ND, norm, self._eps)))
            q_NHE = self._turn(q_NHE, cos_NE * scale, sin_NE * scale)
            k_NHE = self._turn(k_NHE, cos_NE, sin_NE)
            x_ND = x_ND + out(self._attend(flat, q_NHE, k_NHE, v_NHE))
            x_ND = x_ND + down(self._gated(wide(self._norm(x_ND, second_norm, self._eps))))
        last_ND: Tensor = self._norm(x_ND, self._last_norm_D, self._eps)
        return last_ND

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Of the vocabulary, float32."""
        logits_NV: Tensor = hidden_ND @ self._head_VD.T
        return logits_NV.float()

    def _heads_of(self, x_NO: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        size = x_NO.shape[1] // (self._heads + 2 * self._kv_heads)
        x_NHE = x_NO.view(len(x_NO), -1, size)
        second, third = self._heads, self._heads + self._kv_heads
        return x_NHE[:, :second], x_NHE[:, second:third], x_NHE[:, third:]

    def _attend(self, flat: Flat, q_NHE: Tensor, k_NGE: Tensor, v_NGE: Tensor) -> Tensor:
        """What the tokens gather from those they see, `(N, H E)`; queries are scaled before."""
        q_GJNE = q_NHE.reshape(len(q_NHE), self._kv_heads, self.repeat, -1).permute(1, 2, 0, 3)
        out_GJNE: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
            q_GJNE, k_NGE.transpose(0, 1), v_NGE.transpose(0, 1), flat.blocks
        )
        return out_GJNE.permute(2, 0, 1, 3).flatten(1)


def answer_losses(run: ReaderPass, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Of every token that is said: its loss, whether it is the likeliest, its question's number."""
    flat = run.flatten(rows)
    (told_M,) = flat.said_N.nonzero(as_tuple=True)
    logits_MV = run.logits(run.hidden(flat)[told_M - 1])
    wanted_M = flat.ids_N[told_M]
    losses_M = functional.cross_entropy(logits_MV, wanted_M, reduction="none")
    return losses_M, logits_MV.argmax(-1) == wanted_M, flat.numbers_N[told_M]
