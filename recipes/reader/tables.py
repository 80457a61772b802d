"""Samples of tables: a cell by its row and column, the row that a cell belongs to, empty cells.

Markdown and fields between commas or semicolons, some with rows that look alike. Knows text and
samples; knows no tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lmos.model.prompts import UNKNOWN_ANSWER
from recipes.reader import names
from recipes.reader.names import Make
from recipes.reader.samples import Asked, Document, Line, Sample, passages_of, random_name
from recipes.reader.samples import random_time as draw_time


def _of(words: str) -> Make:
    choices = words.split("|")
    return lambda rng: rng.choice(choices)


def _count(least: int, most: int) -> Make:
    return lambda rng: str(rng.randint(least, most))


@dataclass(frozen=True)
class Column:
    """A column; `{row}` is the name of a row and `{cell}` what stands in it.

    Attributes:
        titles: What it is called.
        make: What its cells hold.
        asked: Questions for a cell.
        reverse: Questions for the row that has a cell.
    """

    titles: tuple[str, ...]
    make: Make
    asked: tuple[str, ...]
    reverse: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A kind of table: what its rows are, and the columns that it may have."""

    titles: tuple[str, ...]
    rows: Make
    columns: tuple[Column, ...]
    headings: tuple[str, ...]


_PHONE = Column(
    ("Phone", "tel", "Number", "Mobile", "Telephone"),
    names.phone,
    (
        "What is the phone number of {row}?",
        "How can I ring {row}?",
        "{row}'s number?",
        "phone {row}",
    ),
    ("Whose phone number is {cell}?", "Who can be reached at {cell}?"),
)
_CITY = Column(
    ("City", "Town", "Place", "Lives in"),
    names.town,
    ("Where does {row} live?", "Which town is {row} from?", "In which town is {row}?"),
    ("Who lives in {cell}?", "Who is from {cell}?"),
)
_ROOM = Column(
    ("Room", "room no", "Office"),
    lambda rng: f"{rng.choice('ABCDE')}{rng.randint(1, 99)}",
    ("Which room is {row} in?", "What is {row}'s room?", "Where is {row}, which room?"),
    ("Who is in room {cell}?", "Who has room {cell}?"),
)
_JOB = Column(
    ("Job", "Role", "Task", "Does"),
    _of(
        "cook|treasurer|driver|first aid|music|cleaning|lights|tickets|"
        "sound|bar|press|tents|stage|catering|setup|cash desk"
    ),
    ("What does {row} do?", "What is {row}'s job?", "Which task does {row} have?"),
    ("Who does {cell}?", "Who is down for {cell}?", "Whose job is {cell}?"),
)
_DAY = Column(
    ("Day", "Weekday", "Shift"),
    names.weekday,
    ("On which day is {row} on?", "Which day does {row} have?"),
    ("Who is on on {cell}?", "Whose day is {cell}?"),
)
_BIRTH = Column(
    ("Birthday", "Born", "Date of birth"),
    names.date,
    ("When is {row}'s birthday?", "When was {row} born?"),
    ("Whose birthday is {cell}?",),
)
_PAID = Column(
    ("Paid", "Amount", "Fee", "Owes"),
    names.money,
    ("How much is it for {row}?", "Which amount stands next to {row}?"),
    ("Who has the amount {cell}?",),
)
_FOOD = Column(
    ("Food", "Brings", "Dish", "Buffet"),
    _of(
        "noodle salad|plum cake|bread|cheese|olives|lemonade|"
        "crisps|soup|quiche|fruit|dumplings|hummus|rice salad|cookies|samosas|potato salad"
    ),
    ("What does {row} bring?", "What is {row} bringing?"),
    ("Who brings the {cell}?", "Who is bringing {cell}?"),
)
_DIET = Column(
    ("Allergy", "Diet", "Cannot eat"),
    _of("nuts|gluten|lactose|eggs|fish|soy|shellfish|celery|sesame|mustard|kiwi|lupin"),
    ("What is {row} allergic to?", "What must {row} not eat?"),
    ("Who must not eat {cell}?",),
)
_SIZE = Column(
    ("Size", "Shoe size", "T-shirt"),
    _of("XS|S|M|L|XL|XXL|36|37|38|39|40|41|42|43|44|45"),
    ("What size does {row} need?", "{row}'s size?"),
    (),
)
_MAIL = Column(
    ("Mail", "E-mail", "email"),
    lambda rng: _mail(rng),
    ("What is {row}'s e-mail address?", "Where can I write to {row} by mail?"),
    ("Whose address is {cell}?",),
)
_PEOPLE = (_PHONE, _CITY, _ROOM, _JOB, _DAY, _BIRTH, _PAID, _FOOD, _DIET, _SIZE, _MAIL)

