"""The session: an open store bound to a model; add, retrieve, generate, forget.

The whole of lmos behind a handful of verbs, without a tensor in sight. Knows neither commands nor
HTTP.
"""

from __future__ import annotations

import functools
import time as clock
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import torch

from lmos.errors import ConfigError, DataError, ModelError, QueryError
from lmos.model.base import UNTRAINED_HEADS, UNTRAINED_KEYS, BaseModel
from lmos.model.devices import best_device
from lmos.model.formats import Turn, leans
from lmos.model.released import DEFAULT_MODEL, MODELS_FOLDER, is_known, shipped_adapter
from lmos.nodes import PlaceMark, Source, Span
from lmos.reading.answers import Answer
from lmos.reading.asking import ask_hits
from lmos.reading.citations import Citation, cite, read_passages
from lmos.reading.generation import AnswerStream
from lmos.reading.needing import needs_store, speak
from lmos.search.absence import why_nothing
from lmos.search.retriever import Retrieval, RetrievalConfig, Retriever
from lmos.search.scorers import AbstractScorer
from lmos.search.strategies import AbstractStrategy
from lmos.settings import (
    ANSWER_MASS,
    DEFAULT_COMPRESSION,
    DEFAULT_RATIOS,
    DEFAULT_WINDOW,
    DTYPES,
    MAX_NEW_TOKENS,
    SEGMENTERS,
    WHEN,
    Compression,
    require_choice,
)
from lmos.store import AbstractStore, Manifest
from lmos.store.keys import Key
from lmos.store.places import shifted
from lmos.store.sqlite import SQLiteStore
from lmos.store.writer import Patience
from lmos.text.normal import readable
from lmos.tree.builder import Progress, SourceText, TreeBuilder
from lmos.tree.recheck import Rechecker
from lmos.tree.segments import AbstractSegmenter, name_of

NO_READER = "none"
_UPPER_WINDOW = 16
_READ_TURNS = 3
_PART_CHARS = 200_000
_NEW_PASSAGE = b"\n"

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class UntrainedWarning(UserWarning):
    """Weights that were trained to compress and retrieve, or to answer, are missing.

    The model works without them, badly.
    """


def load_model(
    name: str = DEFAULT_MODEL,
    adapter: str | None = None,
    *,
    reader: str | None = None,
    device: str = "auto",
    dtype: str = DTYPES[0],
    trust_remote_code: bool = False,
) -> BaseModel:
    """Load a model that lmos knows by name, a folder, a GGUF file or a model of the Hub.

    Args:
        name: Of the model, or its folder or file.
        adapter: Folder of the adapter; by default the model's own folder, if it has one, or the one
            that ships for it.
        reader: Folder of LoRA weights for answering, in peft's format; by default those that ship
            for the model, and `none` for the model as it is.
        device: Where to compute, as torch names it; `auto` is a GPU if torch sees one.
        dtype: Of the weights while it computes: `float32`, `bfloat16`, or `auto` for what they were
            saved in where the device is fast with that, else `float32`. A store may be used with
            one and the other: its vectors differ by less than `Session.verify` allows.
        trust_remote_code: Run Python code that comes with the model.

    Warns:
        UntrainedWarning: There is no adapter for it, or what ships for it is not installed.

    Raises:
        ModelError: It cannot be loaded or used.
        ConfigError: There is no such device or dtype.
    """
    require_choice("dtype", dtype, *DTYPES)
    if device == "auto":
        device = best_device()
    if name == DEFAULT_MODEL and not is_known(name):
        raise ModelError(f"the model {name} is not part of this installation; install lmos again")
    model = BaseModel.from_pretrained(
        name,
        adapter=adapter,
        device=device,
        dtype="auto" if dtype == "auto" else getattr(torch, dtype),
        trust_remote_code=trust_remote_code,
    )
    if adapter is None and (shipped := shipped_adapter(name, "memory")) is not None:
        model.load_adapter(shipped)
    chosen = shipped_adapter(name, "reader") if reader is None else Path(reader)
    if chosen is not None and reader != NO_READER:
        model.load_reader(chosen)
    if not is_known(name) and Path(name).exists():
        model.name = str(Path(name).absolute())
    for lack in _lacks(model, name, needs_reader=reader is None):
        warnings.warn(lack, UntrainedWarning, stacklevel=2)
    return model


