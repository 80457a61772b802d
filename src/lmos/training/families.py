"""Families of templates: relations, each with paraphrases of its statement and its questions.

Statements and questions of a family share slots, one of which is the answer. Some families are held
out for the benchmark, as a part of the words is. Plain values; knows no words to fill them with.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Paraphrases of one relation: `questions` maps the slot that is asked for to its questions."""

    statements: tuple[str, ...]
    questions: dict[str, tuple[str, ...]]


TRAINING_FAMILIES: tuple[Family, ...] = (
    Family(
        (
            "{person} keeps the {thing} in the {place}.",
            "The {thing} of {person} is in the {place}.",
            "{person} put the {thing} in the {place}.",
            "In the {place} lies the {thing} that belongs to {person}.",
        ),
        {
            "place": (
                "Where is the {thing} of {person}?",
                "Where does {person} keep the {thing}?",
                "In which place is {person}'s {thing}?",
            ),
            "thing": ("What does {person} keep in the {place}?",),
        },
    ),
    Family(
        (
            "The code of the {thing} is {code}.",
            "To open the {thing}, use the code {code}.",
            "{code} is the code of the {thing}.",
        ),
        {"code": ("What is the code of the {thing}?", "Which code opens the {thing}?")},
    ),
    Family(
        (
            "{person}'s phone number is {code}.",
            "You can call {person} at {code}.",
            "The telephone number of {person} is {code}.",
        ),
        {"code": ("What is {person}'s phone number?", "At which number can I call {person}?")},
    ),
    Family(
        (
            "{person} was born on {date}.",
            "{person}'s birthday is on {date}.",
            "The birthday of {person} is {date}.",
        ),
        {
            "date": (
                "When was {person} born?",
                "When is {person}'s birthday?",
                "On which day is the birthday of {person}?",
            )
        },
    ),
    Family(
        (
            "{person} works as a {job} in {city}.",
            "In {city}, {person} is employed as a {job}.",
            "{person} is a {job} and lives in {city}.",
        ),
        {
            "job": (
                "What is the job of {person}?",
                "What does {person} work as?",
                "What is {person}'s profession?",
            ),
            "city": ("In which city does {person} work?", "Where does {person} live?"),
        },
    ),
    Family(
        (
            "{person} loves {food} more than anything.",
            "{person}'s favourite food is {food}.",
            "The favourite food of {person} is {food}.",
        ),
        {
            "food": (
                "What is {person}'s favourite food?",
                "What does {person} love to eat?",
                "Which food does {person} like most?",
            )
        },
    ),
    Family(
        (
            "{person} has a {animal} called {nickname}.",
            "{person}'s {animal} is named {nickname}.",
            "{nickname} is the name of the {animal} of {person}.",
        ),
        {
            "nickname": (
                "What is the name of {person}'s {animal}?",
                "What is {person}'s {animal} called?",
            ),
            "animal": ("What kind of animal is {person}'s {nickname}?",),
        },
    ),
    Family(
        ("{person} painted the {thing} {colour}.", "The {thing} that {person} bought is {colour}."),
        {
            "colour": (
                "What colour is {person}'s {thing}?",
                "Which colour is the {thing} of {person}?",
            )
        },
    ),
    Family(
        (
            "I met {person} at the {place} in {city}.",
            "At the {place} in {city} I ran into {person}.",
            "Yesterday I saw {person} near the {place} in {city}.",
        ),
        {
            "place": ("Where in {city} did I meet {person}?", "Where did I see {person}?"),
            "person": (
                "Whom did I meet at the {place} in {city}?",
                "Who was at the {place} in {city}?",
            ),
            "city": ("In which city did I meet {person}?",),
        },
    ),
    Family(
        (
            "{person} gave me a {thing} on {weekday}.",
            "On {weekday}, {person} gave me a {thing}.",
            "I got a {thing} from {person} on {weekday}.",
        ),
        {
            "thing": ("What did {person} give me?", "What did I get from {person}?"),
            "person": ("Who gave me the {thing}?", "From whom did I get the {thing}?"),
            "weekday": ("On which day did {person} give me the {thing}?",),
        },
    ),
    Family(
        (
            "The meeting with {person} is at {time} on {weekday}.",
            "On {weekday} at {time} I will meet {person}.",
            "My appointment with {person} is on {weekday} at {time}.",
        ),
        {
            "time": ("At what time do I meet {person}?", "When is the meeting with {person}?"),
            "weekday": (
                "On which day is the meeting with {person}?",
                "Which day do I meet {person}?",
            ),
        },
    ),
    Family(
        (
            "{person} paid {price} for the {thing}.",
            "The {thing} cost {person} {price}.",
            "For the {thing}, {person} had to pay {price}.",
        ),
        {
            "price": (
                "How much did {person} pay for the {thing}?",
                "What did the {thing} of {person} cost?",
            ),
            "person": ("Who paid for the {thing}?", "Who bought the {thing}?"),
        },
    ),
    Family(
        (
            "{person1} is married to {person2}.",
            "{person1} married {person2} in {year}.",
        ),
        {
            "person2": ("To whom is {person1} married?", "Who is {person1} married to?"),
            "person1": ("Who is married to {person2}?",),
        },
    ),
    Family(
        (
            "{person} studied {subject} in {city}.",
            "In {city}, {person} learned {subject}.",
            "{person} teaches {subject} in {city}.",
        ),
        {
            "subject": ("What did {person} study?", "Which subject is {person} known for?"),
            "city": ("In which city did {person} study {subject}?",),
        },
    ),
    Family(
        (
            "{person} speaks {language} at home.",
            "The mother tongue of {person} is {language}.",
            "{person} grew up speaking {language}.",
        ),
        {
            "language": (
                "Which language does {person} speak?",
                "What is the mother tongue of {person}?",
            )
        },
    ),
    Family(
        (
            "{person} travelled to {city} in {year}.",
            "In {year}, {person} moved to {city}.",
            "{person} arrived in {city} in {year}.",
        ),
        {
            "city": ("Where did {person} go in {year}?", "To which city did {person} travel?"),
            "year": (
                "In which year did {person} go to {city}?",
                "When did {person} arrive in {city}?",
            ),
        },
    ),
    Family(
        (
            "There are {count} {thing}s in the {place}.",
            "I counted {count} {thing}s in the {place}.",
            "The {place} holds {count} {thing}s.",
        ),
        {
            "count": (
                "How many {thing}s are in the {place}?",
                "How many {thing}s does the {place} hold?",
            )
        },
    ),
    Family(
        (
            "{person1} is the boss of {person2}.",
            "{person2} works for {person1}.",
            "{person2} reports to {person1}.",
        ),
        {
            "person1": ("Who is the boss of {person2}?", "For whom does {person2} work?"),
            "person2": ("Who works for {person1}?", "Who reports to {person1}?"),
        },
    ),
    Family(
        (
            "{person} lost the {thing} in {city}.",
            "In {city}, {person} lost the {thing}.",
            "The {thing} that {person} lost was last seen in {city}.",
        ),
        {
            "city": (
                "Where did {person} lose the {thing}?",
                "In which city did {person} lose the {thing}?",
            ),
            "thing": ("What did {person} lose?", "What did {person} lose in {city}?"),
        },
    ),
    Family(
        (
            "{person}'s nickname is {nickname}.",
            "Friends call {person} {nickname}.",
            "{person} is known as {nickname}.",
        ),
        {
            "nickname": ("What is {person}'s nickname?", "What do friends call {person}?"),
            "person": ("Who is known as {nickname}?", "Whose nickname is {nickname}?"),
        },
    ),
    Family(
        (
            "{firm} was founded by {person} in {year}.",
            "In {year}, {person} founded {firm}.",
            "{person} started {firm} in {year}.",
        ),
        {
            "person": ("Who founded {firm}?", "By whom was {firm} founded?"),
            "year": ("When was {firm} founded?", "In which year was {firm} founded?"),
        },
    ),
    Family(
        (
            "The train to {city} leaves at {time}.",
            "At {time} the train departs for {city}.",
            "Our train for {city} goes at {time}.",
        ),
        {
            "time": (
                "When does the train to {city} leave?",
                "At what time does the train depart for {city}?",
            )
        },
    ),
    Family(
        (
            "{person} is allergic to {food}.",
            "{person} must never eat {food}.",
            "The doctor told {person} to avoid {food}.",
        ),
        {
            "food": (
                "What is {person} allergic to?",
                "What must {person} not eat?",
                "Which food does {person} avoid?",
            )
        },
    ),
    Family(
        (
            "{person1} taught {person2} {subject}.",
            "{person2} learned {subject} from {person1}.",
        ),
        {
            "person1": (
                "Who taught {person2} {subject}?",
                "From whom did {person2} learn {subject}?",
            ),
            "subject": (
                "What did {person1} teach {person2}?",
                "What did {person2} learn from {person1}?",
            ),
        },
    ),
    Family(
        (
            "The password for {firm} is {nickname}{count}.",
            "My password at {firm} is {nickname}{count}.",
        ),
        {"nickname": ("What is the password for {firm}?", "What is my password at {firm}?")},
    ),
    Family(
        (
            "{person} hid a {thing} under the {place} floor.",
            "Under the floor of the {place}, {person} hid a {thing}.",
        ),
        {
            "thing": ("What did {person} hide?", "What is hidden under the floor of the {place}?"),
            "person": ("Who hid the {thing}?", "Who hid something under the floor of the {place}?"),
        },
    ),
)

