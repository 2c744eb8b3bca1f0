# mypy: ignore-errors
"""Tells on standard output what the Python client hears, and says what it is asked to."""

import json
import os
import sys
import time

sys.path.insert(0, sys.argv[1])
from componium import Componium

music = Componium(int(os.environ["LISTEN"]), ("127.0.0.1", int(os.environ["SERVER"])))


def told(name, *values):
    print(json.dumps([name, *values]), flush=True)


def heard(address, *values):
    told("heard", address, *values)
    if address == "/componium/section":
        music.say("/tempo", 132, 16.5)
        music.say("/section", "Grün", "bar")
        music.say("/part/a/mute", True)
    if address == "/componium/transport":
        sys.exit()


music.on("*", heard)
music.on("beat", lambda *values: told("beat", *values))
music.on("bar", lambda *values: told("bar", *values))
music.on("note", lambda *values: told("note", *values))
music.on("section/next", lambda *values: told("coming", *values))
music.when("beat", lambda: told("on the beat"))
music.when("bar", lambda: told("on the bar"))
music.say("/ready")
while True:
    music.poll()
    time.sleep(0.001)
