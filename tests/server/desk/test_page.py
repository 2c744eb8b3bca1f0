"""The page in a real browser, before a real server: seen, pressed, heard."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession
from pythonosc.udp_client import SimpleUDPClient

from server.desk.keys import read_token
from tests.rigs.browser import Browser, browser
from tests.rigs.need import need

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

SCENE = """
title = "Page"
tempo = 240
phrase = 2
seed = 7

[form]
plan = "One Two One Two"
[form.sections.One]
bars = 64
[form.sections.Two]
bars = 64

[[mood.points]]
x = 0
y = 0
mood = "sad"
reach = 30

[[mood.points]]
name = "the cellar"
x = 60
y = 10
mood = [-0.2, -0.6]
reach = 30

[parts.tune]
engine = "grammar"
rules = '''
S -> (2) Up | (1) Down
Up -> C E G Rest
Down -> G E C Rest
'''
grid = "1/4"
program = 12

[parts."low drums"]
engine = "grammar"
rules = "S -> Kick Snare"
grid = "1/2"
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


class Play:
    """`componium play` of a scene, which may be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.http, self.control = folder, free_port(), free_port()
        self.scene = folder / "page.toml"
        self.scene.write_text(SCENE)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server.cli", "play", str(self.scene), "--midi", "none"),
            *("--http", str(self.http), "--control", str(self.control), "--quiet"),
            env={**os.environ, "XDG_CONFIG_HOME": str(self.folder)},
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with ClientSession() as session, asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    async with session.get(f"{self.url}/componium/play") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def token(self) -> str:
        return read_token(self.folder / "componium" / "token")

    def tell(self, address: str, *args: object) -> None:
        """Change something from elsewhere."""
        SimpleUDPClient("127.0.0.1", self.control).send_message(f"/componium{address}", args)


@pytest.fixture
async def play(tmp_path: Path) -> AsyncIterator[Play]:
    need("chromium", "chromium")
    folder = tmp_path / "play"
    folder.mkdir()
    playing = Play(folder)
    await playing.start()
    yield playing
    await playing.end()


@pytest.fixture
async def page(play: Play, tmp_path: Path) -> AsyncIterator[Browser]:
    """The page, opened by the link that `play` prints."""
    folder = tmp_path / "chromium"
    folder.mkdir()
    async with browser(need("chromium", "chromium"), folder) as tab:
        await tab.size(1440, 900)
        await tab.open(f"{play.url}/#{play.token}")
        await tab.until("window.componium?.rules.addresses?.size && componium.pulse.last && 1")
        yield tab


def text(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})?.textContent"


def strip(part: str, inner: str = "") -> str:
    return f".strip[data-part='{part}'] {inner}"


async def test_it_opens_without_complaint_wipes_the_token_and_shows_the_music(
    page: Browser, play: Play
) -> None:
    assert await page.ask("location.hash") == ""
    assert await page.ask(text("#title")) == "Page"
    assert await page.until(text("#section")) == "One"
    assert await page.ask("document.querySelectorAll('.strip').length") == 2
    assert "Marimba" not in await page.ask(text(strip("tune", ".what")))
    assert "Vibraphone" in await page.ask(text(strip("tune", ".what"))), "programs count from 1"
    assert await page.ask("!document.querySelector('.fieldbox').hidden")
    words = await page.ask(
        "[...document.querySelectorAll('.words button')].map(b => b.textContent)"
    )
    assert set(words) >= {"happy", "angry", "tender"} and len(words) == 9
    await page.until("componium.roll.seen?.length > 3")
    before = await page.ask(text("#place"))
    await page.until(f"{text('#place')} !== {json.dumps(before)}")
    assert page.errors == []


@pytest.mark.parametrize(
    ("width", "height"),
    [(320, 844), (390, 844), (667, 375), (800, 844), (844, 390), (1280, 844)],
)
async def test_nothing_is_wider_than_the_screen_and_all_can_be_touched(
    page: Browser, width: int, height: int
) -> None:
    await page.size(width, height, mobile=width < 800 or height < 500)
    await page.ask("document.querySelector('.who').click()")
    if height < 500:  # the head at its fullest
        await page.ask("document.querySelector('.band').hidden = false")
        await page.ask("document.querySelector('#continue').hidden = false")
    for tab in ("mood", "launch", "parts", "rules", "rig"):
        await page.ask(f"document.querySelector('[data-to={tab}]').click()")
        beyond = (
            "[...document.querySelectorAll('body *')].filter(e => e.offsetWidth && !e.closest("
            f"'.editor, .unseen, .skip') && e.getBoundingClientRect().right > {width} + 0.5)"
            ".map(e => e.outerHTML.slice(0, 120))"
        )
        assert await page.ask(beyond) == [], tab
        across = (
            "[...document.querySelectorAll('.panel')].filter(p => p.offsetWidth).flatMap(p =>"
            " [...p.querySelectorAll('*')].filter(e => e.offsetWidth"
            " && !e.closest('.editor, .unseen')"
            " && e.getBoundingClientRect().right > p.getBoundingClientRect().right + 0.5))"
            ".map(e => e.outerHTML.slice(0, 120))"
        )
        assert await page.ask(across) == [], f"{tab}: into the panel beside it"
        small = await page.ask(
            "[...document.querySelectorAll('button, select, input')].filter(e => e.offsetWidth)"
            ".filter(e => { const b = e.getBoundingClientRect(); return b.height < 43.5; })"
            ".map(e => e.outerHTML)"
        )
        assert small == [], tab
        nameless = await page.ask(
            "[...document.querySelectorAll('button, input, select, textarea')].filter(e =>"
            " !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"
        )
        assert nameless == []


async def test_on_a_phone_that_lies_on_its_side_the_panel_is_beside_the_music(
    page: Browser,
) -> None:
    await page.size(844, 390, mobile=True)
    assert await page.ask("document.documentElement.scrollHeight") == 390
    head, stage = (f"document.querySelector('{each}').offsetHeight" for each in (".top", "#roll"))
    assert await page.ask(head) <= 60
    assert await page.ask(stage) > 150
    for tab in ("mood", "launch", "parts", "rules", "rig"):
        await page.ask(f"document.querySelector('[data-to={tab}]').click()")
        seen = (
            f"(() => {{ const b = document.querySelector('#{tab}').getBoundingClientRect();"
            " return [b.left, b.top, b.width]; })()"
        )
        left, top, wide = await page.ask(seen)
        assert left > 250 and top < 70 and wide > 400, tab
    assert await page.ask("document.querySelector('main').clientHeight") > 300


async def test_a_strip_is_a_row_that_opens_to_all_that_there_is(page: Browser) -> None:
    for width in (390, 820, 1366):
        await page.size(width, 844, mobile=width < 800)
        await page.ask("document.querySelector('[data-to=parts]').click()")
        for part in ("tune", "low drums"):
            high = f'document.querySelector("{strip(part)}").offsetHeight'
            assert await page.ask(high) <= 56, f"ten of them at {width}"
            for what in (".mute", ".solo", ".level input", ".symbol"):
                inner = f'document.querySelector("{strip(part, what)}").offsetWidth'
                assert await page.ask(inner) > 40, what
    density = f'document.querySelector("{strip("tune", ".density input")}").offsetWidth'
    assert not await page.ask(density)
    await page.ask(f'document.querySelector("{strip("tune", ".who")}").focus()')
    await page.key("Enter", "\r")
    await page.until(density)
    assert await page.ask(f'document.querySelector("{strip("tune", ".who")}").ariaExpanded')
    assert not await page.ask(
        f'document.querySelector("{strip("low drums", ".rest")}").offsetWidth'
    )


async def test_a_swipe_over_a_fader_scrolls_and_a_drag_goes_on_from_where_it_stands(
    page: Browser,
) -> None:
    await page.size(390, 500, mobile=True)
    await page.call("Emulation.setTouchEmulationEnabled", enabled=True)
    await page.ask("document.querySelector('[data-to=parts]').click()")
    await page.ask(f'document.querySelector("{strip("tune", ".who")}").click()')
    fader = f'document.querySelector("{strip("tune", ".level input")}")'
    level = "componium.store.get('/componium/part/tune/level')"

    async def swipe(to_x: int, to_y: int) -> None:
        """From the fader's left end, in small steps."""
        await page.ask(f"{fader}.scrollIntoView({{block: 'center'}})")
        x, y = await page.ask(
            f"(() => {{ const b = {fader}.getBoundingClientRect();"
            " return [b.x + b.width * 0.2, b.y + b.height / 2]; })()"
        )

        async def touch(kind: str, *where: float) -> None:
            points = [{"x": where[0], "y": where[1]}] if where else []
            await page.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

        await touch("touchStart", x, y)
        for n in range(1, 11):
            await touch("touchMove", x + to_x * n / 10, y + to_y * n / 10)
        await touch("touchEnd")

    before = await page.ask("scrollY")
    await swipe(0, -120)
    await page.until(f"scrollY !== {before}")
    await swipe(4, 120)
    assert await page.ask(f"{fader}.value") == "1"
    assert await page.ask(level) == 1
    await swipe(40, 0)
    moved = await page.ask(f"{fader}.valueAsNumber")
    wide = await page.ask(f"{fader}.clientWidth")
    assert moved == pytest.approx(1 + 2 * 30 / wide, abs=0.2), "from where it stood, no jump"
    await page.until(f"{level} === {moved}")
    assert page.errors == []


