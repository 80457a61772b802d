"""Samples of notes under headings that hold half of the answer: the day, the person, the place.

What a line tells belongs to the heading above it and to no other. Knows text and samples; knows
no tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lmos.model.prompts import UNKNOWN_ANSWER
from recipes.reader import names
from recipes.reader.names import Make
from recipes.reader.samples import Asked, Document, Line, Sample, passages_of, random_name
from recipes.reader.samples import random_time as draw_time


def _of(words: str) -> Make:
    choices = words.split("|")
    return lambda rng: rng.choice(choices)


_PET = _of("cat|dog|rabbit|hamster|tortoise|parrot|goat|pony|budgie|guinea pig|donkey|hen")
_GEAR = _of("boiler|roof|dishwasher|gate|piano|car|bike|lift|printer|heating|fence|fridge|tap|pump")
_FOOD = _of(
    "lentil soup|plum cake|fish pie|dumplings|goulash|risotto|pancakes|couscous|ramen|pierogi"
)
_BUY = _of(
    "a lamp|new boots|a rucksack|two chairs|a kettle|seed potatoes|a raincoat|a used bike|a rug"
)
_SEEN = _of(
    "a kingfisher|two herons|a fox|a hoopoe|three deer|an otter|a slow worm|a barn owl|swifts"
)


@dataclass(frozen=True)
class Happening:
    """Something that a person notes on a day.

    Attributes:
        told: How.
        when: Questions for the day.
        asked: Other questions, with answers.
    """

    told: tuple[str, ...]
    when: tuple[str, ...]
    asked: tuple[tuple[str, str], ...] = ()


_HAPPENINGS = (
    Happening(
        ("Took the {pet} to the vet, {f}.", "Vet with the {pet} ({f})."),
        ("When was the {pet} at the vet?", "On which day did I take the {pet} to the vet?"),
        (("Who is the vet?", "{f}"), ("Which animal had to go to the vet?", "the {pet}")),
    ),
    Happening(
        (
            "{n} repaired the {gear}, {m}.",
            "The {gear} works again, thanks to {n}. Paid {m}.",
            "{n} fixed the {gear} for {m}.",
        ),
        ("When was the {gear} repaired?", "On what day did {n} fix the {gear}?"),
        (
            ("Who repaired the {gear}?", "{n}"),
            ("How much did the repair of the {gear} cost?", "{m}"),
        ),
    ),
    Happening(
        (
            "Cooked {food} for {n}.",
            "{n} came for dinner, we had {food}.",
            "Dinner with {n}: {food}.",
        ),
        ("When did we have {food}?", "When did {n} come for dinner?"),
        (("What did {n} and I eat?", "{food}"), ("Who came when there was {food}?", "{n}")),
    ),
    Happening(
        ("Bought {buy} in {c} for {m}.", "Found {buy} at the market in {c}, {m}."),
        ("When did I buy {buy}?", "On which day was I in {c}?"),
        (("Where did I buy {buy}?", "{c}"), ("How much did I pay for {buy}?", "{m}")),
    ),
    Happening(
        ("Saw {seen} near {c}.", "Walk from {c}: saw {seen}."),
        ("When did I see {seen}?", "On which day did I walk near {c}?"),
        (("What did I see near {c}?", "{seen}"), ("Where did I see {seen}?", "{c}")),
    ),
    Happening(
        ("{n} phoned: the exam went well.", "Call from {n}, who passed the exam."),
        ("When did {n} ring?", "When did {n} call about the exam?"),
        (("Who passed the exam?", "{n}"),),
    ),
    Happening(
        ("{n} arrived from {c} at {h}.", "Picked {n} up at the station, {h}, from {c}."),
        ("When did {n} arrive from {c}?", "On which day did {n} come?"),
        (("Where did {n} come from?", "{c}"), ("At what time did {n} arrive?", "{h}")),
    ),
    Happening(
        ("Planted {i} bulbs behind the house.", "{i} bulbs went into the ground."),
        ("When did I plant the bulbs?", "day of planting the bulbs?"),
        (("How many bulbs did I plant?", "{i}"),),
    ),
    Happening(
        ("Dentist, {f}. No holes.", "At the dentist's ({f}), all fine."),
        ("When was I at the dentist?", "On which date did I see the dentist?"),
        (("What is the dentist called?", "{f}"),),
    ),
    Happening(
        ("{n}'s birthday party in {c}.", "To {c} for {n}'s birthday."),
        ("When was {n}'s birthday party?", "When did we celebrate {n}'s birthday?"),
        (("Where was {n}'s party?", "{c}"), ("Whose birthday was celebrated in {c}?", "{n}'s")),
    ),
    Happening(
        ("Finished the book that {n} lent me.", "Read {n}'s book to the end."),
        ("When did I finish {n}'s book?",),
        (("Who lent me the book?", "{n}"),),
    ),
    Happening(
        ("Ran {i} km along the canal.", "{i} km run, knees ok."),
        ("When did I run {i} km?", "On which day did I go running?"),
        (("How far did I run?", "{i} km"),),
    ),
    Happening(
        ("The letter from {f} came.", "Post: a letter from {f}."),
        ("When did the letter from {f} come?", "When did {f} write?"),
        (("Who sent a letter?", "{f}"),),
    ),
    Happening(
        ("Power cut from {h} until late.", "No electricity from {h} on."),
        ("When was there no power?", "On which day was the power cut?"),
        (("When did the power cut begin, what time?", "{h}"),),
    ),
    Happening(
        ("Signed the lease for {st}.", "The flat at {st} is ours, signed today."),
        ("When did we sign the lease?", "On which day did we sign for {st}?"),
        (("What is the address of the new flat?", "{st}"),),
    ),
    Happening(
        ("Deployed {v}; {n} rolled it back.", "{n} had to roll {v} back."),
        ("When was {v} rolled back?", "On which day did {n} roll back {v}?"),
        (("Who rolled back {v}?", "{n}"), ("Which version was rolled back?", "{v}")),
    ),
)
_MAKERS: dict[str, Make] = {
    "pet": _PET,
    "gear": _GEAR,
    "food": _FOOD,
    "buy": _BUY,
    "seen": _SEEN,
    "f": names.person,
    "n": names.first_name,
    "m": names.money,
    "c": names.town,
    "h": names.clock,
    "i": lambda rng: str(rng.randint(3, 90)),
    "st": names.street,
    "v": lambda rng: f"v{rng.randint(0, 9)}.{rng.randint(0, 20)}.{rng.randint(0, 9)}",
}
_FILLERS = (
    "Rain.|Slept till nine.|Headache all day.|Quiet day.|Nothing to report.|Sun at last.|Laundry.|"
    "Soup again.|Wrote letters.|Long meeting, no result.|Cold wind.|Read on the balcony."
).split("|")
_TONGUES = {
    "de": (
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
        ("{d}. {m}", "{w}, {d}. {m} {y}", "{w}, der {d}. {m}"),
    ),
    "fr": (
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "lundi mardi mercredi jeudi vendredi samedi dimanche",
        ("{d} {m}", "{w} {d} {m}", "{w} {d} {m} {y}"),
    ),
    "es": (
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "lunes martes miércoles jueves viernes sábado domingo",
        ("{d} de {m}", "{w}, {d} de {m}", "{d} de {m} de {y}"),
    ),
    "it": (
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
        "dicembre",
        "lunedì martedì mercoledì giovedì venerdì sabato domenica",
        ("{d} {m}", "{w} {d} {m}", "{d} {m} {y}"),
    ),
    "nl": (
        "januari februari maart april mei juni juli augustus september oktober november december",
        "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
        ("{d} {m}", "{w} {d} {m}", "{d} {m} {y}"),
    ),
    "sv": (
        "januari februari mars april maj juni juli augusti september oktober november december",
        "måndag tisdag onsdag torsdag fredag lördag söndag",
        ("{d} {m}", "{w} {d} {m}", "{w} den {d} {m}"),
    ),
    "pl": (
        "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października "
        "listopada grudnia",
        "poniedziałek wtorek środa czwartek piątek sobota niedziela",
        ("{d} {m}", "{w}, {d} {m}", "{d} {m} {y}"),
    ),
}


def day_titles(rng: random.Random, days: Sequence[datetime]) -> list[str]:
    """Headings of days, all in one style, at times in another language than the notes."""
    if rng.random() < 0.75:
        style = names.day_style(rng)
        return [style(day) for day in days]
    months, weekdays, styles = rng.choice(list(_TONGUES.values()))
    form = rng.choice(styles)
    return [
        form.format(
            d=day.day,
            m=months.split()[day.month - 1],
            w=weekdays.split()[day.weekday()],
            y=day.year,
        )
        for day in days
    ]


class Dated:
    """Diaries and logs whose days stand in headings, and one note of several people or places."""

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        return self._diary(rng) if rng.random() < 0.62 else _profiles(rng)

    @staticmethod
    def _diary(rng: random.Random) -> Sample | None:
        happenings = rng.sample(_HAPPENINGS, rng.randint(3, 8))
        # A part of them happens; the last one is only asked for.
        lost = happenings.pop() if len(happenings) > 2 and rng.random() < 0.55 else None
        count = rng.randint(2, max(2, min(5, len(happenings))))
        start = names.days(rng, 1)[0]
        steps = sorted(rng.sample(range(40), count))
        titles = day_titles(rng, [start + timedelta(days=step) for step in steps])
        if len(set(titles)) < count:
            return None
        form = rng.choice(
            ("{}", "{}", "{}", "{}", "{} – diary", "Day {n}: {}", "{}, late", "Log {}")
        )
        titles = [form.format(title, n=n + 1) for n, title in enumerate(titles)]
        said_as = [form.format("\0", n=n + 1) for n in range(count)]
        sections: list[list[str]] = [[] for _ in titles]
        asked: list[Asked] = []
        used: set[str] = set()
        for happening in happenings:
            number = rng.randrange(count)
            fills = _fills(rng, used)
            sections[number].append(_told(rng, happening, fills))
            day = titles[number]
            prefix, _, suffix = said_as[number].partition("\0")
            plain = day[len(prefix) : len(day) - len(suffix)]
            asked.append(Asked(rng.choice(happening.when).format(**fills), plain))
            if happening.asked and rng.random() < 0.7:
                question, answer = rng.choice(happening.asked)
                asked.append(Asked(question.format(**fills), answer.format(**fills)))
        if lost is not None:
            question = rng.choice(lost.when).format(**_fills(rng, used))
            asked.append(Asked(question, UNKNOWN_ANSWER))
        for section in sections:
            for _ in range(rng.choice((0, 1, 1)) if section else 1):
                section.insert(rng.randint(0, len(section)), rng.choice(_FILLERS))
        top = rng.choice(((), (), (), ("Diary",), ("Logbook",), (str(start.year),)))
        order = list(zip(titles, sections, strict=True))
        if rng.random() < 0.2:
            order.reverse()
        flat = [(text, (*top, title)) for title, section in order for text in section]
        return _note(rng, flat, asked)


def _fills(rng: random.Random, used: set[str]) -> dict[str, str]:
    fills = {}
    for slot, make in _MAKERS.items():
        for _ in range(20):
            fills[slot] = make(rng)
            if fills[slot] not in used:
                break
    used.update(fills.values())
    return fills


def _told(rng: random.Random, happening: Happening, fills: dict[str, str]) -> str:
    told = rng.choice(happening.told).format(**fills)
    return told[0].upper() + told[1:]


def _note(
    rng: random.Random, flat: Sequence[tuple[str, tuple[str, ...]]], asked: Sequence[Asked]
) -> Sample | None:
    mark = rng.choice(("", "", "- "))
    lines = tuple(Line(mark + text, n, headings) for n, (text, headings) in enumerate(flat))
    time = draw_time(rng) if rng.random() < 0.6 else None
    kept = frozenset((0, line.place) for line in lines)
    told = rng.sample(list(asked), len(asked))
    passages = passages_of([Document(random_name(rng), lines, time)], kept)
    return Sample(passages, tuple(told[:9]), "dated") if told else None


# Sections under the names of people, places, things: the same lines, told of each


@dataclass(frozen=True)
class Feature:
    """Something told of each section's subject, which the line itself does not name.

    Attributes:
        told: How, with `{x}` for what is told.
        make: Makes `{x}`.
        asked: Questions for it, `{who}` being the subject.
        reverse: Questions for the subject.
    """

    told: tuple[str, ...]
    make: Make
    asked: tuple[str, ...]
    reverse: tuple[str, ...]


_OF_PERSON = (
    Feature(
        ("Allergic to {x}.", "Must not eat {x}.", "No {x}!"),
        _of("peanuts|eggs|soy|shellfish|celery|kiwi|sesame|milk|rye"),
        ("What is {who} allergic to?", "What can {who} not eat?"),
        ("Who is allergic to {x}?", "Who must not eat {x}?"),
    ),
    Feature(
        ("Tel. {x}", "phone: {x}", "Reach on {x}."),
        names.phone,
        ("What is {who}'s phone number?", "How can I reach {who}?"),
        ("Whose number is {x}?",),
    ),
    Feature(
        ("Lives in {x}.", "Has moved to {x}.", "home: {x}"),
        names.town,
        ("Where does {who} live?", "{who}'s home town?"),
        ("Who lives in {x}?",),
    ),
    Feature(
        ("Born {x}.", "Birthday: {x}"),
        names.date,
        ("When is {who}'s birthday?", "When was {who} born?"),
        ("Who was born on {x}?",),
    ),
    Feature(
        ("Will bring {x}.", "Brings {x}.", "Task: bring {x}"),
        _of("the tents|a grill|the music|cups and plates|firewood|two crates of juice|blankets"),
        ("What will {who} bring?", "What does {who} bring?"),
        ("Who brings {x}?",),
    ),
    Feature(
        ("Room {x}.", "Sleeps in room {x}."),
        lambda rng: str(rng.randint(2, 480)),
        ("Which room does {who} have?",),
        ("Who is in room {x}?",),
    ),
    Feature(
        ("Plays {x}.", "Instrument: {x}"),
        _of("the oboe|the tuba|viola|the harp|bass|the horn|cello|the accordion"),
        ("What does {who} play?", "Which instrument does {who} play?"),
        ("Who plays {x}?",),
    ),
    Feature(
        ("Likes {x}.", "Gift idea: {x}", "Would love {x}."),
        _of("a puzzle|a fern|green tea|wool socks|a book on owls|figs|a hammock|quince jelly"),
        ("What could we give {who}?", "What does {who} like?"),
        ("Who likes {x}?", "Who would be glad of {x}?"),
    ),
)
_OF_PLACE = (
    Feature(
        ("Opens at {x}.", "Open from {x}."),
        names.clock,
        ("When does {who} open?", "Opening time of {who}?"),
        ("What opens at {x}?",),
    ),
    Feature(
        ("Closed on {x}.", "Not open on {x}."),
        names.weekday,
        ("On which day is {who} closed?", "When is {who} not open?"),
        (),
    ),
    Feature(
        ("Entry {x}.", "Tickets: {x}", "Costs {x}."),
        names.money,
        ("How much is the entry to {who}?", "What does {who} cost?"),
        ("Where is the entry {x}?",),
    ),
    Feature(
        ("Ask for {x}.", "Contact: {x}", "Run by {x}."),
        names.person,
        ("Whom do I ask for at {who}?", "Who is the contact at {who}?"),
        ("Where do I find {x}?",),
    ),
    Feature(
        ("{x}.", "Address: {x}", "It is at {x}."),
        names.street,
        ("What is the address of {who}?", "Where is {who}?"),
        ("What is at {x}?",),
    ),
    Feature(
        ("Wifi: {x}", "Password {x}"),
        names.password,
        ("What is the wifi password of {who}?", "password for {who}?"),
        ("Where is {x} the password?",),
    ),
    Feature(
        ("Good: {x}.", "Have the {x} there."),
        _of("fish soup|plum tart|stuffed peppers|lamb pie|cold noodles|almond cake|bean stew"),
        ("What is good at {who}?", "What should one eat at {who}?"),
        ("Where is the {x} good?", "Where do we eat the {x}?"),
    ),
)
_OF_THING = (
    Feature(
        ("Serial number {x}.", "S/N {x}"),
        names.code,
        ("What is the serial number of the {who}?",),
        ("What has the serial number {x}?",),
    ),
    Feature(
        ("Bought in {x}.", "Comes from {x}."),
        names.town,
        ("Where was the {who} bought?", "Where does the {who} come from?"),
        ("What was bought in {x}?",),
    ),
    Feature(
        ("Guarantee until {x}.", "Warranty ends {x}."),
        names.date,
        (
            "Until when is there a guarantee on the {who}?",
            "When does the warranty of the {who} end?",
        ),
        ("Which warranty ends on {x}?",),
    ),
    Feature(
        ("Price {x}.", "Paid {x}."),
        names.money,
        ("How much was the {who}?", "What did the {who} cost?"),
        ("What did I pay {x} for?",),
    ),
    Feature(
        ("Repairs: {x}", "If it breaks, call {x}."),
        names.phone,
        ("Whom do I call when the {who} breaks?", "Which number for repairs of the {who}?"),
        (),
    ),
    Feature(
        ("Needs {x} to run.", "Takes {x}."),
        _of("AA batteries|two-stroke oil|distilled water|a 10 A fuse|soft salt|rapeseed oil"),
        ("What does the {who} need?",),
        ("What needs {x}?",),
    ),
)
_VENUES = "Museum of|Café|Hotel|Castle|Restaurant|Hostel|Gallery|Library|Abbey|Baths of".split("|")


def _venue(rng: random.Random) -> str:
    kind = rng.choice(_VENUES)
    return f"{kind} {names.town(rng) if kind.endswith(' of') else names.surname(rng)}"


def _device(rng: random.Random) -> str:
    kind = "lawnmower|dishwasher|amplifier|boiler|camera|e-bike|telescope|oven|drone|pump|mixer"
    return rng.choice(kind.split("|"))


def _profiles(rng: random.Random) -> Sample | None:
    features, make = rng.choice(
        (
            (_OF_PERSON, names.first_name),
            (_OF_PERSON, names.person),
            (_OF_PLACE, _venue),
            (_OF_THING, _device),
        )
    )
    subjects = list({make(rng): None for _ in range(rng.randint(2, 5))})
    chosen = rng.sample(features, min(len(features), rng.randint(2, 4)))
    top = rng.choice(((), (), ("People",), ("Overview",), ("Notes",)))
    if make is not names.first_name and top == ("People",):
        top = ()
    flat: list[tuple[str, tuple[str, ...]]] = []
    asked: list[Asked] = []
    told: dict[str, list[str]] = {}
    for who in subjects:
        for feature in chosen:
            question = rng.choice(feature.asked).format(who=who)
            question = question[0].upper() + question[1:]
            if rng.random() < 0.25:
                if rng.random() < 0.5:
                    asked.append(Asked(question, UNKNOWN_ANSWER))
                continue
            value = feature.make(rng)
            flat.append((rng.choice(feature.told).format(x=value), (*top, who)))
            told.setdefault(value, []).append(who)
            asked.append(Asked(question, value))
            if feature.reverse and rng.random() < 0.4:
                reverse = rng.choice(feature.reverse).format(x=value)
                asked.append(Asked(f"{reverse}\0{value}", who))
    # Who has it must be one.
    clear = [
        Asked(each.question.split("\0")[0], each.answer)
        for each in asked
        if "\0" not in each.question or len(told[each.question.split("\0")[1]]) == 1
    ]
    return _note(rng, flat, clear) if flat else None