def _lacks(model: BaseModel, name: str, *, needs_reader: bool) -> Iterator[str]:
    """What a model that was loaded by its name lacks, and what to do about that."""
    if not model.is_trained:
        advice = "Train an adapter for it, to find more: lmos train."
        if is_known(name):
            advice = f"Its adapter is missing from {MODELS_FOLDER / name}: install lmos again."
        yield (
            f"{name} was not trained to compress and retrieve: it finds passages by the words that "
            f"they share with a question. {advice}"
        )
    if needs_reader and is_known(name) and shipped_adapter(name, "reader") is None:
        yield (
            f"the weights that {name} answers with are missing from {MODELS_FOLDER / name}: the "
            "model answers as it is, which is worse. Install lmos again, or say --reader none."
        )


def make_manifest(
    model: BaseModel,
    ratios: tuple[int, ...] = DEFAULT_RATIOS,
    *,
    window: int = DEFAULT_WINDOW,
    segmenter: str | AbstractSegmenter = SEGMENTERS[0],
    compression: Compression = DEFAULT_COMPRESSION,
) -> Manifest:
    """The manifest of a store that `model` is to write.

    Args:
        model: Base model and adapter.
        ratios: Items per embedding at level 1, 2, ...
        window: Tokens in a window of level 1; those above hold at least 16 nodes.
        segmenter: `unit`, `sentence`, `fixed`, `surprise`, `attention`, or one of your own.
        compression: How a window becomes embeddings; for research, see `lmos.paper`.

    Raises:
        ConfigError: A value is out of range.
    """
    limit = model.max_positions or window
    if window < 2 or window > limit:
        raise ConfigError(f"window: expected 2..{limit} tokens for {model.name}, got {window}")
    if len(ratios) > model.adapter.config.max_levels:
        raise ConfigError(
            f"ratios: expected at most {model.adapter.config.max_levels} levels, got {len(ratios)}"
        )
    upper = [max(ratio, _UPPER_WINDOW // max(ratio, 1) * ratio) for ratio in ratios[1:]]
    if model.max_positions is not None and max(upper, default=0) > model.max_positions:
        raise ConfigError(
            f"ratios: expected at most {model.max_positions} each, got {max(ratios[1:])}"
        )
    return Manifest(
        base_model=model.name,
        base_hash=model.base_hash,
        adapter_hash=model.adapter_hash,
        tokenizer_hash=model.tokenizer_hash,
        ratios=tuple(ratios),
        windows=(window, *upper),
        mask_mode=compression.mask_mode,
        output_mode=compression.output_mode,
        segmenter=name_of(segmenter),
        scoring_layer=model.scoring_layer,
        embedding_width=model.embedding_width,
        key_width=model.node_key_width,
        adapter=model.adapter_folder,
    )


def _as_it_wrote(model: BaseModel, manifest: Manifest) -> BaseModel:
    """The model with attention keys, for a store from before untrained models had heads."""
    is_old = manifest.adapter_hash == UNTRAINED_KEYS and manifest.base_hash == model.base_hash
    if not is_old or model.adapter_hash != UNTRAINED_HEADS:
        return model
    warnings.warn(
        "the store was made before untrained models found passages by their words, so little is "
        f"found in it. Rebuild it from its text: lmos reencode STORE --model {model.name}",
        UntrainedWarning,
        stacklevel=3,
    )
    return model.with_attention_keys()


def _alone(
    change: Callable[Concatenate[Session, _Arguments], _Result],
) -> Callable[Concatenate[Session, _Arguments], _Result]:
    """Let nobody else write between what a change reads and what it writes."""

    @functools.wraps(change)
    def alone(session: Session, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with session.store.writing():
            return change(session, *args, **kwargs)

    return alone


class Session:
    """An open context store with the model that reads and writes it.

    Example:
        session = Session.create("life.lmos")
        session.add("diary", "The code of the blue bicycle is 4812.")
        answer = session.ask("What is the code of the blue bicycle?").complete()
        print(answer.text, answer.citations[0].text)
    """

    def __init__(
        self,
        model: BaseModel,
        store: AbstractStore,
        *,
        scorer: AbstractScorer | None = None,
        strategy: AbstractStrategy | None = None,
        segmenter: AbstractSegmenter | None = None,
    ) -> None:
        """Bind a store to a model.

        Args:
            model: The one that wrote it.
            store: Is closed with the session.
            scorer: Scores nodes in the place of their stored keys.
            strategy: Searches in the place of the strategy that a question's config names.
            segmenter: The one that the store was made with, if it is not one of lmos' own.

        Warns:
            UntrainedWarning: It has attention keys of an untrained model, and is searched by them.

        Raises:
            StoreMismatch: The store was written by another model; the message says what differs.
        """
        manifest = store.manifest
        model = _as_it_wrote(model, manifest)
        mine = replace(
            manifest,
            base_model=model.name,
            base_hash=model.base_hash,
            adapter_hash=model.adapter_hash,
            tokenizer_hash=model.tokenizer_hash,
            scoring_layer=model.scoring_layer,
            embedding_width=model.embedding_width,
            key_width=model.node_key_width,
        )
        manifest.require_same(mine)
        self.model = model
        self.store = store
        self._scorer = scorer
        self._strategy = strategy
        self._segmenter = segmenter
        self._builder = TreeBuilder(model, manifest, segmenter=segmenter)

    @classmethod
    def create(
        cls,
        path: str | Path,
        model: BaseModel | None = None,
        ratios: tuple[int, ...] = DEFAULT_RATIOS,
        *,
        window: int = DEFAULT_WINDOW,
        segmenter: str | AbstractSegmenter = SEGMENTERS[0],
        compression: Compression = DEFAULT_COMPRESSION,
        scorer: AbstractScorer | None = None,
        strategy: AbstractStrategy | None = None,
        key: Key | None = None,
    ) -> Session:
        """Make a new store file.

        Args:
            path: Must not exist.
            model: The shipped one by default.
            ratios: Items per embedding at level 1, 2, ...
            window: See `make_manifest`, as for `segmenter` and `compression`.
            segmenter: A name, or a segmenter of your own.
            compression: How a window becomes embeddings.
            scorer: See `Session`.
            strategy: See `Session`.
            key: Encrypts the file; every later opening needs it.

        Raises:
            StoreExists: There is something at the path.
            ConfigError: A value is out of range.
        """
        model = model or load_model()
        manifest = make_manifest(
            model, ratios, window=window, segmenter=segmenter, compression=compression
        )
        return cls(
            model,
            SQLiteStore.create(Path(path), manifest, key),
            scorer=scorer,
            strategy=strategy,
            segmenter=None if isinstance(segmenter, str) else segmenter,
        )

    @classmethod
    def open(
        cls,
        path: str | Path,
        model: BaseModel | None = None,
        *,
        read_only: bool = False,
        wait_seconds: float = 0,
        scorer: AbstractScorer | None = None,
        strategy: AbstractStrategy | None = None,
        segmenter: AbstractSegmenter | None = None,
        key: Key | None = None,
    ) -> Session:
        """Open a store file, with the model and adapter that its manifest names by default.

        Args:
            path: Of the file.
            model: Must be the one that wrote it.
            read_only: Never change it; others may meanwhile.
            wait_seconds: How long to wait while another process has it open for writing.
            scorer: See `Session`.
            strategy: See `Session`.
            segmenter: See `Session`; nothing can be added without it.
            key: What the file is encrypted with.

        Raises:
            StoreNotFound: There is none.
            StoreEncrypted: It is encrypted, and there is no key or one that does not open it.
            StoreLocked: Another process has it open for writing.
            StoreMismatch: The model is not the one that wrote it.
        """
        patience = Patience(wait_seconds)
        store = SQLiteStore.open(Path(path), read_only=read_only, patience=patience, key=key)
        try:
            named = store.manifest
            model = model or load_model(named.base_model, named.adapter)
            return cls(model, store, scorer=scorer, strategy=strategy, segmenter=segmenter)
        except BaseException:
            store.close()
            raise

    @_alone
    def add(
        self,
        name: str,
        text: str,
        *,
        time: float | None = None,
        metadata: Mapping[str, str] | None = None,
        places: Sequence[PlaceMark] = (),
        progress: Progress = lambda _: None,
    ) -> Source:
        """Add a source, or give an existing one a new text; durable when this returns.

        Only windows that the new text changes are compressed. The tree of a long new text is made
        part by part, so that memory does not grow with it.

        Args:
            name: Of the source.
            text: All of it.
            time: Seconds since the epoch; by default now, or what an existing source has.
            metadata: Labels.
            places: Where in its original the text comes from, see `documents`; cited with it.
            progress: Told the number of tokens as they are compressed.

        Raises:
            DataError: The text or the name is empty.
        """
        if not name.strip():
            raise DataError("expected a name for the source, got an empty one")
        if not text.strip():
            raise DataError(f"{name}: expected text, got nothing but white space")
        data, parts = _utf8(text, name), []
        if self.store.find_source(name) is None:
            time = clock.time() if time is None else time
            data, *parts = [
                text[at : at + _PART_CHARS].encode() for at in range(0, len(text), _PART_CHARS)
            ]
        with torch.no_grad(), self.store.changes() if parts else nullcontext():
            source = self.store.put_source(
                name,
                self._builder.build(self.store, [SourceText(name, data)], progress)[0],
                time=time,
                metadata=metadata or {},
                places=() if parts else places,
            )
            for number, part in enumerate(parts, 1):
                # The patch has no name, so that it is gone before the next is made.
                source = self.store.put_source(
                    name,
                    self._builder.extend(self.store, source, part, progress),
                    places=places if number == len(parts) else None,
                )
        return source

    @_alone
    def append(
        self,
        name: str,
        text: str,
        *,
        time: float | None = None,
        metadata: Mapping[str, str] | None = None,
        places: Sequence[PlaceMark] = (),
        progress: Progress = lambda _: None,
    ) -> Source:
        """Extend a source, or create it. The tree is the one that a single `add` would have made.

        Args:
            name: Of the source.
            text: What follows; starts a new line if the source does not end with white space.
            time: Seconds since the epoch; by default now, or what an existing source has.
            metadata: Labels; those of the source by default.
            places: Where in its original this text comes from, counted from its own start.
            progress: Told the number of tokens as they are compressed.

        Raises:
            DataError: The text or the name is empty.
        """
        if not text.strip():
            raise DataError(f"{name}: expected text to append, got nothing but white space")
        known = self.store.find_source(name)
        if known is None:
            return self.add(
                name, text, time=time, metadata=metadata, places=places, progress=progress
            )
        last = self.store.text(known.source_id, Span(known.num_bytes - 1, known.num_bytes))
        more = _utf8(text, name)
        if last and not last.isspace() and not text[:1].isspace():
            more = _NEW_PASSAGE + more
        with torch.no_grad():
            patch = self._builder.extend(self.store, known, more, progress)
        return self.store.put_source(
            name,
            patch,
            time=time,
            metadata=metadata or {},
            places=self._extended_places(known, places, len(more) - len(text.encode())),
        )

    def _extended_places(
        self, known: Source, more: Sequence[PlaceMark], num_gap: int
    ) -> Sequence[PlaceMark]:
        """The places of a source and of what is put behind it, which may have none."""
        before = self.store.places(known.source_id)
        after = shifted(more, known.num_bytes + num_gap)
        if before and known.num_bytes and (not more or more[0].start_byte > 0):
            after = (PlaceMark(known.num_bytes, ""), *after)
        return (*before, *after)

    def retrieve(
        self,
        question: str,
        config: RetrievalConfig | None = None,
        turns: Sequence[Turn] = (),
    ) -> Retrieval:
        """Find what a question needs. The store is not changed, and is seen as one commit left it.

        To read more of what was found beside a writer, stay in one `store.snapshot()`.

        Args:
            question: Any question.
            config: How to retrieve.
            turns: Questions that were asked before, and their answers. A question that leans on
                the last one (`model.formats.leans`) is searched for together with it.

        Raises:
            QueryError: The question is empty or longer than the model's window for questions.
        """
        _require_question(question)
        retriever = Retriever(
            self.model, config or RetrievalConfig(), scorer=self._scorer, strategy=self._strategy
        )
        asked = readable(question.strip())
        lead = f"{turns[-1][0]} {asked}" if turns and leans(asked) else ""
        question_ids, lead_ids = (self.model.encode(text).ids for text in (asked, readable(lead)))
        return retriever.retrieve(self.store, question_ids, lead_ids)

    def ask(
        self,
        question: str,
        config: RetrievalConfig | None = None,
        *,
        turns: Sequence[Turn] = (),
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        when: str = WHEN[0],
    ) -> Answer:
        """Retrieve, then generate. Iterate over the answer to stream it.

        Where no passage is found nothing is generated: the answer is empty, and has a `reason`.

        Args:
            question: Any question.
            config: How to retrieve.
            turns: Questions that were asked before, and their answers; the last few are read.
            max_new_tokens: The answer has at most so many tokens.
            temperature: 0 is greedy and deterministic.
            seed: Of the sampling, with a temperature.
            when: Whether to look into the store: `always`; `never`, so that the model answers in
                its own words; or `uncertain`, where the reader is sure that it cannot answer
                without, see `reading.needing`.

        Raises:
            QueryError: The question is empty or too long.
            ConfigError: Budget and answer together exceed the model's positions, or there is no
                such `when`.
        """
        start = clock.perf_counter()
        require_choice("when", when, *WHEN)
        if when != WHEN[0]:
            _require_question(question)
            recent, asked = turns[-_READ_TURNS:], readable(question.strip())
            if when == "never" or not needs_store(self.model, asked, recent):
                return Answer(
                    question,
                    Retrieval(()),
                    (),
                    {"retrieve": 0.0},
                    _stream=speak(self.model, asked, recent, max_new_tokens, temperature, seed),
                    _passages=(),
                    _calibration=self.model.calibration,
                    _start=start,
                    is_own=True,
                )
        with self.store.snapshot():
            turns = turns[-_READ_TURNS:]
            retrieval = self.retrieve(question, _to_answer(config), turns)
            found = clock.perf_counter()
            if not retrieval.hits:
                return Answer(
                    question,
                    retrieval,
                    (),
                    {"retrieve": found - start},
                    _stream=AnswerStream(self.model, iter(())),
                    _passages=(),
                    _calibration=self.model.calibration,
                    _start=start,
                    reason=why_nothing(self.store, config or RetrievalConfig()),
                )
            asked = readable(question.strip())
            begun = ask_hits(
                self.model,
                self.store,
                retrieval.hits,
                asked,
                turns,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                seed=seed,
            )
        return Answer(
            question,
            retrieval,
            cite(begun.passages),
            {"retrieve": found - start},
            _stream=begun.stream,
            _passages=begun.passages,
            _calibration=self.model.calibration,
            _start=start,
            _reader=begun.reader,
            num_prompt_tokens=begun.num_prompt_tokens,
        )

    def cite(self, retrieval: Retrieval) -> tuple[Citation, ...]:
        """The passages behind the hits, best first."""
        return cite(read_passages(self.store, retrieval.hits))

    @_alone
    def forget(self, name: str) -> None:
        """Remove a source and everything that was made of it.

        Raises:
            SourceNotFound: There is none of that name.
        """
        self.store.delete_source(name)

    def sources(self) -> list[Source]:
        """All sources, oldest first."""
        return self.store.sources()

    def verify(self, deep: int = 0) -> list[str]:
        """What is wrong with the store, one sentence each; empty when all is well.

        Args:
            deep: At so many places of the text, the windows above are also compressed again and
                compared, see `recheck.TOLERANCE`.
        """
        faults = self.store.verify()
        return faults or Rechecker(self.model, self.store, self._segmenter).find_faults(deep)

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _to_answer(config: RetrievalConfig | None) -> RetrievalConfig:
    """How to retrieve what is read."""
    config = config or RetrievalConfig()
    return replace(config, text_mass=ANSWER_MASS) if config.text_mass is None else config


def _require_question(question: str) -> None:
    if not question.strip():
        raise QueryError("expected a question, got an empty one")
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"expected a question in Unicode: {error}") from error


def _utf8(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name}: expected Unicode text, got half a character: {error}") from error
