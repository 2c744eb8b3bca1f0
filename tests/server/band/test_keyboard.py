"""What is played at inputs: live notes, answers, chords, themes. In virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Mistake
from server.band.baton import Baton
from server.band.keyboard import STALE, Keyboard, quantised
from server.band.touch import Keys, Phrases, Press, Release
from server.concert.changes import Receipt
from server.concert.journal import Entry, Harmonised, Ported, Pressed
from server.score.inputs import InputSpec, heard_at
from server.score.scene import parse_scene
from server.takes.recorder import TICKS, Take
from server.wire.protocol import Event
from tests.rigs.ears import FakeEars
from tests.server.concert.test_player import check_ledger
from tests.server.model import MS, SECOND, Stage

F = Fraction
LIVE = """
tempo = 120
key = "C major"
[inputs.keys]
midi = "virtual"
[outputs.out]
midi = "synth"
[parts.chords]
engine = "grammar"
rules = "S -> Am F C G"
reading = "chords"
grid = "1/1"
[parts.solo]
engine = "performer"
input = "keys"
channel = 5
"""
ANSWER = """
tempo = 120
[inputs.keys]
midi = "virtual"
[outputs.out]
midi = "synth"
[parts.answer]
engine = "continuator"
listens = ["keys"]
"""
BOTH = (
    LIVE
    + """