_PRICE = Column(
    ("Price", "Cost", "EUR", "price each", "Unit price"),
    names.money,
    ("How much is the {row}?", "What does the {row} cost?", "price of the {row}?"),
    ("What costs {cell}?", "Which item costs {cell}?"),
)
_STOCK = Column(
    ("Stock", "Qty", "Quantity", "Pieces", "In stock"),
    _count(0, 240),
    (
        "How many of the {row} are there?",
        "What is the quantity of the {row}?",
        "How many {row} do we have?",
    ),
    ("Of what are there {cell}?",),
)
_SHELF = Column(
    ("Shelf", "Location", "Where", "Bin"),
    lambda rng: rng.choice(
        (
            f"{rng.choice('ABCDEFG')}-{rng.randint(1, 40)}",
            rng.choice(("cellar", "attic", "garage", "shed", "van", "hall", "back room", "loft")),
        )
    ),
    ("Where is the {row}?", "Where do I find the {row}?", "Which place is the {row} in?"),
    ("What is kept at {cell}?",),
)
_PART = Column(
    ("Part no.", "Code", "SKU", "Article", "Serial no"),
    names.code,
    (
        "What is the part number of the {row}?",
        "Which code does the {row} have?",
        "code for the {row}",
    ),
    ("Which item has the code {cell}?", "What is {cell}?"),
)
_MAKER = Column(
    ("Maker", "Supplier", "Brand", "From"),
    names.surname,
    ("Who makes the {row}?", "Which supplier is the {row} from?", "What make is the {row}?"),
    ("What do we get from {cell}?", "Which item is from {cell}?"),
)
_COLOUR = Column(
    ("Colour", "Color", "Finish"),
    _of("green|yellow|pale blue|red|white|grey|mint|ochre|black|plum|cream|silver"),
    ("What colour is the {row}?",),
    ("What is {cell}?", "Which item is {cell}?"),
)
_BOUGHT = Column(
    ("Bought", "Since", "Delivered", "Warranty until"),
    names.date,
    ("Which date is given for the {row}?", "What date stands next to the {row}?"),
    ("Which item has the date {cell}?",),
)
_WEIGHT = Column(
    ("Weight", "Weight kg", "Mass"),
    lambda rng: f"{rng.randint(1, 80)}{rng.choice(('', '.5', '.2'))} kg",
    ("How heavy is the {row}?", "What does the {row} weigh?"),
    ("What weighs {cell}?",),
)
_LENT = Column(
    ("Lent to", "Holder", "With", "Borrowed by"),
    names.first_name,
    ("Who has the {row}?", "Who was the {row} lent to?"),
    ("What did {cell} borrow?", "What does {cell} have?"),
)
_GOODS = (_PRICE, _STOCK, _SHELF, _PART, _MAKER, _COLOUR, _BOUGHT, _WEIGHT, _LENT)

_DEPART = Column(
    ("Departs", "Dep.", "Leaves"),
    names.clock,
    ("When does {row} leave?", "What time does {row} depart?"),
    ("What leaves at {cell}?",),
)
_ARRIVE = Column(
    ("Arrives", "Arr.", "Gets in"),
    names.clock,
    ("When does {row} arrive?", "What time does {row} get in?"),
    ("What arrives at {cell}?",),
)
_GATE = Column(
    ("Platform", "Gate", "Stand"),
    lambda rng: f"{rng.randint(1, 24)}{rng.choice(('', 'a', 'b'))}",
    ("Which platform does {row} leave from?", "From which platform does {row} go?"),
    (),
)
_GOAL = Column(
    ("To", "Destination"),
    names.town,
    ("Where does {row} go?", "What is the destination of {row}?"),
    ("What goes to {cell}?", "Which one goes to {cell}?"),
)
_FARE = Column(
    ("Fare", "Ticket"), names.money, ("What is the fare for {row}?", "How much is {row}?"), ()
)
_TRAVEL = (
    _DEPART,
    _ARRIVE,
    _GATE,
    _GOAL,
    _FARE,
    Column(
        ("Seat", "Seats"),
        lambda rng: f"{rng.randint(1, 60)}{rng.choice('ABCDF')}",
        ("Which seat do we have in {row}?", "What is the seat in {row}?"),
        ("Where do we sit in {cell}?",),
    ),
)

