"""Words: the vocabulary that the fact generator fills its templates with.

Names, things, places and values. A part of every list is held out: the training generator never
draws it, the benchmark draws nothing else. Knows nothing of templates or tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from lmos.training.corpus import is_held_out

HELD_OUT_WORDS = 0.2

FIRST_NAMES = """
Ada Agnes Albert Alice Amir Amos Anna Arthur Basil Beatrice Bella Boris Bruno Carl Carmen Cecil
Celia Chen Clara Colin Cora Cyrus Daisy Daniel David Della Diego Dora Edgar Edith Elias Eliza
Ella Elsa Emil Emma Enid Eric Esther Eva Fatima Felix Fiona Flora Frank Freya George Gilbert
Grace Greta Gustav Hanna Harold Hassan Hazel Helen Henry Hilda Hugo Ida Igor Ines Irene Isaac
Ivan Ivy Jack Jacob James Jane Jasper Joan Joel John Jonas Joseph Judith Julia Karim Karl Kate
Kenji Laura Leila Leo Leon Lewis Lily Linda Lola Louis Lucy Luis Lydia Mabel Magnus Marco Maria
Mark Martha Martin Mary Max Maya Miles Milo Mina Mira Mona Nadia Nancy Nathan Nell Nina Noah
Nora Olaf Olga Oliver Omar Oscar Otto Owen Pablo Paul Pearl Peter Petra Philip Priya Quentin
Rachel Ralph Ravi Rita Robert Rosa Rose Rufus Ruth Sally Samir Samuel Sandra Sara Silas Simon
Sofia Stella Susan Tara Theo Thomas Tilda Tom Una Vera Victor Viola Walter Wanda Wendy Wilma
Yara Yusuf Zara Zelda
""".split()

SURNAME_STARTS = """
Ash Bar Beck Black Brad Bren Brook Cald Carl Chil Clif Cor Dal Dar Den Drum Eld Far Fen Fin Fox
Gar Gil Glen Grey Hal Har Hart Haw Hol Hux Ken Kirk Lang Lin Lock Mar Mel Mill Mor Nor Oak Pem
Pen Quin Rad Red Ros Row San Sel Shel Stan Stoke Sum Thorn Tre Van Wal War Wel Whit Wil Win Wood
Yar
""".split()
SURNAME_ENDS = """
berg bridge by combe croft dale den er field ford gate ham hurst ing ington land ley low man
mere mont more ner ney ridge sby sen ski son stead ston ter ton vale well wick win worth
""".split()

ADJECTIVES = """
amber ancient antique big black blue brass broken bronze brown cheap clean copper cracked
crimson crystal curious dark dusty empty faded fancy folded foreign gilded glass golden green
grey heavy hidden huge iron ivory jade large leather light little locked long marble narrow new
old orange oval painted pale pink plain purple red round rusty scarlet shiny short silk silver
small square steel stolen striped tall tin tiny velvet violet white wide wooden yellow
""".split()

THINGS = """
album anchor axe bag ball banner barrel basket bell belt bicycle blanket boat book boot bottle
bowl box bracelet brush bucket button cage camera candle cape carpet chain chair chart chest
clock cloak coat coin compass crate cross crown cup curtain dagger desk diary dish doll drum
envelope fan file flag flask flute folder fork garment globe glove goblet guitar hammer harp hat
helmet horn jacket jar jug kettle key kite knife ladder lamp lantern laptop lens letter locket
lute magnet map mask medal mirror mug necklace needle notebook oar organ paddle painting pan
parcel passport pen pencil phone photo piano pillow pipe plate pot printer pump purse puzzle
quilt radio rake razor ribbon ring robe rope ruler saddle saw scarf sceptre scissors scroll
shawl shield shirt shoe shovel sofa spade spoon stamp statue stool suitcase sword table tablet
tent ticket tie torch toy tray trophy trumpet trunk tunic umbrella vase vest violin wagon wallet
watch wheel whistle wreath
""".split()

PLACES = """
attic bakery balcony bank barn basement bathroom bedroom boathouse cabin cathedral cave cellar
chapel church classroom closet corridor cottage courtyard cupboard dairy drawer farm fireplace
forge fountain gallery garage garden greenhouse hallway harbour hospital hotel inn kitchen
laboratory larder laundry library lighthouse loft market meadow mill monastery museum nursery
office orchard palace pantry park pharmacy pier pond porch prison quarry school shed stable
station studio study tavern temple terrace theatre tower tunnel vault vineyard warehouse
wardrobe workshop yard
""".split()

CITIES = """
Aberdeen Algiers Amman Ankara Athens Baku Bangkok Basel Beirut Belgrade Berlin Bergen Bogota
Boston Bremen Bristol Brussels Budapest Cairo Calcutta Caracas Chicago Cologne Dakar Dallas
Damascus Delhi Denver Dresden Dublin Durban Florence Geneva Genoa Ghent Glasgow Hamburg Hanoi
Havana Helsinki Istanbul Jakarta Karachi Kiev Kyoto Lagos Leeds Lima Lisbon London Lyon Madrid
Malaga Manila Marseille Miami Milan Minsk Montreal Moscow Munich Nairobi Naples Nice Odessa
Osaka Oslo Oxford Palermo Paris Perth Porto Prague Quebec Quito Riga Rome Santiago Seoul Seville
Shanghai Sofia Stockholm Sydney Tampa Tehran Tokyo Toledo Toronto Trieste Tunis Turin Utrecht
Valencia Venice Verona Vienna Warsaw York Zagreb Zurich
""".split()

JOBS = """
accountant actor architect astronomer baker banker barber blacksmith bookseller botanist builder
butcher captain carpenter chemist clerk coach cook dentist designer detective doctor driver
editor electrician engineer farmer fisherman gardener geologist glazier goldsmith guard hunter
janitor jeweller journalist judge lawyer librarian locksmith mason mechanic merchant midwife
miller miner musician notary nurse painter pharmacist photographer physicist pilot plumber poet
porter postman potter priest printer professor programmer sailor sculptor shepherd shoemaker
singer smith soldier surgeon surveyor tailor teacher translator undertaker waiter watchmaker
weaver
""".split()

FOODS = """
almonds apples apricots asparagus bacon bananas beans beef biscuits bread broccoli butter
cabbage cake carrots cheese cherries chicken chocolate coconut cod coffee crab cucumber curry
dates dumplings eggs figs garlic ginger grapes ham herring honey lamb lemons lentils lobster
mango melon milk mushrooms mustard noodles nuts oatmeal olives onions oranges oysters pancakes
pasta peaches pears peas pepper pickles pie pineapple pizza plums porridge potatoes pumpkin
radishes raisins rice salad salmon salt sausages soup spinach squash stew sugar tea toast
tomatoes trout tuna turkey vanilla venison vinegar walnuts yoghurt
""".split()

ANIMALS = """
badger bear beaver canary cat cobra cow crow deer dog dolphin donkey duck eagle falcon ferret
fox frog goat goose hamster hare hawk hedgehog hen horse lizard lynx magpie mole monkey mouse
mule newt otter owl ox panther parrot peacock pig pigeon pony rabbit ram rat raven robin rooster
salamander seal sheep snake sparrow squirrel stork swan tiger toad tortoise turtle weasel wolf
""".split()

COLOURS = """
amber beige black blue brown crimson gold green grey indigo ivory lilac maroon orange pink
purple red scarlet silver turquoise violet white yellow
""".split()

SUBJECTS = """
algebra anatomy archery astronomy botany calligraphy carpentry chemistry chess cooking dancing
drawing economics embroidery fencing gardening geography geology geometry history juggling
knitting law logic medicine music painting philosophy physics poetry pottery rowing sailing
sculpture singing skating sewing swimming tennis theology weaving wrestling
""".split()

LANGUAGES = """
Arabic Basque Bengali Bulgarian Catalan Chinese Croatian Czech Danish Dutch English Estonian
Finnish French Gaelic Georgian German Greek Hebrew Hindi Hungarian Icelandic Irish Italian
Japanese Korean Latin Latvian Malay Mongolian Norwegian Persian Polish Portuguese Romanian
Russian Serbian Spanish Swahili Swedish Tamil Thai Turkish Ukrainian Urdu Vietnamese Welsh Zulu
""".split()

MONTHS = """
January February March April May June July August September October November December
""".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

CURRENCIES = ("dollars", "pounds", "euros")
FIRMS = ("Works", "Bank", "Press", "Mill", "Lines")
TITLES = ("Mr", "Mrs", "Dr", "Captain", "Aunt", "Uncle")
_CODAS = ("", "", "n", "r", "l", "s")

_WILD_KINDS = frozenset(
    "thing place city job food animal colour subject language person first_name object word "
    "value".split()
)
_VALUES = ("thing", "food", "city", "nickname", "code", "count", "colour", "date")
_WILD_NAMES = frozenset(("city", "language", "person", "first_name"))
_WILD_SHARE = 0.5

Maker = Callable[[random.Random], str]


class WordBank:
    """Draws fillers for the slots of a template, from one side of the held-out split.

    Args:
        held_out: Draw only held-out words (`True`) or only training words (`False`).
        wild: Any words at all; every other filler that is a plain word comes from them, so that
            a reader must copy and cannot guess from what usually stands there.
    """

    def __init__(self, *, held_out: bool, wild: Sequence[str] = ()) -> None:
        self.held_out = held_out
        self._wild = [word for word in wild if is_held_out(word, HELD_OUT_WORDS) == held_out]
        self._makers: dict[str, Maker] = {
            "person": self._person,
            "first_name": lambda rng: self._pick(rng, FIRST_NAMES),
            "object": lambda rng: self._pick(rng, THINGS),
            "thing": lambda rng: f"{self._pick(rng, ADJECTIVES)} {self._pick(rng, THINGS)}",
            "place": lambda rng: self._pick(rng, PLACES),
            "city": self._city,
            "job": lambda rng: self._pick(rng, JOBS),
            "food": lambda rng: self._pick(rng, FOODS),
            "animal": lambda rng: self._pick(rng, ANIMALS),
            "colour": lambda rng: rng.choice(COLOURS),
            "subject": lambda rng: self._pick(rng, SUBJECTS),
            "language": lambda rng: self._pick(rng, LANGUAGES),
            "weekday": lambda rng: rng.choice(WEEKDAYS),
            "date": lambda rng: f"{rng.randint(1, 28)} {rng.choice(MONTHS)}",
            "year": lambda rng: str(rng.randint(1700, 2035)),
            "time": lambda rng: f"{rng.randint(1, 12)}:{rng.randrange(0, 60, 5):02d}",
            "code": self._code,
            "count": lambda rng: str(rng.randint(2, 99)),
            "price": lambda rng: (
                f"{rng.randint(2, 950)} {rng.choice(('dollars', 'pounds', 'euros'))}"
            ),
            "nickname": self._invented,
            "word": lambda rng: self._pick(rng, THINGS),
            "value": lambda rng: self.draw(rng, rng.choice(_VALUES)),
            "firm": lambda rng: f"{self._surname(rng)} {rng.choice(FIRMS)}",
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """The slot names that `draw` understands."""
        return tuple(self._makers)

    def draw(self, rng: random.Random, kind: str) -> str:
        """A random filler for a slot of this kind."""
        if self._wild and kind in _WILD_KINDS and rng.random() < _WILD_SHARE:
            return self._any_words(rng, kind)
        return self._makers[kind](rng)

    def _any_words(self, rng: random.Random, kind: str) -> str:
        """Words of the corpus, whatever the slot; things and persons get up to two."""
        count = rng.randint(1, 2) if kind in ("thing", "person") else 1
        words = rng.choices(self._wild, k=count)
        return " ".join(word.capitalize() if kind in _WILD_NAMES else word for word in words)

    def _pick(self, rng: random.Random, words: list[str]) -> str:
        while is_held_out(word := rng.choice(words), HELD_OUT_WORDS) != self.held_out:
            pass
        return word

    def _surname(self, rng: random.Random) -> str:
        while True:
            surname = rng.choice(SURNAME_STARTS) + rng.choice(SURNAME_ENDS)
            if is_held_out(surname, HELD_OUT_WORDS) == self.held_out:
                return surname

    def _person(self, rng: random.Random) -> str:
        first = self._pick(rng, FIRST_NAMES)
        shape = rng.random()
        if shape < 0.5:
            return f"{first} {self._surname(rng)}"
        if shape < 0.65:
            return f"{rng.choice(TITLES)} {self._surname(rng)}"
        return first if shape < 0.9 else self._invented(rng)

    def _city(self, rng: random.Random) -> str:
        return self._pick(rng, CITIES) if rng.random() < 0.7 else self._surname(rng)

    def _invented(self, rng: random.Random) -> str:
        while True:
            syllables = (
                rng.choice("bcdfghjklmnprstvwz")
                + rng.choice("aeiou")
                + rng.choice(("", "", "n", "r", "l", "s"))
                for _ in range(rng.randint(2, 3))
            )
            word = "".join(syllables).capitalize()
            if is_held_out(word, HELD_OUT_WORDS) == self.held_out:
                return word

    def _code(self, rng: random.Random) -> str:
        if rng.random() < 0.6:
            return "".join(rng.choice("0123456789") for _ in range(rng.randint(3, 6)))
        letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(2))
        return f"{letters}{rng.randint(10, 999)}"