WILD_FAMILIES: tuple[Family, ...] = (
    Family(
        (
            "The {word} of {person} is {value}.",
            "{person}'s {word} is {value}.",
            "{person} has {value} for a {word}.",
        ),
        {
            "value": (
                "What is the {word} of {person}?",
                "What is {person}'s {word}?",
                "Which {word} does {person} have?",
            )
        },
    ),
    Family(
        (
            "{person} {word}ed the {thing} in {city}.",
            "In {city}, {person} {word}ed the {thing}.",
            "The {thing} was {word}ed in {city} by {person}.",
        ),
        {
            "thing": ("What did {person} {word} in {city}?", "What was {word}ed by {person}?"),
            "person": ("Who {word}ed the {thing}?", "By whom was the {thing} {word}ed?"),
            "city": (
                "Where did {person} {word} the {thing}?",
                "In which city was the {thing} {word}ed?",
            ),
        },
    ),
    Family(
        (
            "The {thing} has {count} {word}s.",
            "There are {count} {word}s on the {thing}.",
            "{count} {word}s belong to the {thing}.",
        ),
        {"count": ("How many {word}s does the {thing} have?", "How many {word}s has the {thing}?")},
    ),
    Family(
        (
            "{person1} {word}s {person2} every {weekday}.",
            "Every {weekday}, {person1} {word}s {person2}.",
            "On {weekday}, {person2} was {word}ed by {person1}.",
        ),
        {
            "weekday": (
                "When does {person1} {word} {person2}?",
                "On which day does {person1} {word} {person2}?",
            ),
            "person1": ("Who {word}s {person2}?",),
            "person2": ("Whom does {person1} {word}?",),
        },
    ),
    Family(
        (
            "The {word} is {colour} and stands in the {place}.",
            "In the {place} stands a {colour} {word}.",
            "A {colour} {word} was seen in the {place}.",
        ),
        {
            "colour": ("What colour is the {word}?", "What colour is the {word} in the {place}?"),
            "place": ("Where is the {word}?", "Where is the {colour} {word}?"),
            "word": ("What stands in the {place}?", "What is {colour} in the {place}?"),
        },
    ),
)
"""Relations of any words at all, for training only: what a question means is in its words, not in
a list of relations that was learned by heart."""

