"""Who leads: one transport, one source of tempo at a time, and how the one in use is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from engines.base import Mistake
from server.concert.journal import Entry, Moved, Ported, Synced, Troubled
from server.concert.player import Player
from server.concert.pulses import next_sixteenth
from server.music.timeline import Course
from server.score.sync import SOURCES, SyncSpec, wrong_source
from server.wire.protocol import Heard

from .follower import Follower, State
from .link import Peer, Session
from .tap import Taps

#: The number of the clock's input among those of the ear; those of scenes are lower.
INPUT = 65_535
#: ns for which we look for a session's other members before we believe to be alone.
ALONE = 1_000_000_000
#: ns between two looks at a session, which others may change at any time, and at a clock.
GLANCE, GAZE = 5_000_000, 20_000_000
#: ns between two words about a tempo that moves.
RARELY = 500_000_000
SIXTEENTH = Fraction(1, 4)


class Linked(Protocol):
    """Our place in a Link session; `Peer` is the real one."""

    def session(self) -> Session | None: ...
    def begin(self, beat: Fraction, earliest: int) -> int: ...
    def tempo(self, bpm: float, ns: int) -> None: ...
    def play(self, playing: bool, ns: int) -> None: ...
    def leave(self) -> None: ...


class Sync:
    """The source of tempo, phase and transport of a player; the player's `Leader` where it is not
    the player itself.

    listen: has the clock's input opened, by part of its port's name, or shut, by "".
    join: joins a Link session, given a tempo, a quantum and whether start and stop are shared.
    Laws: a switch of source lets no beat jump; what a source that is not in use says changes
    nothing; stop is never refused, by whoever.
    """

    def __init__(
        self,
        player: Player,
        spec: SyncSpec | None = None,
        listen: Callable[[str], None] = lambda port: None,
        join: Callable[[float, Fraction, bool], Linked] = Peer,
    ) -> None:
        self.player, self.spec = player, spec or SyncSpec()
        self._listen, self._join = listen, join
        self.source = "internal"
        self._follower = Follower()
        self._going = ""  # what waits for the clock's next pulse, or for its place
        self._peer: Linked | None = None
        self._session: Session | None = None
        self._joined = 0
        self._bar = Fraction(4)
        self._gave_up = False
        self._taps = Taps()
        self._said: tuple[object, ...] = ()
        self._said_at = 0
        player.journal.add(self._follow_transport)

    # Which source ---------------------------------------------------------------------------

    def open(self, bars: int = 0) -> None:
        """Use what the spec says, and begin to play as it says. Errors: Mistake.

        At once; with the source's start, where that is followed; else in a Link session as soon as
        we know who is there.  bars: the last one to play; 0 for none.
        """
        source, waits, player = self.spec.source, self.spec.transport, self.player
        with player.still("play"):
            if source == "internal":
                player.note("play", bars=bars)
                player.play(bars or None)
                return
            player.note("lead", source=source, bars=bars)
            player.end_after(bars)
            self.use(source, "start" if source == "link" and not waits else "")
            if source == "midi" and not waits:
                self.have("play")

    def use(self, source: str, going: str = "") -> None:
        """Follow another source from now on: internal, midi, midi:PORT or link.

        going: "start" to begin to play as soon as it is known.  Errors: Mistake.
        """
        name, colon, port = source.partition(":")
        if name not in SOURCES or (colon and name != "midi"):
            raise Mistake("source", wrong_source(source))
        spec = self.spec
        transport = spec.transport if name == spec.source else name == "midi"
        spec = replace(spec, source=name, input=port or spec.input, transport=transport)
        if name == self.source and spec == self.spec:
            return
        player = self.player
        line, now = player.timeline, player.clock.now()
        bpm = line.tempo_at(line.beat_at(now))
        setting = player.setting
        self._bar = setting.place(player.now_beat).meter.length if setting else Fraction(4)
        peer = self._join(bpm, self._bar, spec.transport) if name == "link" else None
        self.close()
        self.spec, self.source, self._peer, self._joined = spec, name, peer, now
        self._follower = Follower(bpm, spec.patience)
        self._going, self._gave_up, self._session = going, False, None
        if name == "midi":
            self._listen(spec.input)
        player.follow(None if name == "internal" else self)
        self._tell(now)

    def close(self) -> None:
        """Leave the session, close the input."""
        if self._peer is not None:
            self._peer.leave()
            self._peer = None
        if self.source == "midi":
            self._listen("")

    # What is said of it -----------------------------------------------------------------------

    @property
    def state(self) -> str:
        """internal: leading; midi: as of `State`; link: joining, alone or linked."""
        if self.source == "midi":
            return str(self._follower.state(self.player.clock.now()))
        if self.source == "link":
            session = self._session
            return "joining" if session is None else "linked" if session.peers else "alone"
        return "leading"

    @property
    def peers(self) -> int:
        """Others in the Link session."""
        return self._session.peers if self._session is not None else 0

    @property
    def bpm(self) -> float:
        """The source's tempo."""
        if self.source == "midi" and self.state != State.WAITING:
            return self._follower.bpm
        if self._session is not None:
            return self._session.course.bpm
        line = self.player.timeline
        return line.tempo_at(line.beat_at(self.player.clock.now()))

    @property
    def error(self) -> float:
        """How late we are now, in ms, against the source; we are on our way to it.

        0 where we lead.
        """
        return -self.player.astray / 1e6 if self.source != "internal" else 0.0

    @property
    def jitter(self) -> float:
        """The standard deviation of a MIDI clock's pulses, in ms."""
        return self._follower.jitter / 1e6 if self.source == "midi" else 0.0

    def _tell(self, now: int) -> None:
        """Tell listeners and outputs what has changed."""
        said = self.source, self.state, self.peers, round(self.bpm, 1)
        if said == self._said or (said[:3] == self._said[:3] and now - self._said_at < RARELY):
            return
        self._said, self._said_at = said, now
        tempo, error = round(self.bpm, 2), round(self.error, 3)
        self.player.announce("/sync", self.source, self.state, tempo, self.peers)
        entry = Synced(self.source, self.state, tempo, self.peers, error)
        self.player.journal.enter(entry)

    # The player's leader ----------------------------------------------------------------------

    @property
    def quantum(self) -> Fraction:
        known = self.source == "link" or (self._follower.running and self._follower.placed)
        return self._bar if known else Fraction(1)

    @property
    def look(self) -> int:
        return GLANCE if self.source == "link" else GAZE

    @property
    def fixed(self) -> str:
        if self.source == "link":
            return ""
        return "the MIDI clock leads; change it there, or send /componium/sync internal first"

    def course(self, now: int) -> Course | None:
        if self._peer is not None:
            course = self._session_course(self._peer, now)
        else:
            self._look_at_clock(now)
            course = self._follower.course()
        self._tell(now)
        return course

    def begin(self, beat: Fraction, earliest: int) -> tuple[int, Fraction]:
        if self._peer is not None:
            if self._session is not None and self._session.playing and self.spec.transport:
                earliest = max(earliest, self._session.start)
            return self._peer.begin(beat, earliest), beat
        course = self._follower.course()
        if course is None:
            return earliest, beat
        near = course.beat_at(earliest)
        theirs = near + (beat - near) % self.quantum
        return course.ns_at(theirs), theirs

    def tempo(self, bpm: float, ns: int) -> None:
        if self._peer is not None:
            self._peer.tempo(bpm, ns)

    # A Link session ---------------------------------------------------------------------------

    def _session_course(self, peer: Linked, now: int) -> Course | None:
        before, session = self._session, peer.session()
        if session is None:
            return None
        if before is None:
            if not session.peers and now - self._joined < ALONE:
                return None
            if not session.peers:  # nobody is there to mind that our beats are the session's
                line, nudged = self.player.timeline, self.player.nudged
                peer.begin(line.beat_at(now), now - nudged)
        self._session = session
        was = before.playing if before is not None else self.player.playing
        if self.spec.transport and session.playing != was:
            self._move(session.playing)
        if before is None and self._going:
            self._going = ""
            self._move(True)
        self._session = peer.session() or session
        return self._session.course

    def _move(self, playing: bool) -> None:
        """Somebody in the session has started or stopped."""
        if playing != self.player.playing:
            self.have("play" if playing else "stop")

    def _follow_transport(self, entry: Entry) -> None:
        """Tell the session when we start or stop."""
        if isinstance(entry, Moved) and self._peer is not None and self.spec.transport:
            playing = entry.state == "playing"
            line = self.player.timeline
            now = self.player.clock.now()
            at = max(now, line.ns_at(entry.moment.beat) - self.player.nudged) if playing else now
            self._peer.play(playing, at)
            if self._session is not None:
                self._session = self._session._replace(playing=playing)

    # A MIDI clock -----------------------------------------------------------------------------

    def heard(self, heard: Heard) -> bool:
        """A message has come in somewhere; whether it was the clock's input and so is done with."""
        if heard.port != INPUT:
            return False
        if self.source != "midi":
            return True
        kind, follower = heard.data[0], self._follower
        if kind == 0xF8:
            follower.pulse(heard.stamp)
            if self._going:
                self._go()
        elif kind == 0xFA:
            follower.start()
            self._place("start")
        elif kind == 0xFB:
            follower.proceed()
            self._place("continue")
        elif kind == 0xFC:
            follower.halt()
            self._going = ""
            if self.spec.transport and self.player.playing:
                self.have("stop")
        elif kind == 0xF2 and not follower.running:
            sixteenths = heard.data[1] | heard.data[2] << 7
            follower.seek(sixteenths)
            if self.spec.transport:
                self.have("seek", sixteenths * SIXTEENTH)
        return True

    def port_state(self, number: int, state: str, why: str) -> bool:
        """What became of an input; whether it is the clock's."""
        if number == INPUT:
            self.player.journal.enter(Ported("clock", state, why))
        return number == INPUT

    def _place(self, going: str) -> None:
        """The clock has said where it is."""
        player = self.player
        if not self.spec.transport:
            player.follow(self)  # to find our place in its bar
            return
        if going == "start" and player.playing:
            self.have("stop")
        if not player.playing:
            self._going = going
            if self._follower.state(player.clock.now()) == State.LOCKED:
                self._go()  # its next pulse is known, so there is time to be there with it

    def _go(self) -> None:
        """Start with the clock."""
        player, course = self.player, self._follower.course()
        if course is None or player.seeking or player.playing:
            return
        going, self._going = self._going, ""
        if going == "start":
            self.have("play", at=course.ns_at(Fraction(0)))
        elif not self._follower.placed:
            self.have("resume")
        else:
            self._continue(course)

    def _continue(self, course: Course) -> None:
        player = self.player
        late = course.beat_at(player.clock.now()) - self._follower.position
        place = self._follower.position + max(late, Fraction(0))
        beat, here = next_sixteenth(place), player.now_beat
        if not -1 <= beat - here <= 1:
            self.have("seek", beat)
            if player.seeking:
                self._going = "continue"
                return
        beat = max(beat, next_sixteenth(player.now_beat))
        self.have("resume", beat, course.ns_at(beat))

    def _look_at_clock(self, now: int) -> None:
        if self._going == "continue" and self._follower.running:
            self._go()
        lost = self._follower.state(now) == State.LOST
        if lost and not self._gave_up and self.spec.lost == "stop" and self.player.playing:
            self._gave_up = True
            self.have("stop")
            self.player.journal.enter(Troubled("sync", "the MIDI clock is lost; stopped"))
        self._gave_up = lost

    def have(self, do: str, beat: Fraction | None = None, at: int | None = None) -> None:
        """Have the transport do what the source says: play, resume, seek or stop."""
        player = self.player
        with player.still("led"):
            player.note("led", do=do, to=None if beat is None else str(beat))
            try:
                if do == "play":
                    player.play(at=at)
                elif do == "resume":
                    player.resume(beat, at)
                elif do == "seek":
                    player.seek(beat or Fraction(0))
                else:
                    player.stop()
            except Mistake as mistake:
                player.journal.enter(Troubled("sync", str(mistake)))

    # By hand ----------------------------------------------------------------------------------

    def tap(self, align: bool) -> str:
        """A tap: from the second on the tempo is theirs; what was made of it. Errors: Mistake.

        align: where we lead, have the beat nearest to the tap come with it.
        """
        player = self.player
        if self.source == "midi":
            raise Mistake("tap", self.fixed)
        now = player.clock.now()
        bpm = self._taps.hear(now)
        if bpm is None:
            return "one more"
        player.tempo(bpm)
        if align and self.source == "internal":
            beat = player.timeline.beat_at(now)
            player.shift(round(float(beat - round(beat)) * 60e9 / bpm))
        return f"{bpm:.4g} bpm"

    def nudge(self, ms: float) -> None:
        """Have everything sound so much later (negative: earlier), whoever leads."""
        self.player.nudge(round(ms * 1e6))
