"""supriya: its thread clock, a callback for each part, python-osc to send."""

import time

from common import options, start_busy
from pythonosc.udp_client import SimpleUDPClient
from supriya.clocks import Clock

ask = options()
clock = Clock()
clock.slop = 0.0001


def part(context, client, address):  # type: ignore[no-untyped-def]
    client.send_message(address, [60, 0.8, 0.05])
    return 1 / 16


clock.start(beats_per_minute=240)
for number in range(ask.parts):
    client = SimpleUDPClient("127.0.0.1", ask.port)
    clock.cue(part, quantization="1/4", args=(client, f"/part/{number}/note"))
start_busy(ask.busy)
time.sleep(ask.seconds)
clock.stop()