LEGIBLE = """
(() => {
  const pad = document.querySelector(".pad").getBoundingClientRect();
  const rect = (e) => {
    const range = document.createRange();
    range.selectNodeContents(e);
    const { left, right, top, bottom } = range.getBoundingClientRect();
    return { text: e.textContent, left, right, top: top + 2, bottom: bottom - 2 };
  };
  const [x, y] = [pad.left + pad.width / 2, pad.top + pad.height / 2];
  const labels = [...document.querySelectorAll(".pad .words button, .pad .axis")].map(rect);
  labels.push({ text: "upright", left: x, right: x + 1, top: pad.top, bottom: pad.bottom });
  labels.push({ text: "level", left: pad.left, right: pad.right, top: y, bottom: y + 1 });
  const beyond = (a) =>
    a.left < pad.left || a.right > pad.right || a.top < pad.top || a.bottom > pad.bottom;
  const meet = (a, b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const line = ({ text }) => ["upright", "level"].includes(text);
  const met = labels.filter(beyond).map((a) => [a.text]);
  labels.forEach((a, n) => {
    for (const b of labels.slice(0, n)) {
      if (meet(a, b) && !(line(a) && line(b))) met.push([a.text, b.text]);
    }
  });
  return met;
})()
"""


async def test_moods_can_be_read_and_none_strikes_another_through(page: Browser) -> None:
    for width, height in ((390, 844), (844, 390), (667, 375), (820, 1180), (1366, 768)):
        await page.size(width, height, mobile=width < 800)
        await page.ask("document.querySelector('[data-to=mood]').click()")
        await page.until(f"{LEGIBLE.strip()}.length === 0")


