"""The manifest: which model wrote a store, and with which settings.

Knows names and hashes. Does not load models or open files.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from lmos.errors import ConfigError, StoreCorrupt, StoreMismatch
from lmos.settings import MASK_MODES, OUTPUT_MODES, require_choice

FORMAT_VERSION = 3
_NAMES = ("base_model", "adapter")
"""What a model is called; its hashes say which one it is."""


@dataclass(frozen=True)
class Manifest:
    """What a store is bound to.

    Attributes:
        base_model: Name or path of the base model, for people to read.
        base_hash: SHA-256 of the base model's weights.
        adapter_hash: SHA-256 of the adapter's weights, or `"untrained heads"`; `"untrained"` where
            keys are attention keys that nobody trained.
        tokenizer_hash: SHA-256 of the tokenizer's files.
        ratios: Items per compression token at level 1, 2, ...; its length is the number of levels.
        windows: Items in one forward pass at level 1 (tokens), 2 (nodes), ...
        mask_mode: `window` or `strict`.
        output_mode: `residual`, `mean` or `paper`.
        segmenter: `unit`, `sentence`, `fixed`, `surprise`, `attention`, or the name of the user's
            own.
        scoring_layer: Layer whose attention keys are stored, where the model has no heads.
        embedding_width: D.
        key_width: Numbers in one stored key.
        adapter: Where the adapter is, if not beside the base model.
        dtype: Of stored embeddings and keys: `bfloat16` or `float16`.
        format_version: Of the file.
        max_bytes: The file grows to at most so many; `None` when it may grow as it likes.
    """

    base_model: str
    base_hash: str
    adapter_hash: str
    tokenizer_hash: str
    ratios: tuple[int, ...]
    windows: tuple[int, ...]
    mask_mode: str
    output_mode: str
    segmenter: str
    scoring_layer: int
    embedding_width: int
    key_width: int
    adapter: str | None = None
    dtype: str = "bfloat16"
    format_version: int = FORMAT_VERSION
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if not self.ratios or any(ratio < 2 for ratio in self.ratios):
            raise ConfigError(f"expected every ratio ≥ 2, got {self.ratios}; choose e.g. 32,4,4")
        if len(self.windows) != len(self.ratios):
            raise ConfigError(
                f"expected a window for each level, got {self.windows} for {self.ratios}"
            )
        for level, (window, ratio) in enumerate(zip(self.windows, self.ratios, strict=True), 1):
            if window < ratio or (level > 1 and window % ratio):
                raise ConfigError(
                    f"level {level}: expected a window of whole spans of {ratio}, got {window}"
                )
        for name, value, allowed in (
            ("mask", self.mask_mode, MASK_MODES),
            ("output", self.output_mode, OUTPUT_MODES),
            ("dtype", self.dtype, ("bfloat16", "float16")),
        ):
            require_choice(name, value, *allowed)

    @property
    def num_levels(self) -> int:
        """Levels of embeddings above the text."""
        return len(self.ratios)

    def to_json(self) -> str:
        """One JSON object, keys as the attributes; without `max_bytes` when there is no limit."""
        values = asdict(self)
        if self.max_bytes is None:
            del values["max_bytes"]
        return json.dumps(values, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            StoreMismatch: A newer format.
            StoreCorrupt: Not a manifest.
        """
        try:
            values = json.loads(text)
            version = int(values["format_version"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreCorrupt(f"the manifest cannot be read: {error!r}") from error
        if version > FORMAT_VERSION:
            raise StoreMismatch(
                f"the store has format {version}, this lmos reads {FORMAT_VERSION}; upgrade lmos"
            )
        try:
            values["ratios"] = tuple(values["ratios"])
            values["windows"] = tuple(values["windows"])
            return cls(**values)
        except (KeyError, TypeError, ConfigError) as error:
            raise StoreCorrupt(f"the manifest is not complete: {error}") from error

    def require_same(self, other: Manifest) -> None:
        """Check that `other`, of the model at hand, can read and extend this store.

        Raises:
            StoreMismatch: Says each value that differs and what to do.
        """
        pairs = [
            (field.name, getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
            if field.name not in (*_NAMES, "max_bytes", "format_version")
        ]
        differences = [
            f"  {name}: the store has {mine!r}, you brought {yours!r}"
            for name, mine, yours in pairs
            if mine != yours
        ]
        if self.base_hash != other.base_hash:
            models = f"  the model: the store has {self.base_model!r}, you brought "
            differences.insert(0, models + repr(other.base_model))
        if differences:
            adapter = "" if self.adapter is None else f" and the adapter {self.adapter!r}"
            raise StoreMismatch(
                "the store was written by another model:\n"
                + "\n".join(differences)
                + f"\nOpen it with {self.base_model!r}{adapter}, or add the sources to a new store."
            )