_PORT = Column(
    ("Port", "port"),
    _count(1024, 9999),
    ("Which port does {row} use?", "What is the port of {row}?"),
    ("Which service uses port {cell}?", "What runs on {cell}?"),
)
_VERSION = Column(
    ("Version", "version", "Release"),
    lambda rng: f"{rng.randint(0, 12)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}",
    ("Which version of {row} is it?", "What version is {row}?"),
    ("What has the version {cell}?",),
)
_OWNER = Column(
    ("Owner", "Maintainer", "Contact", "On call"),
    names.person,
    ("Who owns {row}?", "Who is responsible for {row}?", "Who looks after {row}?"),
    ("What does {cell} look after?", "Which service is {cell} responsible for?"),
)
_HOST = Column(
    ("Host", "Server", "Machine"),
    lambda rng: _host(rng),
    ("Which host does {row} run on?", "Where does {row} run?"),
    ("What runs on {cell}?",),
)
_STATE = Column(
    ("Status", "State"),
    _of("open|done|blocked|in review|paused|running|failed|waiting for parts|cancelled|planned"),
    ("What is the status of {row}?", "How far is {row}?"),
    ("What is {cell}?", "Which one is {cell}?"),
)
_DUE = Column(
    ("Due", "Deadline", "Until"),
    names.date,
    ("When is {row} due?", "What is the deadline for {row}?"),
    ("What is due on {cell}?",),
)
_LIMIT = Column(
    ("Default", "Timeout", "Limit"),
    lambda rng: rng.choice(
        (f"{rng.randint(1, 90)} s", f"{rng.randint(1, 512)} MB", str(rng.randint(1, 5000)))
    ),
    ("What is the limit of {row}?", "Which value does {row} have?"),
    (),
)
_SERVICES = (_PORT, _VERSION, _OWNER, _HOST, _STATE, _DUE, _LIMIT)


def _mail(rng: random.Random) -> str:
    host = rng.choice(("posteo.net", "mail.example", "club.example"))
    return f"{names.first_name(rng).lower()}.{names.digits(rng, 2)}@{host}"


def _host(rng: random.Random) -> str:
    name = rng.choice(("ox", "elm", "lynx", "wren", "basil", "node", "kiln"))
    return f"{name}-{rng.randint(1, 30):02}"


def _thing(rng: random.Random) -> str:
    noun = rng.choice(
        "drill lamp kettle tent bolt hinge cable battery filter pump valve rope tarp jacket helmet "
        "screw seal fan tray bracket sensor charger nozzle brush ladder chair shelf clamp".split()
    )
    kind = rng.choice(
        "small large spare old new blue red long short 12V steel brass folding cordless".split()
    )
    return noun if rng.random() < 0.3 else f"{kind} {noun}"


def _trip(rng: random.Random) -> str:
    return f"{rng.choice(('IC', 'RE', 'ICE', 'bus', 'ferry', 'tram'))} {names.digits(rng, 3)}"


def _service(rng: random.Random) -> str:
    first = rng.choice(
        "mail auth search billing image export order user audit cache queue log".split()
    )
    return f"{first}-{rng.choice('api worker db proxy sync web job gateway'.split())}"


_TABLES = (
    Table(
        ("Name", "Who", "Person"),
        names.first_name,
        _PEOPLE,
        ("Team", "Party", "Guests", "Members", "Volunteers", "Class 4b"),
    ),
    Table(
        ("Name", "Member", "Contact"),
        names.person,
        _PEOPLE,
        ("Contacts", "Board", "Phone list", "Helpers", "Staff"),
    ),
    Table(
        ("Item", "Thing", "Article", "Tool"),
        _thing,
        _GOODS,
        ("Inventory", "Stock", "Cellar", "Workshop", "Order", "Lending list"),
    ),
    Table(
        ("Train", "Connection", "Trip", "Line"),
        _trip,
        _TRAVEL,
        ("Timetable", "Trip", "Connections", "Day 2"),
    ),
    Table(
        ("Service", "Component", "Job", "name"),
        _service,
        _SERVICES,
        ("Services", "Operations", "Overview", "Configuration"),
    ),
)