[parts.answer]
engine = "continuator"
listens = ["keys"]
input = "keys"
quantise = "1/16"
"""
)
FOLLOW = """
tempo = 120
[inputs.keys]
midi = "virtual"
[outputs.out]
midi = "synth"
[parts.left]
engine = "follow"
listens = ["keys"]
start = "C"
[parts.bass]
engine = "grammar"
rules = "S -> c1"
grid = "1/8"
octave = 3
"""
THEME = """
tempo = 120
phrase = 4
[inputs.keys]
midi = "virtual"
[outputs.out]
midi = "synth"
[themes.mine]
notes = "1:1/1 1:1/1 1:1/1 1:1/1"
[parts.tune]
engine = "theme"
plan = "state state state state"
"""


class Band(Stage):
    """A player in virtual time, and somebody at its keys."""

    def __init__(self, text: str, play: bool = True, horizon: int = 100 * MS) -> None:
        super().__init__(parse_scene(text), horizon=horizon)
        self.alarms: list[int] = []
        self.keyboard = Keyboard(self.player, lambda at: self.alarms.append(at))
        self.ears = FakeEars(self.keyboard.heard, self.keyboard.state, self.keyboard.lost)
        self.keyboard.ears = self.ears
        assert self.player.scene is not None
        self.keyboard.use(self.player.scene.inputs)
        if play:
            self.player.play()

    def go(self, ns: int) -> None:
        """Time passes, with a call of the keyboard whenever it has asked for one."""
        end = self.clock.now() + ns
        while self.clock.now() < end:
            due = min([at for at in self.alarms if at > self.clock.now()] + [end])
            super().go(min(due, end) - self.clock.now())
            self.alarms = [at for at in self.alarms if at > self.clock.now()]
            self.keyboard.wake()

    def press(self, pitch: int, velocity: int = 100) -> None:
        self.ears.play(self.clock.now(), bytes((0x90, pitch, velocity)))

    def release(self, pitch: int) -> None:
        self.ears.play(self.clock.now(), bytes((0x80, pitch, 0)))

    def key(self, pitch: int, ms: int, velocity: int = 100) -> None:
        self.press(pitch, velocity)
        self.go(ms * MS)
        self.release(pitch)

    def of(self, channel: int) -> list[tuple[int, Event]]:
        """Every note that has begun on a channel: when, and its event."""
        return [(at, event) for at, event in self.ons() if event.on[0] == 0x90 | channel - 1]

    def held(self) -> int:
        return len(self.wire.sounding)


# Keys, pedal, phrases -------------------------------------------------------------------------

played = st.lists(
    st.one_of(
        st.tuples(st.just(0x90), st.integers(0, 127), st.integers(0, 127)),
        st.tuples(st.just(0x80), st.integers(0, 127), st.just(0)),
        st.tuples(st.just(0xB0), st.just(64), st.integers(0, 127)),
    ),
    max_size=60,
)


@given(played)
def test_every_press_is_released_once_and_nothing_stays(
    events: Sequence[tuple[int, int, int]],
) -> None:
    keys, down = Keys(), set()
    news = [each for at, data in enumerate(events) for each in keys.hear(at, bytes(data))]
    for each in [*news, *keys.let_go(99)]:
        if isinstance(each, Press):
            assert each.pitch not in down
            down.add(each.pitch)
        else:
            assert each.pitch in down
            down.remove(each.pitch)
    assert not down and not keys.sounding


def test_a_pedal_holds_what_comes_up() -> None:
    keys = Keys()
    said = [
        each
        for data in ((0x90, 60, 9), (0xB0, 64, 127), (0x80, 60, 0), (0xB0, 64, 0))
        for each in keys.hear(0, bytes(data))
    ]
    assert said == [Press(0, 60, 9), Release(0, 60)]


@pytest.mark.parametrize(("gap", "silence"), [(150, 250), (600, 900 - 90), (3000, 2000 - 90)])
def test_a_phrase_ends_by_silence_that_suits_its_pace(gap: int, silence: int) -> None:
    phrases = Phrases()
    for at in range(0, 5 * gap, gap):
        phrases.hear(Press(at * MS, 60, 80))
        assert phrases.ends_at is None
        phrases.hear(Release((at + 90) * MS, 60))
    assert phrases.ends_at == (4 * gap + 90 + silence) * MS
    assert [note.at for note in phrases.take()] == [at * MS for at in range(0, 5 * gap, gap)]
    assert not phrases.playing


# Live notes -----------------------------------------------------------------------------------


@given(st.integers(0, 2999), st.integers(36, 84), st.integers(10, 3000))
@settings(max_examples=30, deadline=None)
def test_a_key_sounds_at_once_and_until_it_comes_up(wait: int, pitch: int, ms: int) -> None:
    band = Band(LIVE)
    band.go(wait * MS)
    pressed = band.clock.now()
    band.press(pitch)
    [(began, event)] = band.of(5)
    assert began == pressed
    band.go(ms * MS)
    assert event.id in band.wire.sounding
    band.release(pitch)
    band.go(10 * MS)
    assert event.id not in band.wire.sounding
    [entry] = [each for each in band.played if each.note.part == "solo"]
    assert entry.duration == pytest.approx(ms / 1000, abs=1e-3)
    assert entry.note.velocity == pytest.approx(100 / 127)


def test_keys_fit_the_chord_on_strong_beats_and_the_key_elsewhere_or_are_left_alone() -> None:
    band = Band(LIVE)
    band.go_to(F(4))  # F major
    band.key(64, 50)
    band.go_to(F(9, 2))
    band.key(61, 50)
    assert [event.on[1] for _, event in band.of(5)] == [65, 60]
    free = Band(LIVE.replace('input = "keys"', 'input = "keys"\nfit = ""'))
    free.go_to(F(4))
    free.key(61, 50)
    assert [event.on[1] for _, event in free.of(5)] == [61]


def test_a_quantised_key_waits_for_its_line_and_is_as_long_as_it_was_held() -> None:
    band = Band(LIVE.replace('input = "keys"', 'input = "keys"\nquantise = "1/8"'))
    band.go_to(F(4))
    band.go(100 * MS)  # of the 250 between lines
    band.key(60, 80)
    band.go(400 * MS)
    [entry] = [each for each in band.played if each.note.part == "solo"]
    assert entry.note.start == F(9, 2)
    assert entry.duration == pytest.approx(0.08, abs=2e-3)
    band.go_to(F(8))
    band.go(20 * MS)  # a little late: it sounds at once
    band.press(60)
    assert band.of(5)[-1][0] == band.clock.now()


@given(st.fractions(0, 64, max_denominator=960), st.sampled_from([F(1), F(1, 2), F(1, 4), F(1, 3)]))
def test_quantising_moves_less_than_a_line(beat: Fraction, grid: Fraction) -> None:
    line = quantised(beat, F(0), grid)
    assert line % grid == 0 and beat - grid / 4 <= line < beat + grid


def test_keys_sound_while_the_transport_stands_and_a_muted_part_is_silent() -> None:
    band = Band(LIVE, play=False)
    band.key(60, 300)
    assert len(band.of(5)) == 1 and not band.held()
    band.player.strip("solo", "mute", True)
    band.key(60, 300)
    assert len(band.of(5)) == 1


def test_what_a_lost_input_held_ends() -> None:
    band = Band(LIVE)
    band.go(SECOND)
    band.ears.play(band.clock.now(), bytes.fromhex("b0407f"))  # pedal
    for pitch in (60, 64, 67):
        band.press(pitch)
    band.release(60)
    on = {event.id for _, event in band.of(5)}
    assert on <= set(band.wire.sounding)
    band.ears.lose()
    band.go(2 * MS)
    assert not on & set(band.wire.sounding)


def test_all_notes_off_and_another_scene_let_go_too() -> None:
    band = Band(LIVE)
    band.press(60)
    band.ears.play(band.clock.now(), bytes.fromhex("b07b00"))
    band.go(2 * MS)
    assert not band.held()
    band.press(62)
    band.keyboard.use({})
    band.go(2 * MS)
    assert not band.held()
    band.press(64)
    band.go(2 * MS)
    assert not band.held(), "nobody listens"


def test_a_cable_is_there_again_with_the_next_scene_that_names_its_input() -> None:
    band = Band(LIVE)
    scene = band.player.scene
    assert scene is not None
    opened = dict(band.ears.opened)
    other = {"pads": InputSpec("pads", "pads of a maker")}
    band.keyboard.use(other)
    assert band.ears.opened.keys() == {*opened, 1}
    band.ears.lose(0)
    band.keyboard.use(scene.inputs)
    assert band.ears.opened == opened, "the port that others have a cable to; no other's"
    told = [(e.output, e.state) for e in band.entries if isinstance(e, Ported)]
    assert told[-1] == ("keys", "waiting"), "it is said how it is"
    band.press(60)
    band.go(2 * MS)
    assert band.held()
    for number in range(40):
        band.keyboard.use({f"n{number}": InputSpec(f"n{number}", "virtual")})
    assert len(band.ears.opened) <= 17
    band.keyboard.close()
    assert not band.ears.opened


def test_a_scene_without_inputs_leaves_those_that_were_there_to_knobs_and_programs() -> None:
    band = Band(LIVE)
    claimed: list[bytes] = []

    def claim(name: str, data: bytes) -> bool:
        claimed.append(data)
        return data[0] == 0xC0

    band.keyboard.claims.append(claim)
    opened = dict(band.ears.opened)
    band.keyboard.use({})
    assert band.ears.opened == opened
    band.press(60)
    band.go(2 * MS)
    assert not band.held(), "no scene plays it"
    band.ears.play(band.clock.now(), b"\xc0\x01")
    assert claimed[-1] == b"\xc0\x01"


@pytest.mark.parametrize("how", ["stop", "panic", "mute", "gap"])
def test_a_live_note_that_is_cut_is_over_for_everybody_though_its_key_is_down(how: str) -> None:
    band = Band(LIVE)
    band.go(SECOND)
    band.press(60)
    band.go(300 * MS)
    assert not live(band)
    if how == "mute":
        band.player.strip("solo", "mute", True)
    elif how == "gap":
        band.clock.jump(SECOND)
        band.player.wake()
    else:
        getattr(band.player, how)()
    [(pitch, seconds)] = live(band)
    assert pitch == 60 and seconds == pytest.approx(1.3 if how == "gap" else 0.3, abs=0.01)
    band.go(SECOND)
    band.release(60)
    band.go(SECOND)
    assert len(live(band)) == 1, "it is told once"
    if how != "mute":
        band.press(62)
        band.go(100 * MS)
        band.release(62)
        band.go(SECOND)
        assert [pitch for pitch, _ in live(band)] == [60, 62]


def live(band: Band) -> list[tuple[int, float]]:
    """The live notes that are over, and how many seconds they lasted."""
    return [(e.note.pitch, e.duration) for e in band.played if e.note.part == "solo"]


def test_a_key_that_comes_too_late_is_not_played_and_its_release_is() -> None:
    band = Band(LIVE)
    band.press(60)
    band.clock.jump(SECOND)
    stamp = band.clock.now() - STALE - MS
    band.ears.play(stamp, bytes.fromhex("903e64"))
    band.ears.play(stamp, bytes.fromhex("803c00"))
    band.wire.run()
    [(_, event)] = band.of(5)
    assert event.id in band.wire.over


def test_bends_reach_the_synth_on_the_parts_own_channel() -> None:
    band = Band(LIVE)
    band.ears.play(band.clock.now(), bytes.fromhex("e00050"))
    assert bytes.fromhex("e40050") in [data for _, data, _ in band.wire.sent]


@pytest.mark.parametrize("period", [3, 12, 40])
def test_an_output_that_leads_back_to_its_input_is_noticed_within_a_second(period: int) -> None:
    band = Band(LIVE.replace('input = "keys"', 'input = "keys"\nfit = ""'))
    band.go(SECOND)
    band.press(60)
    heard = 0
    for _ in range(3 * 1000 // period):  # a patch cable
        band.go(period * MS)
        fresh = [(data, e) for _, data, e in band.wire.sent if e.on[:1] == b"\x94"][heard:]
        heard += len(fresh)
        for data, _ in fresh:
            band.ears.play(band.clock.now(), data)
    states = [e.state for e in band.entries if isinstance(e, Ported)]
    assert states == ["open", "muted"]
    assert heard < 80
    band.release(60)
    band.go(2 * SECOND)
    assert not [e for e in band.wire.sounding.values() if e.on[:1] == b"\x94"]
    band.key(62, 20)
    assert [e.state for e in band.entries if isinstance(e, Ported)] == ["open", "muted", "open"]


def test_a_fast_hand_is_no_loop() -> None:
    band = Band(LIVE.replace("channel = 5", 'channel = 1\nfit = ""'))
    for _ in range(60):  # fifteen a second, each as loud, and as the synth hears them
        band.key(60, 30)
        band.go(36 * MS)
    assert len([at for at, event in band.of(1) if event.on == bytes((0x90, 60, 100))]) == 60


def test_a_take_has_long_notes_where_they_were_played() -> None:
    band = Band(LIVE)
    assert band.player.scene is not None
    take = Take(1, "")
    take.begin(band.player.scene.ensemble)
    band.player.journal.add(take.add)
    band.go_to(F(5))
    band.press(60)
    band.go_to(F(25))
    band.release(60)
    band.go_to(F(28))
    file = mido.MidiFile(file=BytesIO(take.file()))
    [track] = [track for track in file.tracks if track.name == "solo"]
    at, notes = 0, []
    for message in track:
        at += message.time
        if message.type in ("note_on", "note_off"):
            notes.append((message.type, at))
    assert notes == [("note_on", 5 * TICKS), ("note_off", 25 * TICKS)]


@given(st.lists(st.sampled_from(("press", "release", "stop", "play", "go")), max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_take_waits_for_no_note_that_has_ended(steps: list[str]) -> None:
    band, entries, down = Band(LIVE), list[Entry](), list[int]()
    assert band.player.scene is not None
    take = Take(1, "")
    take.begin(band.player.scene.ensemble)
    band.player.journal.add(entries.append)
    band.player.journal.add(take.add)
    for number, step in enumerate(steps):
        if step == "press":
            down.append(60 + number)
            band.press(down[-1])
        elif step == "release" and down:
            band.release(down.pop(0))
        elif step == "stop":
            band.player.stop()
        elif step == "play":
            band.player.play()
        band.go(700 * MS)
    for pitch in down:
        band.release(pitch)
    band.player.play()
    settled = len(take.pieces()[-2])
    band.press(30)
    band.key(31, 500)
    band.release(30)
    band.go(10 * SECOND)
    assert len(take.pieces()[-2]) >= settled + 2 * 8, "what has been is settled"
    [track] = [t for t in mido.MidiFile(file=BytesIO(take.file())).tracks if t.name == "solo"]
    ons = [message for message in track if message.type == "note_on"]
    assert len(ons) == sum(isinstance(each, Pressed) for each in entries)


operations = st.one_of(
    st.tuples(st.just("press"), st.integers(58, 66)),
    st.tuples(st.just("release"), st.integers(58, 66)),
    st.tuples(st.just("pedal"), st.integers(0, 127)),
    st.tuples(st.just("go"), st.integers(1, 900)),
    st.tuples(st.sampled_from(["lose", "stop", "play", "resume", "panic", "mute", "all off"])),
    st.tuples(st.just("tempo"), st.integers(40, 300)),
)


@given(st.lists(operations, max_size=40))
@settings(deadline=None)
def test_whatever_is_done_every_note_ends_once_and_nothing_hangs(
    asked: Sequence[tuple[str, int]],
) -> None:
    band = Band(BOTH)
    for what, *rest in asked:
        if what in ("press", "release", "go"):
            {"press": band.press, "release": band.release}.get(what, lambda ms: band.go(ms * MS))(
                *rest
            )
        elif what == "pedal":
            band.ears.play(band.clock.now(), bytes((0xB0, 64, rest[0])))
        elif what == "lose":
            band.ears.lose()
        elif what == "mute":
            band.player.strip("solo", "mute", not band.player.strips()["solo"].mute)
        elif what == "all off":
            band.ears.play(band.clock.now(), bytes((0xB0, 123, 0)))
        elif what == "tempo":
            band.player.tempo(rest[0])
        else:
            getattr(band.player, what)()
    band.ears.lose()
    band.player.stop()
    band.go(10 * MS)
    assert not band.held()
    check_ledger(band, heard=False)


# Answers --------------------------------------------------------------------------------------


def phrase(band: Band) -> None:
    for pitch, velocity in ((60, 40), (64, 70), (67, 90), (72, 110), (67, 60), (64, 50)):
        band.key(pitch, 150, velocity)
        band.go(30 * MS)


def test_a_player_is_answered_in_their_style_once_they_have_stopped() -> None:
    band = Band(ANSWER)
    band.go(SECOND)
    phrase(band)
    stopped = band.clock.now()
    assert not band.ons()
    band.go(3 * SECOND)
    answer = band.ons()
    assert answer, "no answer"
    first = answer[0][0] - stopped
    assert 200 * MS < first <= (250 + 125 + 100 + 5) * MS
    assert {event.on[1] for _, event in answer} <= {60, 64, 67, 72}
    velocities = [event.on[2] for _, event in answer]
    assert min(velocities) < 60 < max(velocities)
    assert {event.on[2] for _, event in answer} <= {40, 50, 60, 70, 90, 110}
    length = answer[-1][1].end - answer[0][1].due
    assert 0.7 < length / (6 * 180 * MS) < 1.3
    heard = len(answer)
    band.go(3 * SECOND)
    assert len(band.ons()) == heard, "it goes on for ever"


def test_it_stops_at_once_when_the_player_begins() -> None:
    band = Band(ANSWER)
    band.go(SECOND)
    phrase(band)
    band.go(900 * MS)
    assert band.ons()
    band.press(48)
    begun = band.clock.now()
    band.go(500 * MS)
    band.release(48)
    assert not [at for at, _ in band.ons() if at > begun]
    assert not band.held()
    band.go(3 * SECOND)
    assert [at for at, _ in band.ons() if at > begun], "it answers again"


@pytest.mark.parametrize("horizon", [40, 60, 100])
def test_answers_do_not_depend_on_the_horizon(horizon: int) -> None:
    def heard(band: Band) -> list[tuple[int, bytes]]:
        start = band.player.timeline.ns_at(F(0))
        band.go_to(F(2))
        phrase(band)
        band.go(2 * SECOND)
        phrase(band)
        band.go(2 * SECOND)
        return [(round((at - start) / MS), event.on) for at, event in band.ons()]

    assert heard(Band(ANSWER, horizon=horizon * MS)) == heard(Band(ANSWER))


# Chords ---------------------------------------------------------------------------------------


def test_the_band_follows_the_chord_that_is_held() -> None:
    band = Band(FOLLOW)
    band.go_to(F(4))
    for pitch in (57, 60, 64, 67):
        band.press(pitch)
    pressed = band.clock.now()
    band.go(2 * SECOND)
    chords = [entry.name for entry in band.entries if isinstance(entry, Harmonised)]
    assert chords == ["C", "Am7"]
    bass = [(at, event.on[1] % 12) for at, event in band.ons()]
    assert {pitch for at, pitch in bass if at < pressed} == {0}
    # A chord's keys, the plan, a look, and the bass's own next eighth.
    assert {pitch for at, pitch in bass if at > pressed + (40 + 100 + 125 + 250) * MS} == {9}


# Themes ---------------------------------------------------------------------------------------


def test_what_is_played_becomes_the_theme_at_the_next_phrase() -> None:
    band = Band(THEME)
    states: list[str] = []
    band.go_to(F(3))
    receipt = band.keyboard.record("mine", 2, told=lambda news: states.append(news.state))
    assert isinstance(receipt, Receipt) and receipt.beat == 12
    band.go_to(F(4) - F(1, 32))  # a little early
    for pitch in (62, 65, 69, 65, 62, 69, 65, 62):
        band.key(pitch, 400)
        band.go(100 * MS)
    band.go_to(F(13))
    assert states == ["armed", "armed"]
    band.go_to(F(32))
    assert states[-1] == "done"
    tune = [e.note for e in band.played if e.note.part == "tune"]
    later = [note.pitch % 12 for note in tune if note.start >= 16]
    assert later[:8] == [2, 5, 9, 5, 2, 9, 5, 2]
    assert {note.pitch % 12 for note in tune if note.start < 16} == {0}


def sung(band: Band, name: str, bars: int = 2) -> tuple[str, str]:
    """Record a bar's worth of quarters and have it taken over; the last receipt."""
    told: list[tuple[str, str]] = []
    band.go_to(F(3))
    band.keyboard.record(name, bars, told=lambda news: told.append((news.state, news.reason)))
    band.go_to(F(4))
    for pitch in (62, 65, 69, 65, 62, 69, 65, 62):
        band.key(pitch, 400)
        band.go(100 * MS)
    band.go_to(F(32))
    return told[-1]


