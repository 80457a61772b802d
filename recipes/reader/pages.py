"""Samples from pages of one kind: a country's coastline among other countries' coastlines.

Reads the World Factbook as text, a page a country, a line a property. In half of the samples the
countries have each other's values, so that nothing but the passages can tell the answer. Knows
text and samples; knows no tokens.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

from lmos.model.formats import ReadPassage
from lmos.model.prompts import UNKNOWN_ANSWER
from lmos.training.corpus import is_held_out
from recipes.reader.samples import Asked, Sample, random_name
from recipes.reader.samples import random_time as draw_time

_HELD_OUT = 0.1
_MAX_VALUE = 48
_NOTE = re.compile(r"\s*(\((?:\d{4}|est|20).*|\bnote\b.*|;.*)$")


@dataclass(frozen=True)
class Property:
    """Something that every page has a line about.

    Attributes:
        label: What its line begins with.
        questions: Wordings, with `{}` for whose it is.
        statements: Sentences that tell it, with `{}` for whose it is and `{value}`.
        reverse: Asks whose value it is, with `{value}`; empty where many share one.
    """

    label: str
    questions: tuple[str, ...]
    statements: tuple[str, ...]
    reverse: str = ""


def _of(label: str, words: str, reverse: str = "") -> Property:
    """A property that is a noun: the coastline of Egypt."""
    return Property(
        label,
        (f"What is the {words} of {{}}?", f"What {words} does {{}} have?", f"{{}}: {words}?"),
        (f"The {words} of {{}} is {{value}}.", f"{{}} has a {words} of {{value}}."),
        reverse,
    )


PROPERTIES = (
    Property(
        "Geography - Coastline",
        ("How long is the coastline of {}?", "How long is {}'s coastline?", "{}, how much coast?"),
        ("{} has {value} of coastline.", "The coastline of {} is {value} long."),
        "Whose coastline is {value} long?",
    ),
    Property(
        "Geography - Area - total ",
        ("How large is {}?", "What is the total area of {}?", "How big is {} in all?"),
        ("{} covers {value}.", "The total area of {} is {value}."),
        "Which country covers {value}?",
    ),
    _of("Geography - Area - land", "land area"),
    _of("Geography - Area - water", "water area"),
    Property(
        "Geography - Land boundaries - total",
        ("How long are the land boundaries of {}?", "How long is {}'s border?"),
        ("The land boundaries of {} are {value} long.", "{} has a border of {value}."),
    ),
    Property(
        "Geography - Elevation - highest point",
        ("What is the highest point of {}?", "What is the highest mountain in {}?"),
        ("The highest point of {} is {value}.", "In {} nothing is higher than {value}."),
        "Where is {value} the highest point?",
    ),
    Property(
        "Geography - Elevation - lowest point",
        ("What is the lowest point of {}?", "Where is {} lowest?"),
        ("The lowest point of {} is {value}.", "{} is lowest at {value}."),
    ),
    _of("Geography - Geographic coordinates", "position", "What lies at {value}?"),
    Property(
        "Geography - Irrigated land",
        ("How much land is irrigated in {}?", "How much irrigated land does {} have?"),
        ("In {}, {value} are irrigated.", "{} has {value} of irrigated land."),
    ),
    Property(
        "People and Society - Population - total",
        ("How many people live in {}?", "What is the population of {}?"),
        ("{value} people live in {}.", "{} has a population of {value}."),
        "Where do {value} people live?",
    ),
    Property(
        "People and Society - Population - female",
        ("How many women live in {}?",),
        ("{value} women and girls live in {}.",),
    ),
    _of("People and Society - Population growth rate", "population growth rate"),
    _of("People and Society - Birth rate", "birth rate"),
    _of("People and Society - Death rate", "death rate"),
    _of("People and Society - Median age - total", "median age"),
    _of("People and Society - Total fertility rate", "fertility rate"),
    _of("People and Society - Life expectancy at birth - male", "life expectancy of men"),
    _of("People and Society - Life expectancy at birth - female", "life expectancy of women"),
    Property(
        "People and Society - Nationality - noun",
        ("What are the people of {} called?", "What do you call someone from {}?"),
        ("People from {} are called {value}.",),
    ),
    _of("People and Society - Infant mortality rate - total", "infant mortality rate"),
    _of("People and Society - Urbanization - urban population", "share of people in cities"),
    _of("People and Society - Physician density", "physician density"),
    _of(
        "Communications - Internet country code", "internet country code", "Whose code is {value}?"
    ),
    _of("Communications - Internet users - percent of population", "share of internet users"),
    Property(
        "Transportation - Airports",
        ("How many airports are there in {}?", "How many airports does {} have?"),
        ("There are {value} airports in {}.", "{} has {value} airports."),
    ),
    Property(
        "Transportation - Civil aircraft registration country code prefix",
        ("With what do the registrations of aircraft from {} begin?",),
        ("Aircraft of {} are registered with the prefix {value}.",),
        "Whose aircraft have the prefix {value}?",
    ),
    Property(
        "Government - Capital - name",
        ("What is the capital of {}?", "What is {}'s capital?", "Which city governs {}?"),
        ("The capital of {} is {value}.", "{value} is the capital of {}."),
        "Of which country is {value} the capital?",
    ),
    _of("Government - National color(s)", "national color"),
    Property(
        "Government - National anthem(s) - title",
        ("What is the anthem of {} called?", "What is the title of {}'s anthem?"),
        ("The anthem of {} is {value}.",),
        "Whose anthem is {value}?",
    ),
    Property(
        "Government - Legislative branch - legislature name",
        ("What is the parliament of {} called?", "What is the name of {}'s legislature?"),
        ("The parliament of {} is called {value}.",),
    ),
    Property(
        "Government - Suffrage",
        ("Who can vote in {}?", "From what age can people vote in {}?"),
        ("The right to vote in {}: {value}.",),
    ),
    Property(
        "Economy - Exchange rates - Currency",
        ("What money is used in {}?", "What is the currency of {}?"),
        ("People in {} pay in {value}.", "The currency of {} is the {value}."),
    ),
    Property(
        "Economy - GDP (official exchange rate)",
        ("How large is the GDP of {}?", "What is the GDP of {}?"),
        ("The GDP of {} is {value}.",),
    ),
    _of("Economy - Labor force", "labor force"),
    _of("Economy - Budget - revenues", "state revenue"),
    _of("Energy - Electricity - consumption", "electricity consumption"),
    _of("Environment - Carbon dioxide emissions - total emissions", "carbon dioxide emission"),
    Property(
        "Transportation - Ports - total ports",
        ("How many ports does {} have?",),
        ("{} has {value} ports.",),
    ),
    Property(
        "Transportation - Merchant marine - total",
        ("How many ships does the merchant marine of {} have?",),
        ("{}'s merchant marine has {value} ships.",),
    ),
    Property(
        "Government - Government type",
        ("How is {} governed?", "What kind of government does {} have?"),
        ("{} is governed as a {value}.",),
    ),
)


def read_pages(folder: Path, *, held_out: bool) -> dict[str, dict[str, str]]:
    """Short values of each country's properties, by country and label; a part is held out."""
    labels = {each.label for each in PROPERTIES}
    pages = {}
    for path in sorted(folder.glob("*_*.txt")):
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        country = first.removeprefix("Country: ").strip()
        if not first.startswith("Country: ") or is_held_out(country, _HELD_OUT) != held_out:
            continue
        found: dict[str, str] = {}
        for line in lines:
            label, colon, told = line.partition(": ")
            value = _NOTE.sub("", told).strip()
            if colon and label in labels and 0 < len(value) <= _MAX_VALUE:
                found.setdefault(label, value)
        pages[country] = found
    return pages


