"""Times on the command line: every usual form of ISO 8601, and nothing that only looks like one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click
import pytest

from lmos.cli.moments import moment


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("2024", (2024, 1, 1)),
        ("2024-05", (2024, 5, 1)),
        ("2024-05-03", (2024, 5, 3)),
        ("20240503", (2024, 5, 3)),
        ("2024-W18", (2024, 4, 29)),
        ("2024W18", (2024, 4, 29)),
        ("2024-W18-5", (2024, 5, 3)),
        ("2024W185", (2024, 5, 3)),
        ("2020-W53-7", (2021, 1, 3)),
        ("2024-124", (2024, 5, 3)),
        ("2024-366", (2024, 12, 31)),
        ("2024124", (2024, 5, 3)),
        ("2024-05-03T14", (2024, 5, 3, 14)),
        ("2024-05-03T14:30", (2024, 5, 3, 14, 30)),
        ("2024-05-03 14:30", (2024, 5, 3, 14, 30)),
        ("20240503T143005", (2024, 5, 3, 14, 30, 5)),
        ("2024-W18-5T14:30", (2024, 5, 3, 14, 30)),
        ("2024-05-03T14:30:05.25", (2024, 5, 3, 14, 30, 5, 250_000)),
        ("2024-05-03T14:30:05,25", (2024, 5, 3, 14, 30, 5, 250_000)),
        ("2024-05-03T24:00", (2024, 5, 4)),
        ("20241231T240000", (2025, 1, 1)),
    ],
)
def test_a_time_without_an_offset_is_local(text: str, local: tuple[int, ...]) -> None:
    year, month, day, *rest = local
    assert moment(text) == datetime(year, month, day, *rest).timestamp()  # type: ignore[arg-type]


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [
        ("2024-05-03T14:30Z", 14, 30),
        ("2024-05-03t14:30z", 14, 30),
        ("20240503T1430Z", 14, 30),
        ("2024-05-03T14:30:00.000Z", 14, 30),
        ("2024-05-03T14:30+02:00", 12, 30),
        ("2024-05-03T14:30+0530", 9, 0),
        ("2024-05-03T14:30-05", 19, 30),
        ("2024-05-03T14:30\u221205:00", 19, 30),
        ("2024-05-02T24:00Z", 0, 0),
    ],
)
def test_a_time_with_an_offset_is_the_same_everywhere(text: str, hour: int, minute: int) -> None:
    assert moment(text) == datetime(2024, 5, 3, hour, minute, tzinfo=UTC).timestamp()


def test_seconds_stand_behind_an_at() -> None:
    assert moment("@0") == 0
    assert moment("@1714694400") == 1714694400
    assert moment("@1714694400.5") == 1714694400.5
    assert moment("@-86400") == -86400


NO_TIMES = [
    *("", " ", "now", "yesterday", "nan", "inf", "1714694400", "1e9", "5", "-5", "202405", "24"),
    *("24-05-03", "2024-5-3", "2024-13", "2024-02-30", "20240532", "2024-W54", "2024-W00"),
    *("2023-366", "2024-000", "03/05/2024", "3.5.2024", "May 2024", "0000", "10000", "２０２４"),
    *("2024T10:00", "2024-05T10:00", "2024-W18T10:00", "2024-05-03T", "2024-05-03T25:00"),
    *("2024-05-03T24:01", "2024-05-03T2430", "2024-05-03T24:00:01", "2023366"),
    *("2024-05-03T14:3", "2024-05-03T14:30:", "2024-05-03Z", "2024-05-03+02:00"),
    *("2024-05-03T14:30 Z", "2024-05-03T14:30+99:00", "2024-05-03x14:30", "2024\n-05"),
    *("@", "@x", "@1e5", "@nan", "@ 5", "@１"),
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_anything_else_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        moment(text)
    for form in ("2024-05-17", "2024-W20", "@1715900000", repr(text)):
        assert form in str(refused.value)


def test_years_that_no_calendar_has_are_refused() -> None:
    with pytest.raises(click.BadParameter, match="years 1 to 9999"):
        moment("@1000000000000")