CROWD = """
[mood.words]
wonder = [0.35, -0.35, 0.2]
dread = { word = "tense", tension = 0.8 }
"""


async def test_a_small_pad_with_many_moods_can_be_read_too(page: Browser, play: Play) -> None:
    play.scene.write_text(SCENE + CROWD)
    await page.until("document.querySelectorAll('.pad .words button').length === 11")
    for width, height in ((320, 568), (667, 375), (844, 390)):  # pads of some 250 px
        await page.size(width, height, mobile=True)
        await page.ask("document.querySelector('[data-to=mood]').click()")
        await page.until(f"{LEGIBLE.strip()}.length === 0")
        word = "getComputedStyle(document.querySelector('.pad .words button'))"
        assert await page.ask(f"parseFloat({word}.fontSize)") >= 12


async def test_places_have_names_and_the_player_is_shown_once_he_is_somewhere(
    page: Browser, play: Play
) -> None:
    named = await page.ask("document.querySelector('.field').ariaLabel")
    assert "sad, the cellar" in named
    assert "touch the map" in await page.ask(text(".fieldbox .hint"))
    play.tell("/listener", 59.96, 10.0)
    await page.until("document.querySelector('.fieldbox .hint').hidden")
    assert await page.ask(text(".fieldbox .said")) == "60, 10"


async def test_ports_that_fare_alike_say_why_once(page: Browser) -> None:
    await page.ask(
        "for (const part of ['one', 'two', 'three']) componium.rig.port({ output: 'midi', part,"
        " state: part === 'two' ? 'open' : 'lost', why: part === 'two' ? '' : 'no MIDI here' })"
    )
    rows = "[...document.querySelectorAll('.ports li')].map(e => e.textContent)"
    assert await page.ask(rows) == ["midi no MIDI hereone, three", "midi opentwo"]
    await page.ask(
        "for (const part of ['one', 'three']) componium.rig.port({ output: 'midi', part,"
        " state: 'closed', why: 'kept' })"
    )
    assert await page.ask(rows) == ["midi opentwo"], "those of scenes before are not of this one"


CONTRAST = """
(() => {
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const seen = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (front, back) => {
    const [, , , share] = front;
    return [0, 1, 2].map((n) => front[n] * share + back[n] * (1 - share));
  };
  const linear = (c) => (c <= 10.31475 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const up = (e) => (e ? [...up(e.parentElement), e] : []);
  const weak = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    if (!text || !e.offsetWidth || e.closest(".unseen, .skip, :disabled, option, dialog")) continue;
    const style = getComputedStyle(e);
    const grounds = up(e).map((x) => seen(getComputedStyle(x).backgroundColor));
    const back = grounds.reduce((below, front) => over(front, below), [255, 255, 255]);
    const ink = seen(style.color);
    ink[3] *= up(e).reduce((o, x) => o * Number(getComputedStyle(x).opacity), 1);
    const [more, less] = [light(over(ink, back)), light(back)].sort((a, b) => b - a);
    const ratio = (more + 0.05) / (less + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) weak.push([text, ratio]);
  }
  return weak;
})()
"""


@pytest.mark.parametrize("dark", [True, False])
async def test_every_text_stands_out_from_its_ground(page: Browser, dark: bool) -> None:
    """By WCAG 2.2, level AA."""
    await page.size(1280, 800, dark=dark)
    for tab in ("parts", "rules", "rig"):
        await page.ask(f"document.querySelector('[data-to={tab}]').click()")
        assert await page.ask(CONTRAST) == [], tab


