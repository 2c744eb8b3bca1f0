"""What the page makes of scenes: its own instruments, rendered in Chromium faster than they sound.

The page's modules run as they are, on an audio context without a device, and are told the plan
piece by piece as a page is; so what is measured is what a newcomer hears, limiter and hall too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, NamedTuple

import numpy as np

from engines.base import Mistake
from scripts.listening import scenes
from scripts.listening.audio import Heard, keep, places_table, words_table
from scripts.listening.sound import RATE, Samples, measured, place
from server.band.baton import Baton
from server.concert.clock import JumpClock
from server.concert.player import Player
from server.concert.prompter import Prompter
from server.desk.feed import name_of
from server.ensemble.rack import Rack
from server.score.scene import Scene, overheard
from server.wire.protocol import Event
from tests.rigs.browser import Browser, browser

FOLDER = Path(__file__).parents[2] / "server" / "desk"
AHEAD = 0.1  # s that the page sounds later than the plan says, here: as far as it is told ahead
TAIL = 2.0  # s of hall
RENDER = """
(async ({ parts, told, seconds, rate, ahead, only }) => {
  const { Sound } = await import("/page/sound.js");
  const context = new OfflineAudioContext(2, Math.ceil(seconds * rate), rate);
  window.AudioContext = function () { return context; };
  const sound = new Sound({ offset: 0, here: (at) => at });
  Object.defineProperty(sound, "on", { get: () => true });
  sound.cast(parts);
  sound.build();
  sound.time = (at) => at + ahead;
  let next = 0;
  for (let at = 0.02; at < seconds; at += 0.02) {
    context.suspend(at).then(() => {
      while (next < told.length && told[next].now <= at) {
        const { gone, items } = told[next++];
        sound.forget(gone);
        for (const item of items) if (!only || item.part === only) sound.plan([item]);
      }
      context.resume();
    });
  }
  const buffer = await context.startRendering();
  const both = new Float32Array(buffer.length * 2);
  for (const channel of [0, 1]) {
    const data = buffer.getChannelData(channel);
    for (let n = 0; n < data.length; n++) both[2 * n + channel] = data[n];
  }
  const url = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(new Blob([both]));
  });
  return { late: sound.late, scheduled: sound.scheduled, samples: url.slice(url.indexOf(",") + 1) };
})
"""


class Plan(NamedTuple):
    """What a page is told. told: [{now: s, gone: [id], items: […]}, …], as `docs/web.md` has it."""

    parts: list[dict[str, Any]]
    told: list[dict[str, Any]]
    seconds: float


def plan_of(scene: Scene, word: str, bars: int) -> Plan:
    """What a page would be told of so many bars of a scene in a mood."""
    return asyncio.run(_plan_of(overheard(scene), word, bars))


async def _plan_of(scene: Scene, word: str, bars: int) -> Plan:
    clock, told = JumpClock(), list[dict[str, Any]]()
    prompter = Prompter(clock.now, asyncio.get_running_loop().call_soon)
    prompter.listen(True, False)

    def tell(events: list[Event], gone: list[int]) -> None:
        items = [
            {"id": name_of(event.id), "at": event.due / 1e9, "end": event.end / 1e9}
            | json.loads(b"{" + event.on + b"}")
            for event in events
        ]
        told.append({"now": clock.now() / 1e9, "gone": [*map(name_of, gone)], "items": items})

    prompter.tell = tell
    player = Player(clock, lambda next_id: Rack({"web": prompter}, next_id))
    player.cue(scene)
    if word:
        Baton(player).emotion(word)
    player.play(end_bar=bars)
    await player.run()
    parts = [
        {"name": p.name, "role": p.role, "channel": p.channel, "program": p.program}
        for p in scene.ensemble
    ]
    ends = [item["end"] for each in told for item in each["items"] if item["event"] == "note"]
    return Plan(parts, told, max(ends, default=0.0) + TAIL)


@contextmanager
def modules() -> Iterator[str]:
    """The page's modules, served on this machine; the address."""
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(FOLDER)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/page/icon.svg"
    finally:
        server.shutdown()
        server.server_close()


async def render(tab: Browser, plan: Plan, only: str = "") -> Samples:
    """A plan as the page sounds it. only: this part alone."""
    what = {**plan._asdict(), "rate": RATE, "ahead": AHEAD, "only": only}
    made = await tab.ask(f"{RENDER}({json.dumps(what)})", patience=600)
    if made["late"]:
        raise Mistake("page", f"{made['late']} notes of {made['scheduled']} came too late")
    samples = np.frombuffer(base64.b64decode(made["samples"]), np.float32)
    return samples.astype(np.float64).reshape(-1, 2)


def page_report(
    names: Sequence[str],
    words: Sequence[str],
    seed: int,
    bars: int,
    into: Path | None = None,
    parts: bool = False,
) -> str:
    """Tables for each scene: by word, and the parts in the mix.

    Errors: Mistake where Chromium is missing, or a note came too late.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise Mistake("chromium", "it is not installed (Debian: apt install chromium)")
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
    plans = {
        (name, word): plan_of(scenes.named(name, seed), word, bars)
        for name in names
        for word in words
    }
    heard = asyncio.run(_hear(chromium, plans, into, parts))
    out = [f"The page's own instruments, volume 0.8; {bars} bars, seed {seed}.\n"]
    for name in names:
        own = {word: heard[name, word] for word in words}
        out += [f"{name}:\n", *words_table(own), ""]
        out += [*places_table(own), ""] if parts else []
    return "\n".join(out)


async def _hear(
    chromium: str, plans: dict[tuple[str, str], Plan], into: Path | None, parts: bool
) -> dict[tuple[str, str], Heard]:
    heard = {}
    with modules() as url, TemporaryDirectory() as folder:
        async with browser(chromium, Path(folder)) as tab:
            await tab.open(url)
            await tab.until("document.readyState === 'complete'")
            for (name, word), plan in plans.items():
                mix = await render(tab, plan)
                if into is not None:
                    keep(mix, into / f"page-{name}-{word}.wav")
                alone = [
                    (p["name"], await render(tab, plan, p["name"])) for p in plan.parts if parts
                ]
                places = {part: place(own, mix) for part, own in alone}
                found = {part: each for part, each in places.items() if each is not None}
                heard[name, word] = Heard(measured(mix), [], found)
    return heard
