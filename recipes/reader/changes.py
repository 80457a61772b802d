"""Samples of facts that change: what is so now, what was so before, since when.

Told in one note, under dates, in notes of several days, or in a chat; some words about it are
hearsay or plans that came to nothing. Knows text and samples; knows no tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from lmos.model.prompts import UNKNOWN_ANSWER
from recipes.reader import names
from recipes.reader.names import Make
from recipes.reader.samples import Asked, Document, Line, Sample, passages_of, random_name

_THINGS = (
    """
spare key|toolbox|passport|first-aid kit|drill|ladder|projector|tent|box of photos|vacuum cleaner
blue suitcase|chess clock|sewing machine|torch|cash box|guest mattress|bread knife|pump|cello
fire extinguisher|receipt book|christmas lights|garden hose|label printer|raincoat|milk jug|atlas
key to the shed|camera bag|router|bin bags|car papers|wine glasses|fuse box key|dog lead|scanner
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
_SPOTS = (
    """
in the attic|behind the fridge|under the stairs|in the hall cupboard|on the top shelf|in the garage
in the second drawer|at my sister's|under the sink|in the shed|next to the boiler|in the cellar
on the piano|in room 14|in the glove box|in the green box|behind the front door|in the laundry room
at the neighbours'|in the van|on the balcony|in locker 31|above the wardrobe|in the office safe
under the bed|in the biscuit tin|at the back of the wardrobe|in the boot of the car|by the window
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
_ROLES = (
    """
treasurer|dentist|landlord|team captain|plumber|head of sales|caretaker|class teacher|chair
piano teacher|project lead|contact at the bank|vet|cleaner|choir director|secretary|editor
on-call engineer|referee|chief gardener|house doctor|accountant|site manager|babysitter
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
_WHATS: tuple[tuple[str, Make], ...] = (
    *(
        (what, names.code)
        for what in ("door code", "alarm code", "locker number", "PIN of the gate")
    ),
    *((what, names.code) for what in ("customer number", "booking code", "room number")),
    *((what, names.password) for what in ("wifi password", "guest password", "admin password")),
    *((what, names.phone) for what in ("number of the clinic", "hotline", "office number")),
    *(
        (what, names.money)
        for what in ("rent", "parking fee", "price of a ticket", "membership fee")
    ),
    *((what, names.money) for what in ("monthly budget", "deposit", "pocket money", "hourly rate")),
    *((what, names.amount) for what in ("dose", "waiting time", "target", "weekly distance")),
    *((what, names.clock) for what in ("start of the shift", "bus home", "curfew", "closing time")),
    *((what, names.weekday) for what in ("rehearsal day", "bin day", "market day", "day off")),
    *((what, names.date) for what in ("deadline", "exam date", "release date", "moving day")),
    *((what, names.street) for what in ("address of the club", "delivery address", "office")),
    *((what, names.first_name) for what in ("name of the puppy", "hamster's name", "code name")),
)
_COLOURS = (
    "green|yellow|pale blue|brick red|white|grey|mint|ochre|black|plum|turquoise|cream".split("|")
)
_DAYS_OF = (
    "concert|wedding|dentist appointment|board meeting|flea market|school trip|delivery".split("|")
)
_JOBS = "baker|nurse|tram driver|notary|roofer|cook|surveyor|teacher|florist|welder|editor".split(
    "|"
)
_FILLERS = (
    """
Rain again, all day.|Bought bread and stamps.|Called the bank, nobody there.|The cat is back.
Nothing else today.|Long walk along the river.|Soup for dinner.|Slept badly.|Too much coffee.
Finished the crossword.|Watered the tomatoes.|Good news from the school.|Bus was late.|Sun, at last!
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@dataclass(frozen=True)
class Changing:
    """A kind of fact that changes; `{who}`, `{old}`, `{new}`, `{day}` and `{bogus}` are slots.

    Attributes:
        who: Whose fact it is.
        value: What changes.
        first: How it is told first.
        later: How a change is told.
        since: How a change is told with its day.
        idle: What is said and does not make it so.
        now: Questions for the last value.
        before: Questions for the last value but one.
        at_first: Questions for the first value.
        when: Questions for the day of the change to `{new}`.
        check: Whether it is `{new}`, asked with yes or no for an answer.
    """

    who: Make
    value: Make
    first: Sequence[str]
    later: Sequence[str]
    since: Sequence[str]
    idle: Sequence[str]
    now: Sequence[str]
    before: Sequence[str]
    at_first: Sequence[str]
    when: Sequence[str]
    check: Sequence[str] = field(default=())


def _of(words: Sequence[str]) -> Make:
    return lambda rng: rng.choice(words)


_SPOT = Changing(
    _of(_THINGS),
    _of(_SPOTS),
    (
        "The {who} is {old}.",
        "{who}: {old}",
        "I keep the {who} {old}.",
        "Put the {who} {old}.",
        "{who} -> {old}",
        "NB the {who} lives {old}.",
        "We store the {who} {old}.",
    ),
    (
        "The {who} is {new} now.",
        "Moved the {who}, it's {new}.",
        "{who} is not {old} any more but {new}.",
        "Actually the {who} is {new}, no longer {old}.",
        "Correction: the {who} is {new}.",
        "{who} now {new} (was {old}).",
        "The {who} has been moved and is {new}.",
        "The {who} didn't fit {old}, so it stands {new} now.",
        "From now on the {who} is kept {new}.",
        "I took the {who} and put it {new} instead.",
        "Tidied up: the {who} has gone to a new place, {new}.",
        "update: {who} {new}",
        "The {who} was {old} until last week, now look {new}.",
    ),
    (
        "As of {day} the {who} is {new}.",
        "Since {day} the {who} has been {new}.",
        "The {who} was {old} until {day}; since then it is {new}.",
        "{day}: put the {who} {new}.",
        "On {day} we moved the {who}; it is {new} now.",
    ),
    (
        "Somebody said the {who} is {bogus}, but it isn't.",
        "I wanted to put the {who} {bogus}, but left it where it was.",
        "No idea why {n} thinks the {who} is {bogus}. It never was.",
        "We thought about keeping the {who} {bogus}. Too damp, so no.",
    ),
    (
        "Where is the {who}?",
        "Where is the {who} now?",
        "Where do I find the {who}?",
        "where's the {who} now",
        "Where do we keep the {who} these days?",
        "Where is the {who} at present?",
    ),
    (
        "Where was the {who} before?",
        "Where was the {who} before it was {new}?",
        "Where did the {who} use to be?",
    ),
    (
        "Where was the {who} at first?",
        "Where was the {who} originally?",
        "Where did we keep the {who} first?",
    ),
    (
        "Since when is the {who} {new}?",
        "When was the {who} moved?",
        "When did the {who} get its new place?",
    ),
    ("Is the {who} {new}?", "Is the {who} still {new}?"),
)
_ROLE = Changing(
    _of(_ROLES),
    names.person,
    (
        "The {who} is {old}.",
        "{old} is the {who}.",
        "{who}: {old}",
        "{old} was chosen as {who}.",
        "{who} = {old}",
        "Our {who} is called {old}.",
        "{old} works for us as {who}.",
    ),
    (
        "{new} is the {who} now.",
        "{new} has taken over from {old} as {who}.",
        "New {who}: {new}",
        "{old} has stepped down; {new} is the {who} from now on.",
        "{who} is now {new}, not {old} any more.",
        "Instead of {old} we have {new} as {who} now.",
        "{old} was {who} until the summer, then {new} came.",
        "Correction: the {who} is {new}.",
        "{old} is leaving. {new} will be {who} in their place.",
        "{new} replaces {old} ({who}).",
    ),
    (
        "As of {day} {new} is {who}.",
        "On {day} {new} took over as {who}.",
        "{old} was {who} until {day}, now it is {new}.",
        "Since {day} we have a new {who}, {new}.",
        "{day}: {new} starts as {who}, {old} stops.",
    ),
    (
        "{n} heard that {bogus} is going to be {who}; just a rumour, it isn't so.",
        "We asked {bogus} to be {who}, who said no.",
        "{bogus} wanted to become {who} but withdrew.",
        "People say {bogus} will be the {who}. Nothing has been decided.",
    ),
    (
        "Who is the {who}?",
        "Who is the {who} now?",
        "who's {who} at the moment",
        "What is the name of the present {who}?",
        "Who works as {who} now?",
    ),
    (
        "Who was the {who} before?",
        "Who was {who} before {new}?",
        "Whom did {new} replace as {who}?",
        "Who was the previous {who}?",
    ),
    ("Who was the first {who}?", "Who was {who} at first?"),
    ("Since when is {new} {who}?", "When did {new} become {who}?", "When did the {who} change?"),
    ("Is {new} the {who}?", "Is {new} still the {who}?"),
)
_HOME = Changing(
    names.first_name,
    names.town,
    (
        "{who} lives in {old}.",
        "{who} has a flat in {old}.",
        "{who}'s home is in {old}.",
        "{who}: lives in {old}",
        "{who} is staying in {old} with friends.",
    ),
    (
        "{who} lives in {new} now.",
        "{who} has moved from {old} to {new}.",
        "{who} moved to {new}.",
        "{who} is no longer in {old} but in {new}.",
        "{who} lived in {old} until the spring, now it's {new}.",
        "{who} left {old} for {new}.",
        "After {old}, {who} settled in {new}.",
        "{who} writes from the new flat in {new}.",
        "Actually {who} doesn't live in {old} any more, it's {new}.",
    ),
    (
        "{who} moved to {new} on {day}.",
        "Since {day} {who} has lived in {new}.",
        "{who} was in {old} until {day}, then went to live in {new}.",
        "As of {day} {who}'s home is {new}.",
    ),
    (
        "{who} nearly moved to {bogus} but didn't sign.",
        "{n} believes {who} lives in {bogus}, which is wrong.",
        "{who} dreams of a house in {bogus}.",
        "{who} looked at flats in {bogus}, too dear, so nothing came of it.",
    ),
    (
        "Where does {who} live?",
        "Where does {who} live now?",
        "In which town does {who} live?",
        "{who}'s town now?",
        "Which town is {who} in these days?",
    ),
    (
        "Where did {who} live before?",
        "Where did {who} live before {new}?",
        "Where did {who} move from?",
    ),
    ("Where did {who} live first?", "In which town did {who} live at first?"),
    ("When did {who} move to {new}?", "Since when does {who} live in {new}?"),
    ("Does {who} live in {new}?", "Does {who} still live in {new}?"),
)
_WORK = Changing(
    names.first_name,
    _of(_JOBS),
    (
        "{who} works as a {old}.",
        "{who} is a {old}.",
        "{who} earns a living as a {old}.",
        "{who}, {old} by trade",
    ),
    (
        "{who} works as a {new} now.",
        "{who} has given up being a {old} and is a {new} now.",
        "{who} has stopped working as a {old}; the new job is {new}.",
        "{who} retrained as a {new}.",
        "{who} is a {new} these days, not a {old} any more.",
        "{who} became a {new}.",
    ),
    (
        "Since {day} {who} has worked as a {new}.",
        "On {day} {who} started as a {new}.",
        "{who} was a {old} until {day}, now a {new}.",
    ),
    (
        "{who} once applied as a {bogus} and was turned down.",
        "{who} thought of becoming a {bogus} but changed plans.",
        "{n} told me {who} is a {bogus}. That's not so.",
    ),
    (
        "What does {who} do for a living?",
        "What is {who}'s job now?",
        "What does {who} work as?",
        "What is {who}'s profession?",
    ),
    (
        "What was {who}'s job before?",
        "What did {who} do before working as a {new}?",
        "What did {who} use to work as?",
    ),
    ("What was {who}'s first job?", "What did {who} work as at first?"),
    ("When did {who} start as a {new}?", "Since when is {who} a {new}?"),
    ("Is {who} a {new}?", "Is {who} still a {new}?"),
)
_HOLDER = Changing(
    _of(_THINGS),
    names.first_name,
    (
        "{old} has the {who}.",
        "Lent the {who} to {old}.",
        "{who}: with {old}",
        "The {who} is at {old}'s place.",
        "{old} borrowed the {who}.",
    ),
    (
        "{old} passed the {who} on to {new}.",
        "{new} has the {who} now.",
        "{new} picked up the {who} from {old}.",
        "The {who} isn't with {old} any more, {new} has it.",
        "Got the {who} back from {old}, gave it to {new}.",
        "{old} returned the {who}; {new} borrowed it at once.",
    ),
    (
        "On {day} {new} got the {who}.",
        "Since {day} {new} has had the {who}.",
        "{old} gave the {who} to {new} on {day}.",
    ),
    (
        "{bogus} asked for the {who}, I said no.",
        "{n} suspects that {bogus} has the {who}. Wrong.",
        "{bogus} would like the {who} one day.",
    ),
    (
        "Who has the {who}?",
        "Who has the {who} now?",
        "With whom is the {who} at present?",
        "who's got the {who}",
    ),
    (
        "Who had the {who} before?",
        "Who had the {who} before {new}?",
        "From whom did {new} get the {who}?",
    ),
    ("Who had the {who} first?", "Who was the first to have the {who}?"),
    ("When did {new} get the {who}?", "Since when does {new} have the {who}?"),
    ("Does {new} have the {who}?", "Does {new} still have the {who}?"),
)
_PAINT = Changing(
    _of(
        "kitchen|hall|front door|boat|fence|bathroom|garden bench|gate|nursery|shutters|van".split(
            "|"
        )
    ),
    _of(_COLOURS),
    (
        "The {who} is {old}.",
        "We'll paint the {who} {old}.",
        "{who}: {old}",
        "Colour of the {who}: {old}.",
    ),
    (
        "Actually the {who} is going to be {new}, not {old}.",
        "The {who} is {new} now.",
        "Repainted the {who}: {new} instead of {old}.",
        "Changed our minds about the {who}: {new} it is.",
        "The {who} used to be {old}, now it is {new}.",
        "{who} no longer {old} but {new}",
    ),
    (
        "Since {day} the {who} has been {new}.",
        "On {day} we painted the {who} {new}.",
        "The {who} was {old} until {day}, now it's {new}.",
    ),
    (
        "{n} was for {bogus} for the {who}, but lost the vote.",
        "We tried {bogus} for the {who} on a test patch. Horrible, so no.",
    ),
    (
        "What colour is the {who}?",
        "What colour is the {who} now?",
        "Which colour does the {who} have now?",
    ),
    ("What colour was the {who} before?", "What colour was the {who} before it was {new}?"),
    ("What colour was the {who} at first?", "What was the first colour of the {who}?"),
    ("When was the {who} painted {new}?", "Since when is the {who} {new}?"),
    ("Is the {who} {new}?", "Is the {who} {new} now?"),
)
_EVENT = Changing(
    _of(_DAYS_OF),
    names.date,
    (
        "The {who} is on {old}.",
        "{who}: {old}",
        "We have fixed the {who} for {old}.",
        "{who} planned for {old}",
    ),
    (
        "The {who} has been moved to {new}.",
        "The {who} is on {new} now, not on {old}.",
        "{who} postponed from {old} to {new}.",
        "Not {old} any more: the {who} is on {new}.",
        "Correction, the {who} is on {new}.",
        "New date for the {who}: {new}",
        "The {who} will be on {new} instead of {old}.",
    ),
    (),
    (
        "{n} says the {who} is on {bogus}, but got it wrong.",
        "{bogus} was proposed for the {who}, nobody could make it.",
        "The {who} on {bogus}? A rumour.",
    ),
    (
        "When is the {who}?",
        "When is the {who} now?",
        "On which day is the {who}?",
        "date of the {who}?",
    ),
    (
        "When was the {who} meant to be before?",
        "What was the date of the {who} before it was moved to {new}?",
    ),
    ("When was the {who} meant to be at first?", "What was the first date for the {who}?"),
    (),
    ("Is the {who} on {new}?",),
)


def _value(what: str, make: Make) -> Changing:
    """A number, a price, a name: something that simply is so and so."""
    return Changing(
        lambda rng: what,
        make,
        (
            "The {who} is {old}.",
            "{who}: {old}",
            "{who} {old}",
            "NB: the {who} is {old}.",
            "Wrote down the {who}: {old}.",
        ),
        (
            "The {who} is {new} now.",
            "New {who}: {new}",
            "The {who} has changed to {new}.",
            "{who} no longer {old} but {new}",
            "Actually, the {who} is {new}, not {old}.",
            "Correction: {who} {new}",
            "The {who} was {old}, it's {new} now.",
            "The {who} went from {old} to {new}.",
            "{who} is {new} instead of {old}",
            "They changed the {who}, it is {new} now.",
            "{who} changed again: {new}",
            "Forget {old}, the {who} is {new}.",
        ),
        (
            "As of {day} the {who} is {new}.",
            "Since {day} the {who} has been {new}.",
            "The {who} was {old} until {day}, now {new}.",
            "From {day} on: {who} {new}",
            "On {day} the {who} changed to {new}.",
        ),
        (
            "{n} thought the {who} was {bogus}, but was wrong.",
            "There was talk of {bogus} for the {who}, it was dropped.",
            "They wanted to change the {who} to {bogus} and then didn't.",
            "Somebody wrote {bogus} for the {who}; ignore that.",
        ),
        (
            "What is the {who}?",
            "What is the {who} now?",
            "what's the {who}",
            "Current {who}?",
            "What is the {who} at present?",
        ),
        (
            "What was the {who} before?",
            "What was the {who} before {new}?",
            "What was the old {who}?",
            "previous {who}",
        ),
        (
            "What was the {who} at first?",
            "What was the first {who}?",
            "What was the {who} originally?",
        ),
        ("Since when is the {who} {new}?", "When did the {who} change to {new}?"),
        ("Is the {who} {new}?", "Is the {who} still {new}?"),
    )


_KINDS = (_SPOT, _SPOT, _ROLE, _HOME, _WORK, _HOLDER, _PAINT, _EVENT)


@dataclass(frozen=True)
class History:
    """A fact from its first value to its last, as it is told, and what may be asked.

    Attributes:
        told: Its lines, in the order of time.
        asked: With answers.
        undated: A question for the day of a change, and the line that tells of it without one.
    """

    told: tuple[str, ...]
    asked: tuple[Asked, ...]
    undated: tuple[str, str] | None = None


def make_history(rng: random.Random, kind: Changing, who: str) -> History:
    """A fact that changes up to three times."""
    values: list[str] = []
    while len(values) < 5:
        value = kind.value(rng)
        if value not in values:
            values.append(value)
    bogus = values.pop()
    values = values[: rng.choice((1, 2, 2, 2, 3, 3, 4))]
    slots = {"who": who, "bogus": bogus, "n": names.first_name(rng)}
    told = [_fill(rng.choice(kind.first), slots, old=values[0])]
    days: dict[str, str] = {}
    undated: tuple[str, str] | None = None
    for old, new in pairwise(values):
        is_dated = bool(kind.since) and rng.random() < 0.35
        day = names.date(rng)
        said = rng.choice(kind.since if is_dated else kind.later)
        if is_dated:
            days[new] = day
        told.append(_fill(said, slots, old=old, new=new, day=day))
        named = [each for each in kind.when if "{new}" in each]
        if named and not is_dated:
            undated = _fill(rng.choice(named), slots, new=new), told[-1]
    if rng.random() < 0.3:
        told.insert(rng.randint(1, len(told)), _fill(rng.choice(kind.idle), slots))
    return History(tuple(told), tuple(_asked(rng, kind, slots, values, days)), undated)


def _asked(
    rng: random.Random,
    kind: Changing,
    slots: dict[str, str],
    values: list[str],
    days: dict[str, str],
) -> list[Asked]:
    last = values[-1]

    def ask(wordings: Sequence[str], answer: str, new: str = last) -> Asked:
        return Asked(_fill(rng.choice(wordings), slots, new=new), answer)

    asked = [ask(kind.now, last)]
    if len(values) > 1:
        asked.append(ask(kind.before, values[-2]))
    elif rng.random() < 0.4:
        asked.append(ask(kind.before[:1], UNKNOWN_ANSWER))
    if len(values) > 2:
        asked.append(ask(kind.at_first, values[0]))
    if len(days) == 1 and last in days:
        asked.append(ask(kind.when, days[last]))
    elif days and kind.when:
        new = rng.choice(list(days))
        named = [each for each in kind.when if "{new}" in each]
        asked.append(ask(named, days[new], new))
    if rng.random() < 0.35:
        old = rng.choice(values)
        asked.append(ask(kind.check, "yes" if old == last else "no", old))
    return asked


def _fill(text: str, slots: dict[str, str], **more: str) -> str:
    return text.format(**slots, **more)


class Changes:
    """Facts that change, beside others of their kind."""

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        histories, stray = self._histories(rng)
        events = self._merge(rng, [history.told for history in histories])
        for _ in range(rng.randint(0, 3)):
            events.insert(rng.randint(0, len(events)), rng.choice(_FILLERS))
        events = [text[0].upper() + text[1:] if rng.random() < 0.85 else text for text in events]
        documents = self._documents(rng, events)
        kept = frozenset((n, line.place) for n, each in enumerate(documents) for line in each.lines)
        asked = [each for history in histories for each in history.asked] + stray
        asked += _days_asked(documents, [each.undated for each in histories if each.undated])
        rng.shuffle(asked)
        asked = [Asked(e.question[0].upper() + e.question[1:], e.answer) for e in asked]
        return Sample(passages_of(documents, kept), tuple(asked[:9]), "changes")

    def _histories(self, rng: random.Random) -> tuple[list[History], list[Asked]]:
        histories: list[History] = []
        stray: list[Asked] = []
        used: set[str] = set()
        kind = self._kind(rng)
        for _ in range(rng.choice((1, 2, 2, 3, 3, 4))):
            if rng.random() < 0.55:
                kind = self._kind(rng)
            who = kind.who(rng)
            # A thing has one place and one holder, but not both: "put back" would tell of both.
            if who in used:
                continue
            used.add(who)
            histories.append(make_history(rng, kind, who))
        if rng.random() < 0.3:
            who = kind.who(rng)
            if who not in used:
                slots = {"who": who, "n": ""}
                question = _fill(rng.choice(kind.now), slots)
                stray.append(Asked(question, UNKNOWN_ANSWER))
        return histories, stray

    @staticmethod
    def _kind(rng: random.Random) -> Changing:
        return _value(*rng.choice(_WHATS)) if rng.random() < 0.4 else rng.choice(_KINDS)

    @staticmethod
    def _merge(rng: random.Random, told: Sequence[Sequence[str]]) -> list[str]:
        """All lines, each history in its order."""
        order = [number for number, lines in enumerate(told) for _ in lines]
        rng.shuffle(order)
        waiting = [iter(lines) for lines in told]
        return [next(waiting[number]) for number in order]

    def _documents(self, rng: random.Random, events: list[str]) -> list[Document]:
        shape = rng.choice(("note", "chat", "dated", "dated", "newest first", "notes", "notes"))
        start = names.days(rng, 1)[0]
        if shape == "notes" and len(events) > 1:
            parts = self._cut(rng, events, rng.choice((2, 2, 3)))
            days = [
                start + timedelta(days=rng.randint(5, 90) * (n + 1) * 2) for n in range(len(parts))
            ]
            days = sorted(days)
            documents = [
                Document(
                    random_name(rng), tuple(Line(t, n) for n, t in enumerate(part)), _stamp(day)
                )
                for part, day in zip(parts, days, strict=True)
            ]
            rng.shuffle(documents)
            return documents
        time = rng.choice((None, _stamp(start)))
        if shape == "chat":
            return [Document(random_name(rng), tuple(self._chat(rng, events)), time)]
        if shape in ("dated", "newest first"):
            lines = self._dated(rng, events, start, is_newest_first=shape == "newest first")
            return [Document(random_name(rng), tuple(lines), time)]
        lines = [Line(text, n) for n, text in enumerate(events)]
        return [Document(random_name(rng), tuple(lines), time)]

    @staticmethod
    def _cut(rng: random.Random, events: list[str], count: int) -> list[list[str]]:
        cuts = sorted(rng.sample(range(1, len(events)), min(count, len(events)) - 1))
        return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]

    @staticmethod
    def _chat(rng: random.Random, events: list[str]) -> list[Line]:
        speakers = [names.first_name(rng) for _ in range(rng.randint(2, 3))]
        style = rng.choice(
            ("{s}: {t}", "[{h}] {s}: {t}", "{s} ({h}): {t}", "{h} - {s}: {t}", "<{s}> {t}")
        )
        minutes = rng.randint(420, 900)
        lines = []
        for number, text in enumerate(events):
            minutes += rng.randint(1, 30)
            said = text if rng.random() < 0.6 else text[0].lower() + text[1:].rstrip(".")
            clock = f"{minutes // 60:02}:{minutes % 60:02}"
            lines.append(Line(style.format(s=rng.choice(speakers), h=clock, t=said), number))
        return lines

    def _dated(
        self, rng: random.Random, events: list[str], start: datetime, *, is_newest_first: bool
    ) -> list[Line]:
        count = min(len(events), rng.randint(2, 4))
        parts = self._cut(rng, events, count)
        style = names.day_style(rng)
        days = [start]
        while len(days) < len(parts):
            days.append(days[-1] + timedelta(days=rng.randint(1, 12)))
        top = rng.choice(((), (), ("Log",), ("Notes",), ("Diary",)))
        sections = [
            [(text, (*top, style(day))) for text in part]
            for part, day in zip(parts, days, strict=True)
        ]
        ordered = sections[::-1] if is_newest_first else sections
        flat = [each for section in ordered for each in section]
        return [Line(text, n, headings) for n, (text, headings) in enumerate(flat)]


def _days_asked(documents: Sequence[Document], undated: Sequence[tuple[str, str]]) -> list[Asked]:
    """The day is the heading's; nobody knows it where neither heading nor note has one."""
    asked = []
    for question, told in undated:
        lines = [
            (line, document.time)
            for document in documents
            for line in document.lines
            if line.text.casefold() == told.casefold()
        ]
        if len(lines) == 1 and lines[0][0].headings:
            asked.append(Asked(question, lines[0][0].headings[-1]))
        elif len(lines) == 1 and lines[0][1] is None:
            asked.append(Asked(question, UNKNOWN_ANSWER))
    return asked


def _stamp(day: datetime) -> float:
    return day.astimezone(UTC).timestamp()
