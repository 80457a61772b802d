"""Tokens: every byte is covered, whatever the tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from architectures import END_TOKEN, TEXT, write_tokenizer
from bases import pretrained_folder
from lmos.errors import ModelError
from lmos.model.tokens import TextTokenizer

TEXTS = [
    "plain",
    " two  spaces ",
    "tab\tnewline\n\n",
    "naïve café",
    "世界和平",
    "🌍👩‍👩‍👧🇫🇷",
    "a\u0301 ﬁ Ⅷ",
    f"a {END_TOKEN} b",
]


def byte_level(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(write_tokenizer(folder) / "tokenizer.json"))


def metaspace(folder: Path) -> Tokenizer:
    """As SentencePiece models come: a mark for spaces, bytes for what is unknown."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse()]
    )
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", *byte_tokens], show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 8, trainer)
    return tokenizer


def words(folder: Path) -> Tokenizer:
    """Drops spaces, and knows few words."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "plain": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


KINDS = {"byte_level": byte_level, "metaspace": metaspace, "words": words}


@pytest.fixture(scope="module", params=list(KINDS))
def tokenizer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> TextTokenizer:
    return TextTokenizer(KINDS[request.param](tmp_path_factory.mktemp(request.param)))


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return TextTokenizer(byte_level(tmp_path_factory.mktemp("exact")))


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_cover_every_byte(tokenizer: TextTokenizer, text: str) -> None:
    tokens, content = tokenizer.encode(text), text.encode()
    assert len(tokens.ids) == len(tokens.byte_ends) == len(tokens)
    assert list(tokens.byte_ends) == sorted(tokens.byte_ends)
    assert tokens.byte_ends[-1] == len(content)
    for end in tokens.byte_ends:
        content[:end].decode()


def test_an_empty_text_has_no_tokens(tokenizer: TextTokenizer) -> None:
    assert len(tokenizer.encode("")) == 0


@settings(deadline=None, max_examples=50)
@given(text=st.text(max_size=40))
def test_bytes_come_back_unchanged(exact: TextTokenizer, text: str) -> None:
    tokens = exact.encode(text)
    assert exact.decode(tokens.ids) == text
    assert tokens.byte_ends[-1:] == ((len(text.encode()),) if text else ())


def test_ends_are_those_of_the_words(exact: TextTokenizer) -> None:
    text = "é the dog"
    assert set(exact.encode(text).byte_ends) >= {2, 6, 10}


def test_special_tokens_in_a_text_are_plain_text(exact: TextTokenizer) -> None:
    tokens = exact.encode(f"a {END_TOKEN} b")
    assert 0 not in tokens.ids
    assert exact.decode([*tokens.ids, 0]) == f"a {END_TOKEN} b"


def unigram(folder: Path) -> Tokenizer:
    """Has its special tokens among the words."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=80,
        special_tokens=["</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{TEXT} <a/> b/c"] * 8, trainer)
    return tokenizer


def pretrained(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(pretrained_folder() / "tokenizer.json"))


WITH_SPECIAL_TOKENS = {
    "tiny": byte_level,
    "unigram": unigram,
    "smollm2-135m-instruct": pretrained,
}


@pytest.mark.parametrize("kind", WITH_SPECIAL_TOKENS)
def test_no_special_token_can_be_spelled_out(kind: str, tmp_path: Path) -> None:
    backend = WITH_SPECIAL_TOKENS[kind](tmp_path)
    theirs = PreTrainedTokenizerFast(tokenizer_object=backend)
    ours = TextTokenizer(theirs.backend_tokenizer)
    special = {
        number: token.content
        for number, token in backend.get_added_tokens_decoder().items()
        if token.special
    }
    assert len(special) >= 2
    for number, content in special.items():
        text = f"one {content} two{content}"
        before = ours.encode(text)
        assert special.keys().isdisjoint(before.ids)
        assert before.byte_ends[-1] == len(text)
        theirs(text)
        theirs.apply_chat_template(
            [{"role": "user", "content": text}], chat_template="{{ messages[0]['content'] }}"
        )
        theirs.backend_tokenizer.encode_special_tokens = False
        assert ours.encode(text) == before
        assert ours.encode_control(text).count(number) == 2
        assert ours.encode(text) == before


def test_the_tokenizer_of_others_stays_as_it_is(tmp_path: Path) -> None:
    backend = byte_level(tmp_path)
    backend.enable_truncation(3)
    TextTokenizer(backend).encode_control(TEXT)
    assert not backend.encode_special_tokens
    assert len(backend.encode(TEXT).ids) == 3


def test_what_a_vocabulary_lacks_stays_unknown(tmp_path: Path) -> None:
    ours = TextTokenizer(unigram(tmp_path))
    assert 1 in ours.encode("dog 世 dog").ids


def test_a_text_that_a_tokenizer_drops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="makes no tokens"):
        TextTokenizer(words(tmp_path)).encode("  ")


def test_truncation_and_padding_of_the_file_are_off(tmp_path: Path) -> None:
    backend = byte_level(tmp_path)
    expected = TextTokenizer(byte_level(tmp_path)).encode(TEXT)
    backend.enable_truncation(3)
    backend.enable_padding(length=100)
    assert TextTokenizer(backend).encode(TEXT) == expected


def test_hashes_tell_tokenizers_apart(tmp_path: Path) -> None:
    backends = [make(tmp_path) for make in KINDS.values()]
    copies = [Tokenizer.from_str(backend.to_str()) for backend in backends]
    hashes = [TextTokenizer(backend).hash for backend in backends]
    assert len(set(hashes)) == len(KINDS)
    assert hashes == [TextTokenizer(copy).hash for copy in copies]
