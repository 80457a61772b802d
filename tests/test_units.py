"""Units: sentences, items, rows, turns and code, each opened by what stands above it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmos.text.lines import Kind
from lmos.text.units import find_unit, iter_units, may_join

PIECES = [
    "# A", "## 1 March", "### B. C", "Tuesday.", "15 February", "3. März", "2024-05-03", "May",
    "To start the pump:", "Dr. Ana Moss: hi", "Ana: I came. I left.", "[10:02] Ana: hi", "Q:", "1.",
    "- one. Two", "- To do:", "  - b", "2. open. Close", "1.2. Foo", "| a | b. C |", "|---|---|",
    "a | b | c", "---|---", "---", "===", "--", "```", "```py", "~~~", "# comment", "x = 1", "key:",
    "name: value", "Ana,3,Oslo", "a, b, c", '"He came. Then left",5',
    '"I came. Then left," he said',
    "**Bold. One**", "**Note.** It", "__x__", "The cat is black", "our neighbour Henrik last",
    "Henrik Moss lives in", "the", "of the", "Sunday.", "Mrs.", "No. 5", "He said No.", "vol. II",
    "vitamin C.", "J. S. Bach", "U.S.", "a.m.", "z. B.", "d. h. so", "p. 12", "e.g.", "etc.", "I",
    "世界。你好", "。", "．5", "नमस्ते।", "Եվ։", "مرحبا؟", "wait…", "so!", '"Stop!"', "(see p. 5.)",
    "réunion", "e\u0301", "🌍", "12:30", "12", "2024", "{", "a;", "*", "#", "`", "“", "x,", "am 3.",
    "3. 4. 2024", "4. 2024", "Weserstr.", "\ufeff",
]  # fmt: skip
GAPS = [
    " ", "  ", "\n", "\n\n", "\n  ", "\n    ", "\r\n", "\n \n", "", ". ", ".\n", ":\n", "\t",
    "\xa0", ",\n", "? ",
]  # fmt: skip
TEXTS = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(GAPS)), max_size=14).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)
SIZES = st.sampled_from([7, 20, 40, 90, 256])


def units(text: str, max_bytes: int = 256) -> list[str]:
    return list(iter_units(text, max_bytes))


@given(TEXTS, SIZES)
@settings(deadline=None, max_examples=500)
def test_units_concatenate_to_the_text_and_keep_their_size(text: str, size: int) -> None:
    found = units(text, size)
    assert "".join(found) == text
    assert all(len(unit.encode()) <= size or len(unit) == 1 for unit in found)


def test_a_fence_is_open_until_it_is_known_whether_a_blank_line_follows() -> None:
    text = "d. h. so\r\n```\n \n"
    assert units(text[:-1]) == [text[:-1]]
    assert units(text) == [text]


@given(TEXTS, st.data(), SIZES)
@settings(deadline=None, max_examples=400)
def test_all_units_but_the_last_stay_when_text_is_appended(
    text: str, data: st.DataObject, size: int
) -> None:
    place = data.draw(st.integers(0, len(text)))
    *final, _ = units(text[:place], size) or [""]
    assert units(text, size)[: len(final)] == final


@given(TEXTS, SIZES)
@settings(deadline=None, max_examples=300)
def test_cutting_anew_from_any_unit_gives_the_same_units(text: str, size: int) -> None:
    found = units(text, size)
    for number in range(len(found)):
        assert units("".join(found[number:]), size) == found[number:]


def test_cutting_costs_no_more_the_longer_the_text() -> None:
    # Quadratic code takes minutes for these.
    for piece in ("It is a day\n", "```\n", "- a. B\n", "# A\n", "a:\n", "the\nHenrik "):
        text = piece * 8_000
        assert sum(map(len, iter_units(text, 256))) == len(text)


def cut(marked: str) -> list[str]:
    """Units that `¦` stands between."""
    return marked.split("¦")


@pytest.mark.parametrize(
    "marked",
    [
        "I met Ana on Feb. 12. ¦She was late.",
        "Lt. Moss came. ¦He left.",
        "See p. 12. ¦It is short.",
        "He said No. ¦Then he left.",
        "Take No. 5. ¦It is free.",
        "We have vitamin C. ¦It helps.",
        "Mr. J. S. Bach lived in the U.S. ¦He died.",
        "Meet at 5 p.m. Monday. ¦Bring it.",
        "I like apples, pears, etc. and so on. ¦They are good.",
        "It cost $3.50. ¦That is all.",
        "“Stop!” he said. ¦“Why?” she asked.",
        "Wait… ¦What? ¦Yes!",
        "Am 3. März war Montag. ¦Am 4. ging er.",
        "Er kam z. B. am Montag. ¦Sie d. h. Ana nicht.",
        "Im 2. Weltkrieg war es so. ¦Dann nicht.",
        "Wir trafen uns am 3. 4. 2024 in Wien. ¦Es war 12. ¦5 kamen.",
        "Sie wohnt Hauptstr. 5 in Bonn. ¦Kl. 7b hat frei.",
        "Smutno mi, np. w Ulm. ¦Он живёт на ул. Ленина, стр. 2. ¦Там кот.",
        "M. Dupont est là. ¦Il part le 3 févr. 2020.",
        "El Sr. Ruiz vive en la pág. 3. ¦No sé.",
        "¿Vienes? ¦¡Sí! ¦Bueno.",
        "Il sig. Rossi è qui. ¦Va bene.",
        "De heer Bos kwam bijv. op tijd. ¦Hij ging.",
        "यह एक वाक्य है। ¦यह दूसरा है।",
        "Սա նախադասություն է։ ¦Սա էլ։",
        "これは文です．¦次の文です。¦はい",
        "你好。¦世界！¦“他说。”¦然后走了。",
        "هل هذا صحيح؟ ¦نعم هو كذلك.",
        "One.\xa0¦Two is here.\xa0¦Three!",
        "Это книга. ¦Он читал.",
    ],
)
def test_sentences_end_where_readers_see_it(marked: str) -> None:
    assert units(marked.replace("¦", "")) == cut(marked)


@pytest.mark.parametrize(
    "marked",
    [
        "The cat sat on the mat and looked at the\ngarden, where birds sang. ¦Then it\nslept.",
        "It goes on with many words until the end of\nHenrik Moss who lives there. ¦He is nice.",
        "Roses are red\n¦Violets are blue\n\n¦They end.",
    ],
)
def test_wrapped_lines_are_joined_and_others_are_not(marked: str) -> None:
    assert units(marked.replace("¦", "")) == cut(marked)


@pytest.mark.parametrize(
    "marked",
    [
        "# Title\n\nFirst. ¦Second.\n\n¦## 15 February\n\nI met Ana. ¦We ate.\n",
        "\ufeff# Title\n\nFirst. ¦Second.",
        "Title\n=====\n\nHello there. ¦Bye.\n",
        "15 February\nI met Ana. ¦We ate.\n\n¦16 February\nNothing.\n",
        "2024-05-03\nWrote tests. ¦Good.\n",
        "3. März\nEs schneite. ¦Kalt.\n",
        "To start the pump:\nPull the lever. ¦Wait.\n",
        "1.\nFirst do it. ¦Then that.",
        "**Note**\nIt is wet. ¦Care.",
    ],
)
def test_what_opens_a_text_belongs_to_what_follows(marked: str) -> None:
    assert units(marked.replace("¦", "")) == cut(marked)


@pytest.mark.parametrize(
    ("marked", "kind"),
    [
        ("- bread. Brown.\n  and dark\n¦- eggs\n", Kind.ITEM),
        ("1. First. Do it.\n¦2. Second.\n", Kind.ITEM),
        ("- [ ] call Bob. Today\n¦- [x] done\n", Kind.ITEM),
        ("| x. Y | 2 |\n¦| z | 3 |\n", Kind.ROW),
        ("Ana,3. Mai,Oslo\n¦Ben,4,Rome\n", Kind.ROW),
        ("Ana: I came. I left.\n¦Ben: Why? Tell me.\n", Kind.TURN),
        ("[10:02] Ana: hi. You?\n¦[10:03] Ben: no\n", Kind.RECORD),
        ("12:00:01 INFO it. Started\n¦12:00:02 WARN it. Ended\n", Kind.RECORD),
        ("```python\nx = 1\n\ny = 2. \n```\n¦```\nz\n```\n", Kind.FENCE),
    ],
)
def test_an_item_a_row_a_turn_a_block_of_code_is_one_unit(marked: str, kind: Kind) -> None:
    text = marked.replace("¦", "")
    assert units(text) == cut(marked)
    assert find_unit(text, 0, 256).kind is kind


@pytest.mark.parametrize(
    ("text", "is_joined"),
    [
        ("One. Two.", True),
        ("One.\nTwo.", True),
        ("One.\n\nTwo.", False),
        ("One.\n# A\nTwo.", False),
        ("- a\n- b", True),
        ("- a\n\n- b", True),
        ("Ana: a\nBen: b", False),
        ("| a |\n| b |", False),
    ],
)
def test_a_span_joins_what_stands_together(text: str, is_joined: bool) -> None:
    first = find_unit(text, 0, 256)
    second = find_unit(text, first.stop, 256)
    assert first.stop < len(text)
    assert may_join(text[: first.stop], first, second) is is_joined
