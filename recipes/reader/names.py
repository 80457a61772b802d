"""Names and values that a reader can only copy: rare people and places, numbers, days, codes.

Put together from syllables of several languages, so that hardly one comes twice. Knows neither
samples nor tokens.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Make = Callable[[random.Random], str]

_COMMON = """
Ana Ben Carla Dev Erik Farah Gita Hal Ines Jon Kemi Lars Mia Noor Omar Pia Rosa Sam Tess Uwe Vera
Wim Yuki Zoe Aisha Bruno Chloe Dario Elif Felix Grete Hugo Imran Jana Klaus Lena Marek Nils Olga
Priya Rita Stefan Tariq Ursula Viktor Wendy Ximena Yusuf Zuzana Anton Birgit Cosmo Delphine Ewa
Fergus Greta Hamid Ilse Jacek Kirsten Leonie Mateo Nuria Oskar Petra Rania Sven Tomas Valentina
""".split()
_STARTS = """
Aki Ama Ar Bel Bo Cai Ce Da Dji Ei El Fa Fri Ga Gu Ha Hje Iki Ing Ja Jo Ka Ki Kü Le Lou Lu Ma Mbe
Mi Na Ngu Ni Nya Ø Oke Or Pa Per Qui Ra Rho Ro Sa Sé Sha Si Só Su Ta Te Thi To Tsu Tu Ü Va Ve Wa
Wó Xo Ya Yo Za Zdzi Ži
""".split()
_MIDDLES = (
    "ba bri da di do ga gi ka la li lo ma mi na ne no ra ri ro sa si ta te ti va vi zu".split()
)
_ENDS = """
bek ca chi ço da dra ë far gül ha iel ij ita jka ko la lith lle mar mir na née ngo nka no ña que ri
rën sha ska sław ta tha tje tou uz va vère wen wyn xi ya zar zim ző
""".split()
_SURNAME_STARTS = """
Acker Almei Bąk Beau Bjørn Brzo Cani Çeli Dąb Del Dim Ech Fitz Fuen Gali Guðm Hadži Hoch Hunt Ito
Jó Kaz Kovač Kühn Lind Łuk Mac Mañ Mbo Möl Mwan Nakam Nguy Ngũ Nowo Öz Okon Pape Pere Prze Quis
Rau Rod Sán Schä Sie Škvo Šte Sø Swi Tak Thor Tre Uç Vaj Van Wei Wój Yam Yıl Zavr Zieg
""".split()
_SURNAME_ENDS = """
ado akis ambo anidze arajan ari auer berg bička chenko cki cka dal dottir ek endez ersen escu ete
ež feld ğlu hara hofer icz ić idze iewicz iga ine järvi kaite kova kyi lund manis mann nen nyi
ńska o onen oté ouchi ov owska quist raju rez roux sdóttir sen ski stad strøm sund szky tveit uc
uri vić wala wende yan yev zadeh ziano
""".split()
_PREFIXES = ("O'", "Mc", "van der ", "de ", "von ", "al-", "Di ", "ter ", "d'", "Ó ", "ben ", "el ")
_PLACE_STARTS = """
Ach Aix Åls Ave Bad Bel Béz Bia Ble Bou Brno Bur Cas Cham Češ Cor Dar Dzi Eger Esz Fal Fjæ Gdy Glen
Gö Gra Häm Har Höf Ilk Isk Jel Kal Kir Kos Kra Kü La Lan Lju Llan Ło Mar Mel Mo Näs Nie Nor Nov Od
Øst Pen Pé Plo Prze Ra Rei Rov Sal Sar Siv Šib Ska Ste Szo Tar Thu Tor Trz Tru Ul Vác Vil Wal Wro
Xà Yar Zam Žel
""".split()
_PLACE_ENDS = """
abad ac achel ahya alde arvik ava bach berg bie borg brück burn bury by cin combe court dal den dorf
eira ek ena enz esti fell ford gard giu gwyn hausen heim holm ica ice igny in ingen itz jõe kirk
kő köping lev limm ljost lone manca megyer mont nica nitz now oire onne ów ping polis rade rup ryd
stad stein sund sjö tal thwaite tirol ulcea una upe uval vár ville vik wald wick wil yn za zell
""".split()
_SAINTS = "Rémy Mwrog Cuthbert Odile Gildas Ninian Vaast Issey Aubin Brieuc Pölten Gallen".split()
_TAILS = "-sur-{r} -on-{r} -le-{r} -am-{r} -i-{r} -an-der-{r}".split()
_RIVERS = "Loue Wensum Orb Aisne Lahn Tarn Ilz Isen Vézère Ouse Yarrow Taw Erft Ems Elz".split()
_STREETS = (
    "{n} Street", "{n} Road", "{n} Lane", "{n}straße", "{n}gasse", "rue {n}", "Rue de {p}",
    "via {n}", "calle {n}", "{n}laan", "{n}gatan", "ul. {n}", "{n} Close", "Rua {n}", "{n}weg",
    "{n} Avenue", "place {n}", "{n} Terrace", "Plaza {n}", "{n}vej",
)  # fmt: skip
_MONTHS = (
    "January February March April May June July August September October November December"
).split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_FIRST_DAY = datetime(2015, 1, 1, tzinfo=UTC)


def digits(rng: random.Random, count: int) -> str:
    """So many digits."""
    return "".join(rng.choice(string.digits) for _ in range(count))


def first_name(rng: random.Random) -> str:
    """A first name, rare or common."""
    if rng.random() < 0.5:
        return rng.choice(_COMMON)
    name = rng.choice(_STARTS) + rng.choice(("", rng.choice(_MIDDLES))) + rng.choice(_ENDS)
    return name


def surname(rng: random.Random) -> str:
    """A surname, one in ten of them double or with a prefix."""
    name = rng.choice(_SURNAME_STARTS) + rng.choice(_SURNAME_ENDS)
    draw = rng.random()
    if draw < 0.1:
        return rng.choice(_PREFIXES) + name
    if draw < 0.18:
        return f"{name}-{rng.choice(_SURNAME_STARTS)}{rng.choice(_SURNAME_ENDS)}"
    return name


def person(rng: random.Random) -> str:
    """A whole name, at times with a title or an initial."""
    title = rng.choice(("Dr. ", "Dr ", "Mrs ", "Mr ", "Prof. ", "Ms ", "Frau ", "Captain "))
    middle = f"{rng.choice(string.ascii_uppercase)}. " if rng.random() < 0.08 else ""
    draw = rng.random()
    if draw < 0.25:
        return f"{title}{surname(rng)}"
    return f"{title if draw < 0.35 else ''}{first_name(rng)} {middle}{surname(rng)}"


def town(rng: random.Random) -> str:
    """A town, plain or of several words."""
    name = rng.choice(_PLACE_STARTS) + rng.choice(_PLACE_ENDS)
    draw = rng.random()
    if draw < 0.1:
        return rng.choice(("Saint-", "St ", "Sankt ", "San ", "Sainte-")) + rng.choice(_SAINTS)
    if draw < 0.2:
        return name + rng.choice(_TAILS).format(r=rng.choice(_RIVERS))
    if draw < 0.28:
        return f"{rng.choice(('Upper', 'Nova', 'Bad', 'Little', 'Stary', 'Monte', 'Los'))} {name}"
    return name


def street(rng: random.Random) -> str:
    """A street with a number."""
    name = rng.choice(_STREETS).format(n=surname(rng).replace(" ", ""), p=town(rng))
    number = f"{rng.randint(1, 220)}{rng.choice(('', '', '', 'a', 'b', '/3'))}"
    return (
        f"{number} {name}" if name[-4:] in ("reet", "Road", "Lane", "lose") else f"{name} {number}"
    )


def phone(rng: random.Random) -> str:
    """A telephone number in one of many spellings."""
    return rng.choice(
        (
            f"({digits(rng, 3)}) {digits(rng, 3)}-{digits(rng, 4)}",
            f"({digits(rng, 3)}) {digits(rng, 3)}-{digits(rng, 4)}",
            f"(0{digits(rng, 2)}) {digits(rng, 4)} {digits(rng, 3)}",
            f"(0{digits(rng, 4)}) {digits(rng, 6)}",
            f"+{digits(rng, 2)} (0) {digits(rng, 2)} {digits(rng, 3)} {digits(rng, 2)}",
            f"+{digits(rng, 2)} {digits(rng, 3)} {digits(rng, 3)} {digits(rng, 3)}",
            f"0{digits(rng, 3)}/{digits(rng, 5)}-{digits(rng, 2)}",
            f"0{digits(rng, 3)} {digits(rng, 6)}",
            f"{digits(rng, 3)}-{digits(rng, 4)} ext. {digits(rng, 2)}",
            f"{digits(rng, 3)}.{digits(rng, 3)}.{digits(rng, 4)}",
            " ".join(digits(rng, 2) for _ in range(5)),
        )
    )


def code(rng: random.Random) -> str:
    """A code, a part number or a plate."""
    letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(4))
    return rng.choice(
        (
            digits(rng, 4),
            f"{digits(rng, 4)}#",
            f"{letters[:2]}-{digits(rng, 3)}-{letters[2]}",
            f"{letters[:3]}{digits(rng, 4)}",
            f"{letters[0]}{digits(rng, 2)}/{digits(rng, 3)}",
            f"{letters[:2]} {digits(rng, 2)} {letters[2:]}",
            f"{digits(rng, 2)}.{digits(rng, 3)}.{digits(rng, 1)}-{letters[0].lower()}",
            f"{letters}-{digits(rng, 2)}v{digits(rng, 1)}",
            f"#{digits(rng, 5)}",
        )
    )


def password(rng: random.Random) -> str:
    """A password, of words or of signs."""
    signs = string.ascii_letters + string.digits + "!$&%#?_-+"
    words = (first_name(rng), town(rng).split()[0], digits(rng, 2))
    return rng.choice(("".join(rng.choices(signs, k=rng.randint(7, 11))), "-".join(words).lower()))


def money(rng: random.Random) -> str:
    """A price in one of many spellings."""
    amount = rng.choice((f"{rng.randint(3, 990)}", f"{rng.randint(1, 40)},{digits(rng, 3)}"))
    cents = rng.choice(("", "", f".{digits(rng, 2)}"))
    return rng.choice(("{} euros", "£{}", "${}", "€{}", "{} kr", "{} CHF", "{} zł", "{} €")).format(
        amount + cents
    )


def amount(rng: random.Random) -> str:
    """A number with its unit."""
    unit = rng.choice(
        "mg,ml,km,kg,litres,m,cm,minutes,hours,days,pages,°C,tablets,spoons".split(",")
    )
    return f"{rng.randint(2, 480)} {unit}"


def clock(rng: random.Random) -> str:
    """A time of day."""
    hour, minute = rng.randint(6, 22), rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50))
    late = "am" if hour < 12 else "pm"
    return rng.choice(
        (
            f"{hour}:{minute:02}",
            f"{hour}.{minute:02}",
            f"{(hour - 1) % 12 + 1}:{minute:02} {late}",
            f"{(hour - 1) % 12 + 1} {late}",
        )
    )


def days(rng: random.Random, count: int) -> list[datetime]:
    """So many different days near each other, in order."""
    start = _FIRST_DAY + timedelta(days=rng.randint(0, 4300))
    steps = sorted(rng.sample(range(90), count))
    return [start + timedelta(days=step) for step in steps]


def day_style(rng: random.Random) -> Callable[[datetime], str]:
    """A way to write days, the same for all days of a note."""
    style = rng.choice(
        (
            "{d:%Y-%m-%d}", "{d.day} {m}", "{m} {d.day}", "{m} {d.day}, {d.year}", 
            "{w} {d.day} {s}",
            "{d:%d/%m/%Y}", "{d:%d.%m.%Y}", "{w}, {d.day} {m} {d.year}", "{s} {d.day}",
            "{d.day} {s} {d.year}", "{w3} {d.day} {s}", "{d:%d.%m.}", "{w}, {m} {d.day}",
        )
    )  # fmt: skip
    return lambda day: style.format(
        d=day,
        m=_MONTHS[day.month - 1],
        s=_MONTHS[day.month - 1][:3],
        w=WEEKDAYS[day.weekday()],
        w3=WEEKDAYS[day.weekday()][:3],
    )


def date(rng: random.Random) -> str:
    """A day in one of many spellings."""
    return day_style(rng)(days(rng, 1)[0])


def month(rng: random.Random) -> str:
    """A month's name."""
    return rng.choice(_MONTHS)


def weekday(rng: random.Random) -> str:
    """A day of the week."""
    return rng.choice(WEEKDAYS)