async def test_who_leads_is_seen_and_chosen(page: Browser, play: Play) -> None:
    await page.ask("document.querySelector('[data-to=rig]').click()")
    said, source = text(".leader strong"), "componium.store.get('/componium/sync')"
    assert await page.until(said) == "Componium leads"
    await page.click(".choice[aria-label='Who leads the tempo'] [data-value=midi]")
    await page.until(f"{source} === 'midi'")
    assert await page.until(f"{said}.startsWith('waiting') && {said}") == "waiting for a clock"
    await page.until(f"{text('#pace')}.endsWith('midi waiting')")
    play.tell("/sync", "internal")
    await page.until(f"{said} === 'Componium leads'")
    checked = 'document.querySelector("[data-value=internal][role=radio]").ariaChecked'
    assert await page.ask(checked) == "true"
    await page.click("[aria-label='5 ms later']")
    await page.until(f"{text('.nudge output')} === '+5 ms'")
    assert page.errors == []


async def test_a_control_is_learnt_by_keys_alone(page: Browser) -> None:
    await page.ask("document.querySelector('[data-to=rig]').click()")
    await page.ask("document.querySelector('.learning').focus()")
    await page.key("Enter", "\r")
    await page.until("document.body.classList.contains('learns')")
    tempo = "componium.store.get('/componium/nudge')"
    await page.ask("document.querySelector(\"[aria-label='5 ms later']\").focus()")
    await page.key("Enter", "\r")
    await page.until(f"{text('#notice')}?.includes('/componium/nudge')")
    assert await page.ask(tempo) == 0, "what is to be learnt does nothing itself"


async def test_it_sounds_after_one_click_and_in_time(page: Browser) -> None:
    assert not await page.ask("componium.sound.on")
    await page.click("#listen")
    await page.until("componium.sound.scheduled > 8")
    assert await page.ask("componium.sound.context.state") == "running"
    loud = (
        "(() => { const a = new Float32Array(1024);"
        " componium.sound.meter.getFloatTimeDomainData(a);"
        " return Math.max(...a.map(Math.abs)) > 0.01; })()"
    )
    await page.until(loud)
    bound = await page.ask("componium.sound.voices.size")
    assert 0 < bound <= 56
    # A note is heard when the plan says: its place on the audio clock against the server's.
    off = await page.ask(
        "(() => { const s = componium.sound, at = componium.link.now() + 0.05;"
        " const told = s.context.getOutputTimestamp();"
        " const heard = (s.time(at) - s.delay - told.contextTime) + told.performanceTime / 1000;"
        " return Math.abs(heard - componium.link.here(at)); })()"
    )
    assert off < 0.02
    await page.click("#play")
    await page.until("!componium.pulse.playing")
    await page.until(
        "[...componium.sound.voices.values()].every(v => !v.patch || v.over < Infinity)"
    )
    assert page.errors == []


async def test_it_follows_what_is_changed_elsewhere(page: Browser, play: Play) -> None:
    play.tell("/part/tune/mute", 1)
    await page.until(
        f"document.querySelector(\"{strip('tune', '.buttons .mute')}\").ariaPressed === 'true'"
    )
    play.tell("/tempo", 200)
    await page.until(f"{text('#pace')}.startsWith('200 bpm')")
    play.tell("/section", "Two", "bar")
    await page.until(f"{text('#section')} === 'Two'")
    await page.until(
        "document.querySelector('.launcher[aria-current=true] span').textContent === 'Two'"
    )
    play.tell("/stop")
    await page.until("document.querySelector('#play').ariaLabel === 'Play'")


async def test_what_is_pressed_is_done_and_counted_down(page: Browser, play: Play) -> None:
    await page.click(strip("tune", ".buttons .solo"))
    await page.until(f"document.querySelector(\"{strip('tune', '.solo')}\").ariaPressed === 'true'")
    await page.ask("document.querySelector('.when [data-value=section]').click()")
    launcher = (
        "[...document.querySelectorAll('.launcher')].find(b => b.textContent.startsWith('Two'))"
    )
    await page.ask(f"{launcher}.click()")
    await page.until(f"{launcher}.classList.contains('armed')")
    count = await page.until(f"{launcher}.querySelector('.count').textContent")
    bars, beats = map(int, count.split("·"))
    assert 0 < bars <= 64 and 0 <= beats < 4
    await page.until("document.querySelector('#armed li span')?.textContent === 'section Two'")
    await page.ask(f"{launcher}.click()")  # once more: called off
    await page.until(f"!{launcher}.classList.contains('armed')")
    await page.until("!document.querySelector('#armed li')")


async def test_what_is_over_is_painted_once_and_all_of_it_can_be_found(page: Browser) -> None:
    await page.until("componium.roll.painted.size > 8")
    at_rest = "componium.roll.tiles.size && !componium.roll.moves"
    await page.until(at_rest)
    over = (
        "componium.roll.seen.filter(s => s.note.end < componium.roll.last - 0.1)"
        ".every(s => componium.roll.painted.has(s.note.id))"
    )
    await page.until(over)
    ink = (
        "(() => { const r = componium.roll; const s = r.seen.filter(s => s.left > 20 &&"
        " s.note.end < r.last - 0.1).at(-1); const k = r.ratio;"
        " return r.pen.getImageData((s.left + s.right) / 2 * k, (s.top + s.bottom) / 2 * k, 1, 1)"
        ".data[3]; })()"
    )
    assert await page.ask(ink) > 80, "a note that is over is still to be seen"