class Pages:
    """Lines of several pages of one kind, and questions that tell them apart.

    Args:
        pages: As `read_pages` returns them.
    """

    def __init__(self, pages: dict[str, dict[str, str]]) -> None:
        self._pages = pages

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        countries = rng.sample(sorted(self._pages), min(rng.randint(3, 6), len(self._pages)))
        chosen = rng.sample(PROPERTIES, rng.randint(1, 3))
        is_mixed = rng.random() < 0.5
        told: list[tuple[str, Property, str]] = []
        for each in chosen:
            values = [self._pages[country].get(each.label) for country in countries]
            if is_mixed:
                rng.shuffle(values)
            pairs = zip(countries, values, strict=True)
            told += [(country, each, value) for country, value in pairs if value is not None]
        rng.shuffle(told)
        told = told[:12]
        missing = rng.sample(told, min(len(told) - 1, rng.choice((0, 1, 1, 2)))) if told else []
        kept = [each for each in told if each not in missing]
        if not kept:
            return None
        asked = [
            Asked(_question(rng, country, each), UNKNOWN_ANSWER) for country, each, _ in missing
        ]
        counts = [value for _, _, value in kept]
        for country, each, value in rng.sample(kept, min(len(kept), 5)):
            if each.reverse and counts.count(value) == 1 and rng.random() < 0.2:
                asked.append(Asked(each.reverse.format(value=value), country))
            else:
                asked.append(Asked(_question(rng, country, each), value))
        rng.shuffle(asked)
        return Sample(tuple(_passages(rng, kept)), tuple(asked), "pages")


def _question(rng: random.Random, country: str, each: Property) -> str:
    return rng.choice(each.questions).format(country)


def _passages(rng: random.Random, told: list[tuple[str, Property, str]]) -> list[ReadPassage]:
    """Each line as one passage: a sentence of one text, or a property under its country's name."""
    way = rng.choice(("sentences", "sources", "headings"))
    name, time = random_name(rng), draw_time(rng) if rng.random() < 0.5 else None
    places = {country: place for place, (country, _, _) in enumerate(told)}
    if way != "sentences":
        told = sorted(told, key=lambda each: places[each[0]])
    is_long, ending = rng.random() < 0.5, rng.choice((".txt", ".md", ""))
    passages = []
    for country, each, value in told:
        line = f"{each.label if is_long else each.label.partition(' - ')[2]}: {value}"
        if way == "sentences":
            text = rng.choice(each.statements).format(country, value=value)
            passages.append(ReadPassage(text, name, time))
        elif way == "sources":
            passages.append(ReadPassage(line, f"{country}{ending}", time))
        else:
            passages.append(ReadPassage(line, name, time, (country,)))
    return passages
