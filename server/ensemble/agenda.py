"""The parts of a scene together: in which order they are asked, and how melodies mind the bass."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from server.music.counterpoint import Move, Voice, other, parallel, place
from server.music.note import Step

from .part import ACCOMPANYING, MELODIC, TOPMOST, Part, Trouble


class _Outer:
    """Has melodies that fit (`fit`) take another tone rather than go in parallel with the bass.

    Each note is judged by what was begun before it and at its beat, of parts that are asked in
    its own round or an earlier one, so nothing depends on how far ahead anything is planned. A
    part that its layer or section leaves out is not heard; one that is muted is, for its fader
    may come up at any time. The bass is whoever has that role or, where nobody who has it plays,
    the lowest of those who accompany.
    """

    def __init__(self, rounds: Sequence[Sequence[Part]]) -> None:
        parts = [part for together in rounds for part in together]
        self._bass = [Voice() for _ in rounds]  # as far as each round knows it
        self._basses = frozenset(part.spec.name for part in parts if part.spec.role == "bass")
        self._high = {part.spec.name: Voice() for part in parts if part.spec.role in MELODIC}
        # Of tune and solo the one on top is the melody, wherever it came from.
        self._tops: list[list[Voice]] = []
        known: list[Voice] = []
        for together in rounds:
            tops = [part.spec.name for part in together if part.spec.role in TOPMOST]
            known = [*known, *(self._high[name] for name in tops)]
            self._tops.append(known)

    def lead(self, laid: list[tuple[Part, list[Step]]], turn: int) -> None:
        """Hear the next steps of a round, all up to the same beat, and change those that must."""
        if not self._high:
            return
        low: list[tuple[int, int, int]] = []
        high: list[tuple[int, int, int]] = []
        for nth, (part, steps) in enumerate(laid):
            role = part.spec.role
            bass, tune = role == "bass", role in MELODIC
            if not bass and not tune and role not in ACCOMPANYING:
                continue
            for index, step in enumerate(steps):
                if not step.tones or not part.called(step.beat):
                    continue
                at = place(step.beat)
                if tune:
                    high.append((at, nth, index))
                elif bass or not self._basses & part.setting.bar(step.beat).playing:
                    pitch = min([tone.pitch for tone in step.tones])
                    low.append((at, pitch, at + place(step.length)))
        for at, pitch, until in sorted(low):
            for known in self._bass[turn:]:
                known.deepen(at, pitch, until)
        for at, nth, index in sorted(high):
            self._rise(*laid[nth], index, at, turn)

    def _rise(self, part: Part, steps: list[Step], index: int, at: int, turn: int) -> None:
        """Follow a melody by a step, with another pitch where it must have one."""
        step, voice = steps[index], self._high[part.spec.name]
        pitches = [tone.pitch for tone in step.tones]
        pitch = max(pitches)
        if part.spec.fit:
            changed = self._changed(part, voice, at, step.beat, pitch, turn)
            if changed != pitch:
                steps[index] = part.retuned(step, pitches.index(pitch), changed)
                pitch = changed
        voice.begin(at, pitch)

    def _changed(
        self, part: Part, voice: Voice, at: int, beat: Fraction, pitch: int, turn: int
    ) -> int:
        """The pitch that a melody has instead, or the same."""
        bass = self._bass[turn]
        before, after = bass.before(at), bass.begun(at)
        here = before if after is None else after
        if here is None:
            return pitch
        lowest, raised = here + 1, pitch
        if pitch < lowest:
            raised += 12 * -((pitch - lowest) // 12)
        low = Move(before, after) if before is not None and after is not None else None
        if raised == pitch and (low is None or low.before == low.after):
            return pitch
        own = voice.before(at)
        befores = [] if own is None else [own]
        if part.spec.role in TOPMOST:
            others = (each.before(at) for each in self._tops[turn] if each is not voice)
            befores += [last for last in others if last is not None]
        if raised == pitch and not (
            low and any(parallel(Move(each, pitch), low) for each in befores)
        ):
            return pitch
        found = other(raised, befores, low, part.fitting(beat, raised), lowest)
        return pitch if found is None else found


class Agenda:
    """The parts of a scene and how far they are planned: what falls before this beat?

    The part that leads the harmony is asked first, so that the others know its chords, and a
    part that listens after those it listens to. Melodies that fit make way for the bass.
    Law: the steps do not depend on how the asking is divided.
    """

    def __init__(self, parts: list[Part], begin: Fraction = Fraction(0)) -> None:
        leader = next((part for part in parts if part.has_chords), None)
        if leader is not None:
            leader.leads = True
            leader.setting.coming = leader.next_chord
        waiting = sorted(parts, key=lambda part: part is not leader)
        self._rounds: list[list[Part]] = []
        while waiting:
            there = {part.spec.name for part in waiting}
            free = [part for part in waiting if not there.intersection(part.spec.listens)]
            self._rounds.append(free or waiting[:1])  # parts in a ring hear each other late
            waiting = [part for part in waiting if part not in self._rounds[-1]]
        self.parts = [part for together in self._rounds for part in together]
        self._outer = _Outer(self._rounds)
        self._listeners = {
            part.spec.name: [other for other in parts if part.spec.name in other.spec.listens]
            for part in parts
        }
        self.frontier = begin

    def plan(self, until: Fraction) -> tuple[list[tuple[Part, Step]], list[Trouble]]:
        """Every step that begins before `until` and was not handed out before, part by part."""
        planned: list[tuple[Part, Step]] = []
        troubles: list[Trouble] = []
        for turn, together in enumerate(self._rounds):
            laid = []
            for part in together:
                steps, wrong = part.plan(until)
                laid.append((part, steps))
                troubles += wrong
            self._outer.lead(laid, turn)
            for part, steps in laid:
                planned += [(part, step) for step in steps]
                for listener in self._listeners[part.spec.name]:
                    listener.hear(steps)
        self.frontier = max(self.frontier, until)
        return planned, troubles

    @property
    def finished(self) -> bool:
        return all(part.finished for part in self.parts)
