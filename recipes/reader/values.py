"""Samples of values that must be said whole, and of what is and is not so: notes from templates.

Knows text and samples; knows no tokens.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from datetime import UTC, datetime

from lmos.training.words import WordBank
from recipes.reader.samples import Asked, Document, Line, Sample, passages_of, random_name
from recipes.reader.samples import random_time as draw_time

Value = Callable[[random.Random], str]
_LETTERS = string.ascii_lowercase
_TITLES = ("Dr.", "Dr", "Prof.", "Mrs.", "Mr.", "Ms", "Sgt.", "Lt.", "St.", "Rev.")
_NAMES = """
Amira Bohdan Celeste Dagny Eamon Fenna Gaspard Hanne Ivo Jarmila Kofi Lavinia Mattias Nadia Odile
Pavel Quentin Ragna Soraya Tobias Ulla Viggo Wanda Xavier Yara Zdenek
""".split()
_SURNAMES = """
Achterberg Bianchi Castellanos Dvorak Eriksen Falkenrath Grzelak Hargreaves Ilunga Jovanovic Keller
Lamothe Mbeki Nakagawa Osterman Petrov Quiroga Rautio Szabo Tanaka Underhill Vasquez Wierzbicki
""".split()
_FILLERS = (
    "The cat is black.",
    "It rained all morning.",
    "Bought bread and oranges.",
    "The stairs need paint.",
    "Watched the swifts for an hour.",
    "Rang my sister, no answer.",
    "The kettle is broken again.",
    "Nothing else happened.",
)


def _word(rng: random.Random, least: int = 4, most: int = 8) -> str:
    return "".join(rng.choice(_LETTERS) for _ in range(rng.randint(least, most)))


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def _email(rng: random.Random) -> str:
    dot = rng.choice((".", "_", "-", ""))
    host = rng.choice(("posteo.net", "mail.example", "gmx.de", "club.org", f"{_word(rng)}.co.uk"))
    return f"{rng.choice(_NAMES).lower()}{dot}{rng.choice(('', _digits(rng, 2)))}@{host}"


def _phone(rng: random.Random) -> str:
    return rng.choice(
        (
            f"0{_digits(rng, 3)} {_digits(rng, 3)} {_digits(rng, 4)}",
            f"({_digits(rng, 3)}) {_digits(rng, 3)}-{_digits(rng, 4)}",
            f"+{_digits(rng, 2)} {_digits(rng, 3)} {_digits(rng, 3)} {_digits(rng, 2)}",
            f"{_digits(rng, 3)}-{_digits(rng, 4)}",
            " ".join(_digits(rng, 2) for _ in range(5)),
        )
    )


def _iban(rng: random.Random) -> str:
    head = rng.choice(("GB", "DE", "FR", "NL", "ES")) + _digits(rng, 2)
    return " ".join([head, *(_digits(rng, 4) for _ in range(rng.randint(3, 5))), _digits(rng, 2)])


def _password(rng: random.Random) -> str:
    signs = string.ascii_letters + string.digits + "!$&%#?_-+"
    return "".join(rng.choice(signs) for _ in range(rng.randint(7, 13)))


def _money(rng: random.Random) -> str:
    amount = rng.choice((f"{rng.randint(2, 980)}", f"{rng.randint(1, 9)},{_digits(rng, 3)}"))
    cents = rng.choice(("", f".{_digits(rng, 2)}"))
    unit = rng.choice(("{} euros", "{} pounds", "£{}", "${}", "€{}", "{} EUR", "{} kronor"))
    return unit.format(amount + cents)


def _measure(rng: random.Random) -> str:
    unit = rng.choice(("mg", "km", "kg", "litres", "metres", "°C", "cm", "minutes", "hours", "ml"))
    return f"{rng.randint(1, 900)}{rng.choice(('', f'.{rng.randint(1, 9)}'))} {unit}"


def _percent(rng: random.Random) -> str:
    return f"{rng.randint(0, 99)}{rng.choice(('', f'.{rng.randint(1, 9)}'))}%"


def _date(rng: random.Random) -> str:
    day = datetime.fromtimestamp(draw_time(rng), UTC)
    return rng.choice(
        (
            f"{day:%d.%m.%Y}",
            f"{day.day} {day:%B}",
            f"{day:%Y-%m-%d}",
            f"{day:%B} {day.day}, {day.year}",
            f"{day.day} {day:%b} {day.year}",
            f"{day:%d/%m/%Y}",
            f"{day:%A} {day.day} {day:%B}",
        )
    )


def _time(rng: random.Random) -> str:
    hour, minute = rng.randint(6, 22), rng.choice((0, 5, 10, 15, 20, 30, 40, 45))
    return rng.choice((f"{hour}:{minute:02}", f"{hour % 12 or 12}.{minute:02} pm", f"{hour} h"))


def _version(rng: random.Random) -> str:
    return ".".join(str(rng.randint(0, 30)) for _ in range(rng.choice((2, 3, 3, 4))))


def _person(rng: random.Random) -> str:
    title = rng.choice((*_TITLES, "", "", ""))
    return f"{title} {rng.choice(_NAMES)} {rng.choice(_SURNAMES)}".strip()


def _address(rng: random.Random) -> str:
    street = rng.choice(_SURNAMES)
    kind = rng.choice(("Street", "Road", "Lane", "Avenue", "Close", "Terrace"))
    return f"{rng.randint(1, 240)}{rng.choice(('', '', 'b'))} {street} {kind}"


def _link(rng: random.Random) -> str:
    return (
        f"https://{_word(rng)}.{rng.choice(('org', 'io', 'net'))}/{_word(rng)}/{_word(rng, 2, 5)}"
    )


def _path(rng: random.Random) -> str:
    return rng.choice((f"/{_word(rng)}/{_word(rng)}.{_word(rng, 2, 4)}", f"~/{_word(rng)}.conf"))


_KINDS: tuple[tuple[Value, tuple[str, ...], tuple[str, ...], str], ...] = (
    (_email, ("email", "e-mail address", "mail"), ("the {owner}", "{name}"), "What is"),
    (_phone, ("phone number", "number", "mobile"), ("the {owner}", "{name}"), "What is"),
    (_iban, ("IBAN", "account number"), ("the {owner}", "{name}"), "What is"),
    (_password, ("password", "wifi password", "passphrase"), ("the {owner}",), "What is"),
    (_money, ("rent", "price", "fee", "deposit", "bill"), ("the {owner}",), "What is"),
    (_measure, ("length", "dose", "weight", "limit"), ("the {owner}",), "What is"),
    (_percent, ("interest rate", "share", "discount", "humidity"), ("the {owner}",), "What is"),
    (_date, ("deadline", "appointment", "birthday"), ("the {owner}", "{name}"), "When is"),
    (_time, ("start", "meeting", "departure"), ("the {owner}",), "When is"),
    (_version, ("version", "firmware version"), ("the {owner}",), "What is"),
    (_person, ("dentist", "owner", "teacher", "boss"), ("the {owner}", "{name}"), "Who is"),
    (_address, ("address", "new address"), ("the {owner}", "{name}"), "What is"),
    (_link, ("link", "address", "page"), ("the {owner}",), "What is"),
    (_path, ("config file", "log file", "path"), ("the {owner}",), "What is"),
)
_STATED = ("The {what} of {who} is {value}.", "{what} of {who}: {value}", "{Who}: {what} {value}")
_DOINGS = (
    ("eat", "eats", ("fish", "meat", "mushrooms", "nuts", "cheese", "eggs")),
    ("drink", "drinks", ("coffee", "milk", "wine", "tea", "beer")),
    ("speak", "speaks", ("Danish", "Welsh", "Polish", "Greek", "Hindi", "Basque")),
    ("play", "plays", ("the oboe", "chess", "tennis", "the drums", "bridge")),
    ("like", "likes", ("jazz", "snow", "cats", "crowds", "opera")),
)


class Values:
    """Notes with addresses, numbers, dates and names, and with what is so or is not."""

    def __init__(self, words: WordBank) -> None:
        self._words = words

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        texts: list[str] = []
        asked: list[Asked] = []
        for _ in range(rng.randint(1, 4)):
            self._value(rng, texts, asked)
        for _ in range(rng.randint(0, 2)):
            self._doing(rng, texts, asked)
        texts += rng.sample(_FILLERS, rng.randint(0, 3))
        rng.shuffle(texts)
        headings = (f"{rng.choice(('', 'Notes, '))}{_date(rng)}",) if rng.random() < 0.2 else ()
        lines = tuple(Line(text, n, headings) for n, text in enumerate(texts))
        document = Document(random_name(rng), lines, draw_time(rng))
        kept = frozenset((0, line.place) for line in lines)
        return Sample(passages_of([document], kept), tuple(asked), "values")

    def _value(self, rng: random.Random, texts: list[str], asked: list[Asked]) -> None:
        make, names, owners, verb = rng.choice(_KINDS)
        what, value = rng.choice(names), make(rng)
        person, thing = rng.choice(_NAMES), self._words.draw(rng, "thing")
        who = rng.choice(owners).format(owner=thing, name=person)
        question = f"{verb} the {what} of {who}?"
        if any(question == each.question for each in asked):
            return
        stated = rng.choice(_STATED).format(
            what=what, who=who, value=value, Who=who[0].upper() + who[1:]
        )
        if rng.random() < 0.15:
            other = rng.choice(owners).format(owner=self._words.draw(rng, "thing"), name="Nobu")
            asked.append(Asked(f"{verb} the {what} of {other}?", "not found"))
        texts.append(stated[0].upper() + stated[1:])
        asked.append(Asked(question, value))

    def _doing(self, rng: random.Random, texts: list[str], asked: list[Asked]) -> None:
        verb, verbs, things = rng.choice(_DOINGS)
        name = rng.choice(_NAMES)
        if any(name in text for text in texts):
            return
        one, other, third = rng.sample(things, 3)
        yes, no = f"{name} {verbs} {one}.", f"{name} does not {verb} {other}."
        texts.append(rng.choice((f"{yes} {no}", f"{no} {yes}")))
        asked.append(Asked(f"What does {name} {verb}?", one))
        asked.append(Asked(f"Does {name} {verb} {other}?", "no"))
        if rng.random() < 0.5:
            asked.append(Asked(f"Does {name} {verb} {one}?", "yes"))
        if rng.random() < 0.4:
            asked.append(Asked(f"Does {name} {verb} {third}?", "not found"))
