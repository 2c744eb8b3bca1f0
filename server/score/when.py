"""When a change takes effect: the words for a musical moment, and the beat that they mean.

now                       at once
beat  bar  phrase  section  the next line of that kind
4 bars  2 beats           the next multiple, counted from the scene's beginning
in 3 beats  in 2 bars     the third, the second line of that kind from now
beat 3                    the next third beat of a bar
bar 17                    the line of that bar, which must be to come
cue exit                  the next bar line that the scene's author has given that name
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from engines.base import Mistake
from server.ensemble.setting import Setting
from server.music.meter import MeterMap

UNITS = ("beat", "bar", "phrase", "section")
FARTHEST = 1024  # of any unit
SEEN = 256  # bars within which a section, a phrase or a named place is looked for

_MULTIPLE = re.compile(r"(in )?([0-9]{1,4}) (beat|bar|phrase|section)s?")
_PLACE = re.compile(r"(beat|bar) ([0-9]{1,6})")
_CUE = re.compile(r"cue ([A-Za-z0-9_-]{1,32})")


class When(NamedTuple):
    """A musical moment as it was asked for, in one of the three frames of Unreal's Quartz.

    frame: "now"; "line", the next line that is a multiple of number units since the beginning;
    "ahead", so many units from now; "place", beat or bar of that number; "cue", of that name.
    """

    frame: str
    unit: str = ""
    number: int = 1
    name: str = ""


def parse_when(text: str) -> When:
    """Read the words of this module. Errors: Mistake."""
    if text == "now":
        return When("now")
    if text in UNITS:
        return When("line", text)
    if (found := _MULTIPLE.fullmatch(text)) and 1 <= int(found[2]) <= FARTHEST:
        return When("ahead" if found[1] else "line", found[3], int(found[2]))
    if (found := _PLACE.fullmatch(text)) and int(found[2]):
        return When("place", found[1], int(found[2]))
    if found := _CUE.fullmatch(text):
        return When("cue", name=found[1])
    raise Mistake(
        "when",
        "expected now, beat, bar, phrase, section, such as '4 bars', 'in 2 beats', 'beat 3', "
        f"'bar 17' or 'cue NAME', got {text!r}",
    )


def of_form(when: When) -> bool:
    """Whether the form says where such a moment is."""
    if when.unit == "phrase" and when.frame == "line":
        return when.number == 1  # multiples are counted from the beginning
    return when.frame == "cue" or when.unit in ("phrase", "section")


def beat_of(when: When, near: Fraction, setting: Setting) -> Fraction:
    """The beat of the timeline at which such a moment comes next, at `near` or after it.

    Errors: Mistake where it never comes: no such cue or section to come, a bar that is past.
    """
    if when.frame == "now":
        return near
    begin, meters = setting.begin, setting.meters
    since = max(near, setting.entry) - begin
    if when.unit == "beat":
        return begin + _beat(when, since, setting)
    bar = meters.bar_at(meters.next_bar(since)).bar
    if when.frame == "cue":
        return setting.beat_of_bar(_cue(when.name, bar, setting))
    if when.frame == "place":
        if when.number < bar:
            raise Mistake("when", f"bar {when.number} is past; the next one is {bar}")
        return setting.beat_of_bar(when.number)
    if when.unit == "bar":
        if when.frame == "ahead":
            return setting.beat_of_bar(bar + when.number - (meters.next_bar(since) > since))
        return setting.beat_of_bar(1 + -(-(bar - 1) // when.number) * when.number)
    return setting.beat_of_bar(_line(when, bar, setting))


def _beat(when: When, since: Fraction, setting: Setting) -> Fraction:
    meters = setting.meters
    if when.frame == "place":
        place = meters.bar_at(since)
        for bar in range(place.bar, place.bar + SEEN):
            line = meters.beat_of_bar(bar)
            meter = meters.bar_at(line).meter
            beat = line + (when.number - 1) * meter.beat_length
            if when.number <= meter.beats and beat >= since:
                return beat
        raise Mistake("when", f"no bar to come has a beat {when.number}")
    first = meters.next_beat(since)
    count = meters.beats_before(first)
    if when.frame == "ahead":
        return _beat_number(meters, count + when.number - (first > since))
    return _beat_number(meters, -(-count // when.number) * when.number)


def _beat_number(meters: MeterMap, count: int) -> Fraction:
    """The beat before which so many beats of their bars lie."""
    for (bar, cycle), after in zip(meters.changes, [*meters.changes[1:], None], strict=True):
        beats = sum(meter.beats for meter in cycle)
        rounds, rest = divmod(count, beats)
        number = bar + rounds * len(cycle)
        for meter in cycle:
            if rest < meter.beats:
                break
            rest, number = rest - meter.beats, number + 1
        if after is None or number < after[0]:
            line = meters.beat_of_bar(number)
            return line + rest * meters.bar_at(line).meter.beat_length
        here = meters.beat_of_bar(after[0])
        count -= meters.beats_before(here) - meters.beats_before(meters.beat_of_bar(bar))
    raise AssertionError("the last metre goes on for ever")


def _line(when: When, bar: int, setting: Setting) -> int:
    """The bar that opens a phrase or section, the number-th from here or a multiple."""
    if when.unit == "phrase" and when.frame == "line" and when.number > 1:
        every = when.number * setting.phrase
        return 1 + -(-(bar - 1) // every) * every
    wanted = when.number
    for number in range(bar, bar + SEEN):
        if setting.conductor.opens(when.unit, number) and not (wanted := wanted - 1):
            return number
    raise Mistake("when", f"no {when.unit} begins within {SEEN} bars")


def _cue(name: str, bar: int, setting: Setting) -> int:
    for number in range(bar, bar + SEEN):
        if name in setting.conductor.cues(number):
            return number
    raise Mistake("when", f"no place called {name!r} comes within {SEEN} bars")