class Tables:
    """A table of three to seven columns, asked by cells."""

    def draw(self, rng: random.Random) -> Sample | None:
        """Draw a sample; `None` if it came out empty."""
        table = rng.choice(_TABLES)
        columns = rng.sample(table.columns, min(len(table.columns), rng.randint(2, 6)))
        titles = [rng.choice(table.titles), *self._titles(rng, columns)]
        rows = self._rows(rng, table, columns)
        if len(set(titles)) < len(titles) or len(rows) < 3:
            return None
        asked = self._asked(rng, columns, rows)
        lines = self._lines(rng, table, titles, rows)
        before = rng.choice(
            (None, None, "Below is the list.", "As of today:", "Please check your row.")
        )
        if before:
            lines = [Line(before, 0, lines[0].headings), *lines]
        lines = [Line(e.text, n, e.headings, e.columns) for n, e in enumerate(lines)]
        # A search finds a part of a table: the rows that matter and some others.
        time = draw_time(rng) if rng.random() < 0.7 else None
        document = Document(random_name(rng), tuple(lines), time)
        kept = frozenset((0, line.place) for line in lines)
        return Sample(passages_of([document], kept), tuple(asked), "tables") if asked else None

    @staticmethod
    def _titles(rng: random.Random, columns: Sequence[Column]) -> list[str]:
        return [rng.choice(column.titles) for column in columns]

    @staticmethod
    def _rows(rng: random.Random, table: Table, columns: Sequence[Column]) -> list[list[str]]:
        rows: dict[str, list[str]] = {}
        blank = rng.choice((0.0, 0.05, 0.15))
        empty = rng.choice(("", "", "-", "–", "?"))
        for _ in range(rng.randint(3, 10 if len(columns) < 4 else 7)):
            name = table.rows(rng)
            if rows and rng.random() < 0.25:
                # A near miss: the same surname, the same noun.
                last = rng.choice(list(rows)).split()[-1]
                name = " ".join([*name.split()[:-1], last]) if " " in name else name
            cells = [empty if rng.random() < blank else each.make(rng) for each in columns]
            rows.setdefault(name, [name, *cells])
        return list(rows.values())

    def _asked(
        self, rng: random.Random, columns: Sequence[Column], rows: Sequence[Sequence[str]]
    ) -> list[Asked]:
        asked: dict[str, str] = {}
        for _ in range(rng.randint(5, 9)):
            number = rng.randrange(len(columns))
            row = rng.choice(rows)
            cell = row[number + 1]
            is_empty = cell in ("", "-", "–", "?")
            column = columns[number]
            same = [each for each in rows if each[number + 1] == cell]
            if column.reverse and not is_empty and len(same) == 1 and rng.random() < 0.35:
                question = rng.choice(column.reverse).format(cell=cell)
                # The cell may stand in another column too.
                if sum(cell in each for other in rows for each in other) == 1:
                    asked[question] = row[0]
                continue
            question = rng.choice(column.asked).format(row=row[0])
            if sum(row[0] in other[0] for other in rows) > 1 and " " not in row[0]:
                continue
            asked[question] = UNKNOWN_ANSWER if is_empty else cell
        asked |= self._unknown(rng, columns, rows)
        told = [Asked(_capital(question), answer) for question, answer in asked.items()]
        rng.shuffle(told)
        return told

    @staticmethod
    def _unknown(
        rng: random.Random, columns: Sequence[Column], rows: Sequence[Sequence[str]]
    ) -> dict[str, str]:
        """A row that is not there, or a column that is not."""
        table = next(each for each in _TABLES if columns[0] in each.columns)
        asked = {}
        if rng.random() < 0.4:
            name = table.rows(rng) if columns[0] not in _PEOPLE else names.first_name(rng)
            if not any(name in row[0] for row in rows):
                asked[rng.choice(rng.choice(columns).asked).format(row=name)] = UNKNOWN_ANSWER
        others = [each for each in table.columns if each not in columns and each.asked]
        if others and rng.random() < 0.4:
            question = rng.choice(rng.choice(others).asked)
            if not ({"do?", "job?", "Who"} & set(question.split())):
                asked[question.format(row=rng.choice(rows)[0])] = UNKNOWN_ANSWER
        return asked

    @staticmethod
    def _lines(
        rng: random.Random, table: Table, titles: list[str], rows: Sequence[Sequence[str]]
    ) -> list[Line]:
        headings = (rng.choice(table.headings),) if rng.random() < 0.5 else ()
        if rng.random() < 0.12:
            headings = (*headings, names.date(rng))
        shape = rng.choice(("markdown", "markdown", "csv", "csv", "semicolons", "tabs"))
        mark = {"csv": ",", "semicolons": ";", "tabs": "\t"}.get(shape)
        if mark is None:
            columns = f"| {' | '.join(titles)} |"
            return [
                Line(f"| {' | '.join(row)} |", n, headings, columns) for n, row in enumerate(rows)
            ]
        texts = [mark.join(_quoted(cell, mark) for cell in row) for row in rows]
        return [Line(text, n, headings, mark.join(titles)) for n, text in enumerate(texts)]


def _quoted(cell: str, mark: str) -> str:
    return f'"{cell}"' if mark in cell else cell


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