def test_a_new_name_makes_one_more_theme_that_can_be_called_for() -> None:
    band = Band(THEME)
    assert sung(band, "yours")[0] == "done"
    scene = band.player.scene
    assert scene is not None
    assert [each.name for each in scene.themes(scene.seed)] == ["mine", "yours"]
    assert [each.name for each in scene.taught] == ["yours"]
    Baton(band.player).theme("yours")
    band.go_to(F(64))
    tune = [e.note for e in band.played if e.note.part == "tune" and e.note.start >= 48]
    assert [note.pitch % 12 for note in tune[:8]] == [2, 5, 9, 5, 2, 9, 5, 2]


def test_a_theme_has_the_chords_that_the_scene_had_when_it_was_played() -> None:
    state, reason = sung(Band(THEME), "mine")
    assert (state, reason) == ("done", "without chords: nothing in the scene says any")
    led = THEME + (
        '[parts.chords]\nengine = "grammar"\nrules = "S -> ii:1/1 V7:1/2 bVII:1/2 I:1/1 IV:1/1"\n'
    )
    band = Band(led)
    assert sung(band, "mine")[1] == "with its 3 chords"
    scene = band.player.scene
    assert scene is not None
    [theme] = scene.themes(scene.seed)
    assert theme.chords == (("n57", F(2)), ("bVII", F(2)), ("n1", F(4)))