HELD_OUT_FAMILIES: tuple[Family, ...] = (
    Family(
        (
            "{person} left the {thing} behind at the {place}.",
            "The {thing} was left at the {place} by {person}.",
        ),
        {
            "place": (
                "Where did {person} leave the {thing}?",
                "At which place was the {thing} of {person} left?",
            )
        },
    ),
    Family(
        (
            "{person} borrowed the {thing} from the museum in {city}.",
            "From a shop in {city}, {person} borrowed the {thing}.",
        ),
        {
            "thing": ("What did {person} borrow?", "Which object was borrowed by {person}?"),
            "person": ("Who borrowed the {thing}?",),
        },
    ),
    Family(
        (
            "The flight to {city} carries {count} passengers.",
            "{count} passengers took the flight to {city}.",
        ),
        {"count": ("How many passengers were on the flight to {city}?",)},
    ),
    Family(
        (
            "{person} plays chess with a {job} every {weekday}.",
            "Every {weekday}, {person} plays cards with a {job}.",
        ),
        {
            "weekday": (
                "On which day does {person} play?",
                "Which day of the week does {person} play?",
            )
        },
    ),
    Family(
        (
            "{person} wants to become a {job} one day.",
            "When grown up, {person} hopes to be a {job}.",
        ),
        {"job": ("What does {person} want to become?", "What does {person} hope to be?")},
    ),
)