async def test_what_is_refused_is_said_where_it_was_pressed(page: Browser) -> None:
    await page.ask("document.querySelector('.when [data-value=now]').click()")
    await page.ask("document.querySelector('.launchers.section .launcher').click()")
    said = await page.until(
        "document.querySelector('.group:has(.launchers.section) .amiss')?.textContent"
    )
    assert "expected a moment on a bar line" in said


async def test_a_mood_is_asked_for_where_the_pad_is_touched(page: Browser) -> None:
    await page.ask("document.querySelector('#mood .choice [data-value=\"0\"]').click()")
    box = await page.ask(
        "(() => { const b = document.querySelector('.pad').getBoundingClientRect();"
        " return [b.x, b.y, b.width]; })()"
    )
    x, y, width = box
    await page.press(x + 0.75 * width, y + 0.25 * width)
    await page.until("Math.abs(componium.store.get('/componium/mood', 0) - 0.5) < 0.02")
    target = await page.until("componium.store.values.get('/componium/mood/target')")
    assert target[:2] == pytest.approx([0.5, 0.5], abs=0.02)
    await page.ask(
        "[...document.querySelectorAll('.words button')].find(b => b.textContent === 'sad').click()"
    )
    await page.until("componium.store.get('/componium/emotion') === 'sad'")
    left, top = await page.ask(
        "(() => { const b = [...document.querySelectorAll('.words button')].find("
        "b => b.textContent === 'tense').getBoundingClientRect();"
        " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    await page.drag(left, top, x + 0.8 * width, y + 0.75 * width)  # from a word on as from anywhere
    await page.until("Math.abs(componium.store.get('/componium/mood', 0) - 0.6) < 0.02")


async def test_a_note_that_is_touched_tells_why(page: Browser) -> None:
    seen = (
        "(() => { const c = document.querySelector('#roll').getBoundingClientRect();"
        " const s = componium.roll.seen?.find(p => p.note.part === 'tune' && p.note.pitch === 64"
        " && p.left > 200 && p.right < c.width * 0.8);"
        " return s && [c.x + (s.left + s.right) / 2, c.y + (s.top + s.bottom) / 2]; })()"
    )
    await page.press(*(await page.until(seen)))
    assert await page.until(text("#why strong")) == "E4"
    assert await page.ask(text("#why .symbol code")) == "E"
    steps = await page.ask(
        "[...document.querySelectorAll('#why .path li')].map(e => e.textContent)"
    )
    assert steps[0] == "S" and steps[-1] in ("C E G Rest", "G E C Rest"), steps
    assert steps[-2] in ("Up", "Down")
    await page.ask("document.querySelector('#roll').focus()")
    await page.key("ArrowLeft")
    await page.until(f"{text('#why .symbol code')} !== 'E' || componium.roll.chosen")


async def test_a_mistake_in_rules_is_shown_at_its_line_and_right_ones_play(
    page: Browser, play: Play
) -> None:
    await page.ask("document.querySelector('[data-to=rules]').click()")
    await page.until("document.querySelector('textarea').value.startsWith('S -> (2) Up')")
    write = (
        "(t => { const e = document.querySelector('textarea'); e.value = t;"
        " e.dispatchEvent(new Event('input'));"
        " document.querySelector('#rules .primary').click(); })"
    )
    wrong = "S -> Up | Down\nUp -> C E G Rest\nDown -> G -> C\n"
    await page.ask(f"{write}({json.dumps(wrong)})")
    said = await page.until(
        "!document.querySelector('.wrong').hidden && document.querySelector('.wrong').textContent"
    )
    assert said.startswith("Line 3"), said
    told = "[...document.querySelectorAll('#rig li')].filter(e => e.textContent.includes('line 3'))"
    await page.until(f"{told}.length")
    assert await page.ask(f"{told}.length") == 1, "one word in the log is enough"
    assert await page.ask("document.querySelector('.mark').dataset.line") == "3"
    await page.ask(f"{write}({json.dumps('S -> A B')})")
    await page.until("document.querySelector('#rules .said').textContent === 'these rules play'")
    await page.until(
        "[...componium.roll.notes.values()].some(n => n.part === 'tune' && n.symbol === 'B')"
    )
    assert "Up" in play.scene.read_text(), "the file stays as it is"
    assert page.errors == []


async def test_rules_that_cannot_be_fetched_are_said_to_be_missing(page: Browser) -> None:
    await page.ask("document.querySelector('[data-to=rules]').click()")
    await page.until("document.querySelector('textarea').value.startsWith('S -> (2) Up')")
    await page.ask("window.fetch_ = fetch; window.fetch = () => Promise.reject(new TypeError())")
    await page.ask("document.querySelector('.picker [data-part=\"low drums\"]').click()")
    await page.until("document.querySelector('.wrong').textContent.includes('not be fetched')")
    assert await page.ask("document.querySelector('textarea').disabled")
    await page.ask("window.fetch = fetch_; document.querySelector('.wrong button').click()")
    await page.until("document.querySelector('textarea').value.startsWith('S -> Kick')")
    assert await page.ask("document.querySelector('.wrong').hidden")
    assert not await page.ask("document.querySelector('textarea').disabled")


async def test_a_whole_scene_is_written_kept_and_played(page: Browser, play: Play) -> None:
    await page.ask("document.querySelector('[data-to=rules]').click()")
    await page.click(".picker [data-part='(whole scene)']")
    await page.until("document.querySelector('textarea').value.includes('title = \"Page\"')")
    assert await page.ask("document.querySelector('.naming input').value") == "page"
    write = (
        "((name, from, to) => { const e = document.querySelector('textarea');"
        " document.querySelector('.naming input').value = name;"
        " e.value = e.value.replace(from, to); e.dispatchEvent(new Event('input'));"
        " document.querySelector('#rules .primary').click(); })"
    )
    await page.ask(f"{write}('other', 'tempo', 'tempi')")
    said = await page.until(
        "!document.querySelector('.wrong').hidden && document.querySelector('.wrong').textContent"
    )
    assert said.startswith("Line 3") and "tempo" in said
    assert not (play.folder / "other.toml").exists()
    await page.ask(f"{write}('../other', 'tempi', 'tempo')")
    await page.until(f"{text('.wrong')}.includes('letters, digits')")
    await page.ask(f"{write}('other', '\"Page\"', '\"Leaf\"')")
    await page.until(f"{text('#title')} === 'Leaf'")
    await page.until("componium.store.get('/componium/scene') === 'other'")
    assert 'title = "Leaf"' in (play.folder / "other.toml").read_text()
    assert play.scene.read_text() == SCENE, "the one that was started stays"
    assert page.errors == []


async def test_a_take_can_be_fetched(page: Browser) -> None:
    await page.ask("document.querySelector('[data-to=rig]').click()")
    await page.click(".record")
    await page.until("document.querySelector('.record').ariaPressed === 'true'")
    await page.until(
        "fetch('/take.mid').then(r => r.arrayBuffer()).then(b =>"
        " new TextDecoder().decode(b.slice(0, 4)) === 'MThd' && b.byteLength > 300)"
    )
    log = await page.ask("fetch('/take.jsonl').then(r => r.text())")
    assert any(json.loads(line)["event"] == "note" for line in log.splitlines())
    assert page.errors == []


async def test_it_survives_the_server(page: Browser, play: Play) -> None:
    await page.click("#listen")
    await page.until("componium.sound.scheduled > 0")
    await play.end()
    await page.until("!document.querySelector('#notice').hidden")
    assert "connection is lost" in await page.ask(text("#notice"))
    assert await page.ask(text(".leader strong")) == "not connected"
    await play.start()
    await page.until(
        "componium.pulse.playing && componium.pulse.last && componium.pulse.last.bar < 60"
    )
    await page.until(f"{text('#notice')} === 'Connected again.'")
    await page.click(strip("tune", ".buttons .mute"))
    await page.until(f"document.querySelector(\"{strip('tune', '.mute')}\").ariaPressed === 'true'")
    scheduled = await page.ask("componium.sound.scheduled")
    await page.until(f"componium.sound.scheduled > {scheduled}")


async def test_keys_play_and_stop_and_stay_out_of_texts(page: Browser) -> None:
    await page.ask("document.activeElement.blur()")
    await page.key(" ", " ")
    await page.until("!componium.pulse.playing")
    await page.key(" ", " ")
    await page.until("componium.pulse.playing")
    await page.key("2", "2")
    await page.until("componium.store.get('/componium/section') === 'Two'")
    await page.ask("document.querySelector('[data-to=rules]').click()")
    await page.ask("document.querySelector('textarea').focus()")
    await page.key(" ", " ")
    assert await page.ask("componium.pulse.playing")
    await page.key("?", "?")
    assert not await page.ask("document.querySelector('#help').open")
    await page.ask("document.activeElement.blur()")
    await page.key("?", "?")
    assert await page.ask("document.querySelector('#help').open")


async def test_who_has_no_token_is_told_and_refused(
    play: Play, tmp_path: Path, need: Callable[[str, str], str]
) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    async with browser(need("chromium", "chromium"), folder) as tab:
        await tab.size(390, 844, mobile=True)
        await tab.open(play.url)
        await tab.until("window.componium?.pulse.last && 1")
        assert "You can see and listen" in await tab.until(text("#notice"))
        await tab.click("#play")
        said = await tab.until("document.querySelector('.transport .amiss')?.textContent")
        assert "may only look" in said
        assert await tab.ask("componium.pulse.playing")


async def test_a_hidden_page_keeps_little_and_catches_up(page: Browser) -> None:
    await page.ask("window.frames_ = 0; requestAnimationFrame = () => 0")  # as where it is hidden
    await page.until("componium.roll.notes.size > 40")
    assert await page.ask(
        "componium.pulse.coming.length <= 64 && componium.pulse.words.length <= 64"
    )
    flood = (
        "(() => { const at = componium.link.now() - 100; for (let n = 0; n < 9000; n++)"
        " componium.roll.plan([{event: 'note', id: `x${n}`, at: at + n / 100, end: at + n / 50,"
        " part: 'tune', pitch: 60, velocity: 0.5, channel: 1}]);"
        " return componium.roll.notes.size; })()"
    )
    assert await page.ask(flood) <= 2501


async def test_a_page_that_is_neither_seen_nor_heard_is_told_little_until_it_is_shown(
    page: Browser, play: Play
) -> None:
    def hidden(is_so: bool) -> str:
        so = str(is_so).lower()
        return (
            f"Object.defineProperty(document, 'hidden', {{value: {so}, configurable: true}});"
            " document.dispatchEvent(new Event('visibilitychange'))"
        )

    await page.until("componium.roll.notes.size > 4")
    await page.ask(
        "window.told = []; componium.link.socket.addEventListener('message',"
        " ({data}) => told.push(...Object.keys(JSON.parse(data))))"
    )
    await page.ask(hidden(True))
    await page.until("told.includes('snapshot')")
    await page.ask("told.length = 0; window.since = componium.link.now()")
    play.tell("/part/tune/level", 0.25)
    await page.until("componium.link.now() > since + 1")  # four beats
    heard = set(await page.ask("told"))
    assert not heard & {"plan", "event", "state", "health", "snapshot"}, heard
    await page.ask(hidden(False))
    await page.until("componium.store.values.get('/componium/part/tune/level')?.[0] === 0.25")
    await page.until("[...componium.roll.notes.values()].some((n) => n.at > componium.link.now())")
    assert await page.ask("componium.pulse.playing")
    await page.click("#listen")
    await page.until("componium.sound.on")
    await page.ask(hidden(True))
    await page.ask("told.length = 0")
    await page.until("told.includes('plan') && told.includes('event')")
    assert not page.errors


async def test_every_sound_and_drum_is_heard_and_none_is_too_loud(page: Browser) -> None:
    render = """(async () => {
        const { Voice } = await import("/page/voices.js");
        const { patchOf } = await import("/page/patches.js");
        const { Kit } = await import("/page/drums.js");
        const loudness = async (make) => {
            const context = new OfflineAudioContext(2, 13230, 22050);
            make(context).out.connect(context.destination);
            const sound = await context.startRendering();
            const both = [...sound.getChannelData(0), ...sound.getChannelData(1)];
            return Math.max(...both.map((each) => (Number.isFinite(each) ? Math.abs(each) : 99)));
        };
        const found = {};
        for (let program = 0; program < 128; program++) {
            found[`program ${program}`] = await loudness((context) => {
                const voice = new Voice(context, patchOf(program), 55, 0.8, 0.01);
                voice.release(0.3);
                return voice;
            });
        }
        for (let key = 35; key <= 82; key++) {
            found[`drum ${key}`] = await loudness((it) => new Kit(it).hit(key, 0.8, 0.01));
        }
        return found;
    })()"""
    found = await page.ask(render)
    assert len(found) == 128 + 48
    assert {name: loud for name, loud in found.items() if not 0.01 < loud < 0.5} == {}
    assert page.errors == []


async def test_a_control_that_is_touched_is_learnt_and_not_moved(page: Browser) -> None:
    await page.ask("document.querySelector('[data-to=rig]').click()")
    await page.click(".learning")
    assert await page.ask("document.body.classList.contains('learns')")
    await page.ask("document.querySelector('[data-to=parts]').click()")
    await page.click(strip("tune", ".buttons .mute"))
    said = await page.until(f"{text('#notice')}.includes('within') && {text('#notice')}")
    assert said.startswith("/componium/part/tune/mute: move a knob or press a pad within")
    assert not await page.ask("document.body.classList.contains('learns')")
    await page.until("document.querySelector('.learning').dataset.state === 'armed'")
    assert await page.ask("componium.store.get('/componium/part/tune/mute')") is False


async def test_what_has_just_sounded_can_be_praised(page: Browser) -> None:
    await page.until("componium.roll.seen?.length > 8")
    good = f'document.querySelector("{strip("tune", ".more [aria-label^=Good]")}")'
    await page.ask(f"{good}.click()")
    await page.until(f"{good}.dataset.state === 'done'")


async def test_looks_and_loudness_are_remembered(page: Browser, play: Play) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = await page.ask(paper)
    await page.click("#theme")
    light = await page.until(f"{paper} !== {json.dumps(dark)} && {paper}")
    await page.click("#listen")
    await page.until("componium.sound.on")
    await page.ask(
        "(() => { const v = document.querySelector('#volume'); v.value = 0.3;"
        " v.dispatchEvent(new Event('input')); })()"
    )
    await page.ask("document.querySelector('#mute').click()")
    await page.open(f"{play.url}/")
    await page.until("window.componium?.sound.volume === 0.3 && componium.pulse.last && 1")
    assert await page.ask("componium.sound.muted")
    assert await page.ask(paper) == light
    assert not await page.ask("componium.sound.on"), "browsers want a touch first"
    await page.click("#title")
    await page.until("componium.sound.on")
    await page.click(strip("tune", ".buttons .mute"))  # the cookie is still there
    await page.until(f"document.querySelector(\"{strip('tune', '.mute')}\").ariaPressed === 'true'")


async def test_a_bend_is_heard_and_so_is_pressure(page: Browser) -> None:
    render = """(async (bent) => {
        const { Sound } = await import("/page/sound.js");
        const context = new OfflineAudioContext(2, 22050, 22050);
        const device = window.AudioContext;
        window.AudioContext = function () { return context; };
        const sound = new Sound({ offset: 0, here: (at) => at });
        sound.build();
        window.AudioContext = device;
        Object.defineProperty(sound, "on", { get: () => true });
        sound.time = (at) => at;
        sound.cast([{ name: "solo", role: "lead", channel: 1, program: 79 }]);
        const items = [{ event: "note", id: "1", at: 0.05, end: 0.95, part: "solo", pitch: 69,
            velocity: 0.9, channel: 1 }];
        if (bent) items.unshift({ event: "bend", at: 0, part: "solo", channel: 1, value: 1 },
            { event: "pressure", at: 0, part: "solo", channel: 1, value: 0 });
        sound.plan(items);
        const data = (await context.startRendering()).getChannelData(0).slice(5000, 18000);
        let crossings = 0;
        for (let n = 1; n < data.length; n++) if (data[n - 1] < 0 && data[n] >= 0) crossings++;
        return (crossings * 22050) / data.length;
    })"""
    plain, bent = await page.ask(f"{render}(false)"), await page.ask(f"{render}(true)")
    assert plain == pytest.approx(440, rel=0.02)
    assert bent / plain == pytest.approx(2 ** (2 / 12), rel=0.02), "two semitones up"
    assert page.errors == []


async def test_a_phone_plays_a_band_of_its_own(page: Browser, play: Play, tmp_path: Path) -> None:
    chooser = "document.querySelector('.band')"
    assert await page.ask(f"{chooser}.hidden"), "nothing to choose where there is one band"
    play.tell("/session/open", "ann", "page", "none")
    await page.until(f"!{chooser}.hidden")
    offered = "[...document.querySelectorAll('#band option')].map(o => o.textContent)"
    assert await page.ask(offered) == ["main band", "ann"]
    await page.ask(
        "document.getElementById('band').value = 'ann',"
        "document.getElementById('band').dispatchEvent(new Event('change'))"
    )
    ready = "window.componium?.rules.addresses?.size && componium.pulse.last && 1"
    await page.until(f"location.search === '?session=ann' && {ready}")
    for width in (320, 390):
        await page.size(width, 844, mobile=True)
        assert await page.ask("document.documentElement.scrollWidth") <= width
    await page.until("document.querySelectorAll('.strip').length === 2")
    await page.until("componium.roll.notes.size > 2")
    tempo = "componium.store.get('/componium/tempo')"
    await page.ask("componium.link.set('/componium/tempo', [97])")
    await page.until(f"{tempo} === 97")
    async with ClientSession() as session:

        async def value(address: str) -> list[object]:
            async with session.get(f"{play.url}/componium/{address}?VALUE") as answer:
                found: list[object] = (await answer.json())["VALUE"]
                return found

        assert await value("tempo") == [240.0], "the other band goes on as it was"
        assert await value("session/ann/tempo") == [97.0]
        await page.ask("document.querySelector('[data-to=rules]').click()")
        await page.ask("componium.rules.open('(whole scene)')")
        await page.until("componium.rules.text.value.includes('title = \"Page\"')")
        await page.ask(
            "componium.rules.name.value = 'anns', componium.rules.text.value ="
            " componium.rules.text.value.replace('title = \"Page\"', 'title = \"Hers\"'),"
            "componium.rules.text.dispatchEvent(new Event('input')),"
            "componium.rules.swap.click()"
        )
        await page.until(f"{text('#title')} === 'Hers'")
        assert await value("session/ann/scene") == ["anns"]
        assert await value("scene") == ["page"]
    assert page.errors == []
    play.tell("/session/close", "ann")
    await page.until(f"{text('#notice')}.includes('no band called ann')")
    play.tell("/session/open", "ann", "page", "none")
    await page.until(f"document.getElementById('notice').hidden && {text('#title')} === 'Page'")
    # A band that goes may just have been asked for something.
    assert [each for each in page.errors if "404" not in each] == []


async def test_whoever_only_looks_may_choose_a_band_and_not_play_it(
    page: Browser, play: Play
) -> None:
    play.tell("/session/open", "bob", "page", "none")
    await page.open(f"{play.url.replace('127.0.0.1', 'localhost')}/?session=bob")
    await page.until("window.componium?.store.get('/componium/tempo') === 240")
    assert await page.ask("document.body.classList.contains('view')")
    await page.ask("componium.link.set('/componium/tempo', [99], r => (window.told = r))")
    assert "needs the role" in await page.until("window.told?.reason")