def test_the_chords_of_a_follower_become_the_themes_own() -> None:
    follow = '[parts.left]\nengine = "follow"\nlistens = ["keys"]\nstart = "Am"\n'
    band = Band(THEME + follow)
    assert sung(band, "mine")[1] == "with its 1 chord"
    scene = band.player.scene
    assert scene is not None
    assert scene.themes(scene.seed)[0].chords == (("n6", F(8)),)


def test_a_recording_says_why_it_cannot_be() -> None:
    band = Band(THEME)
    with pytest.raises(Mistake, match="expected at most 32 letters"):
        band.keyboard.record("your own")
    with pytest.raises(Mistake, match="no input is called 'drums'"):
        band.keyboard.record("mine", 4, "drums")
    states: list[tuple[str, str]] = []
    band.keyboard.record("mine", 1, told=lambda news: states.append((news.state, news.reason)))
    band.go(5 * SECOND)
    assert states[-1] == ("refused", "nothing was played")


# Scenes and options ---------------------------------------------------------------------------


def test_options_take_the_place_of_inputs_in_turn() -> None:
    own = {"keys": InputSpec("keys", "virtual", 2), "pads": InputSpec("pads", "virtual")}
    assert heard_at(own, ()) == own
    assert heard_at(own, ("none",)) == {}
    assert heard_at(own, ("nano",)) == {"keys": InputSpec("keys", "nano", 2)}
    assert list(heard_at({}, ("a", "b"))) == ["midi", "midi 2"]
    with pytest.raises(Mistake, match="either none or ports"):
        heard_at(own, ("none", "a"))


def test_a_scene_says_what_is_wrong_with_its_inputs() -> None:
    for wrong, said in (
        (LIVE.replace('input = "keys"', 'input = "kyes"'), "no input is called 'kyes'"),
        (LIVE.replace("[inputs.keys]", "[inputs.solo]"), "an input is called 'solo' too"),
        (LIVE.replace('midi = "virtual"', "channel = 3"), "inputs.keys.midi"),
        (LIVE.replace('midi = "virtual"', 'midi = "virtual"\nchannel = 17'), "1 to 16"),
    ):
        with pytest.raises(Mistake, match=said):
            parse_scene(wrong)
