// The piano roll: what sounds, in time with the server's clock, and why.

import { drumName, noteName } from "./names.js";
import { $, h } from "./ui.js";

const KEPT = 2500; // notes
const PAST = 90; // s
const DRUMS = 10;
const NOW = 0.84; // share of the width that is past
const REACH = 14; // px round a tap
const TILE = 256; // px of time that are painted once and then only moved
const SLACK = 4; // semitones of room that are left as they are when what needed them has gone
const STILL = 0.04; // semitones from where it is going at which the view stands

export class Roll {
  constructor(store, pulse) {
    this.store = store;
    this.pulse = pulse;
    this.canvas = $("roll");
    this.pen = this.canvas.getContext("2d");
    this.notes = new Map();
    this.marks = []; // { at, text, kind }
    this.bars = new Map(); // { at, bar } by id
    this.colours = new Map();
    this.low = 48;
    this.high = 84;
    this.rows = [];
    this.tiles = new Map(); // pictures of what is over, by their place in time
    this.painted = new Set(); // ids of what is on them
    this.look = null; // what they were painted for
    this.stirred = true; // whether there is something new to draw
    this.visible = true;
    this.chosen = null;
    this.last = null;
    this.ink = {};
    this.quiet = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.measure()).observe(this.canvas);
    new IntersectionObserver((all) => (this.visible = all.at(-1).isIntersecting)).observe(this.canvas);
    this.canvas.addEventListener("pointerdown", (event) => this.tap(event));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.measure();
  }

  measure() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = (this.ratio = Math.min(devicePixelRatio || 1, 2));
    this.width = clientWidth;
    this.height = clientHeight;
    this.canvas.width = Math.max(clientWidth * ratio, 1);
    this.canvas.height = Math.max(clientHeight * ratio, 1);
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.speed = Math.min(Math.max(clientWidth / 9, 58), 150);
    this.tile = Math.round(TILE * ratio) / ratio; // whole pixels of the screen
    this.dye();
  }

  /** Read the colours of the theme. */
  dye() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "soft", "line", "lamp", "sheet", "serif", "sans"]) {
      this.ink[name] = style.getPropertyValue(`--${name}`).trim();
    }
    this.ink.light = style.getPropertyValue("--part-light").trim();
    this.ink.chroma = style.getPropertyValue("--part-chroma").trim();
    this.colours.clear();
    this.wipe();
  }

  /** Have all be painted anew. */
  wipe() {
    this.tiles.clear();
    this.painted.clear();
    this.look = null;
    this.stirred = true;
  }

  /** A note keeps the colour that its part had, whatever scene comes. */
  colour(note) {
    const hue = (note.hue ??= this.hues?.get(note.part)) ?? 70;
    if (!this.colours.has(hue)) this.colours.set(hue, `oklch(${this.ink.light} ${this.ink.chroma} ${hue})`);
    return this.colours.get(hue);
  }

  cast(hues) {
    this.hues = hues;
    this.wipe();
  }

  plan(items) {
    this.stirred = true;
    for (const item of items) {
      if (item.event !== "note") continue;
      const known = this.notes.get(item.id);
      if (known && known.at <= (this.last ?? 0)) known.end = item.end;
      else this.notes.set(item.id, { ...known, ...item });
    }
    if (this.notes.size > KEPT) this.sweep();
  }

  sweep() {
    const before = (this.last ?? 0) - PAST;
    for (const [id, note] of this.notes) if (note.end < before) this.notes.delete(id);
    for (const id of this.notes.keys()) {
      if (this.notes.size <= KEPT * 0.9) break; // not at each note anew
      this.notes.delete(id);
    }
  }

  forget(ids, now) {
    this.stirred = true;
    for (const id of ids) {
      this.bars.delete(id);
      const note = this.notes.get(id);
      if (!note) continue;
      if (now === null || note.at > now) this.notes.delete(id);
      else note.end = Math.min(note.end, now);
    }
  }

  mark(at, text, kind) {
    this.stirred = true;
    this.marks.push({ at, text, kind });
    if (this.marks.length > 200) this.marks.splice(0, 50);
  }

  beat({ id, at, args: [bar, beat] }) {
    this.stirred = true;
    if (beat !== 1) return;
    this.bars.set(id, { at, bar });
    if (this.bars.size > 60) this.bars.delete(this.bars.keys().next().value);
  }

  clear() {
    this.notes.clear();
    this.marks = [];
    this.bars.clear();
    this.wipe();
  }

  // Drawing ------------------------------------------------------------------------------

  /** Draw it as it is at a time; where the music stands, as it was when it halted. */
  draw(time) {
    const { pen, width, height, ink, speed } = this;
    if (this.pulse.playing) this.halted = null;
    const now = this.pulse.playing ? time : (this.halted ??= time);
    if (!width) return;
    const stands = now === this.last && !this.stirred && !this.moves;
    if (now < this.last) this.wipe();
    this.last = now;
    const line = this.quiet.matches ? this.turned(now) : Math.round(width * NOW);
    // What is moved as a picture must fall on whole pixels of the screen.
    const base = (this.base = Math.round((line - now * speed) * this.ratio) / this.ratio);
    if (stands || !this.visible) return;
    const x = (at) => at * speed + base;
    const shown = this.shown();
    this.fit(shown);
    pen.clearRect(0, 0, width, height);
    this.ground(line);
    pen.textBaseline = "top";
    pen.font = `11px ${ink.sans}`;
    pen.lineWidth = 1;
    for (const { at, bar } of this.bars.values()) {
      const here = Math.round(x(at)) + 0.5;
      if (here < -40 || here > width) continue;
      pen.strokeStyle = ink.line;
      pen.beginPath();
      pen.moveTo(here, 26);
      pen.lineTo(here, height);
      pen.stroke();
      pen.fillStyle = ink.soft;
      pen.fillText(bar, here + 4, height - 15);
    }
    this.words(x, line);
    this.paint(shown, now);
    const glow = pen.createLinearGradient(line - 70, 0, line, 0);
    glow.addColorStop(0, `${ink.lamp}00`);
    glow.addColorStop(1, `${ink.lamp}30`);
    pen.fillStyle = glow;
    pen.fillRect(line - 70, 0, 70, height);
    pen.fillStyle = ink.lamp;
    pen.fillRect(line, 0, 1.5, height);
    this.stirred = false;
  }

  /** Notes of which something is within the picture. */
  shown() {
    const from = -this.base / this.speed;
    const to = (this.width - this.base) / this.speed;
    const shown = [];
    for (const note of this.notes.values()) if (note.end > from && note.at < to) shown.push(note);
    return shown;
  }

  /** Where now is on a page that stands still until it is full, for who wants nothing to move. */
  turned(now) {
    const page = (this.width * NOW) / this.speed;
    return Math.round((now % page) * this.speed);
  }

  ground(line) {
    const { pen, width, height, ink } = this;
    pen.strokeStyle = ink.line;
    pen.fillStyle = ink.soft;
    pen.font = `10px ${ink.sans}`;
    pen.textBaseline = "middle";
    for (let pitch = Math.ceil(this.low / 12) * 12; pitch <= this.high; pitch += 12) {
      const y = Math.round(this.y(pitch)) + 0.5;
      pen.globalAlpha = 0.7;
      pen.beginPath();
      pen.moveTo(0, y);
      pen.lineTo(width, y);
      pen.stroke();
      pen.globalAlpha = 0.8;
      pen.fillText(`C${pitch / 12 - 1}`, 6, y - 7);
    }
    pen.globalAlpha = 1;
    if (this.rows.length) {
      const y = Math.round(this.floor) + 0.5;
      pen.beginPath();
      pen.moveTo(0, y);
      pen.lineTo(line, y);
      pen.stroke();
    }
  }

  /** Chords ride along the top; where they would stand on each other the older gives way. */
  words(x, line) {
    const { pen, ink, width } = this;
    let room = width;
    for (let n = this.marks.length - 1; n >= 0; n--) {
      const mark = this.marks[n];
      const here = x(mark.at);
      if (here < -120) break;
      pen.font = mark.kind === "chord" ? `17px ${ink.serif}` : `italic 15px ${ink.serif}`;
      const wide = (mark.wide ??= pen.measureText(mark.text).width + 12);
      if (here + wide > room) continue;
      room = here;
      pen.fillStyle = mark.kind !== "chord" ? ink.lamp : here > line ? ink.soft : ink.ink;
      pen.textBaseline = "top";
      pen.fillText(mark.text, here + 2, 7);
    }
  }

  /**
   * The notes. What is over changes no more: it is painted once, on tiles that move with the time,
   * unless the view moves up or down just now.
   */
  paint(shown, now) {
    const { pen, base, speed, tile } = this;
    const look = this.moves ? null : [this.low, this.high, this.height, this.rows].join();
    if (look !== this.look) {
      this.wipe();
      this.look = look;
    }
    const first = Math.floor(-base / tile);
    for (const nth of this.tiles.keys()) if (nth < first) this.tiles.delete(nth);
    const fresh = [];
    let chosen = null;
    for (const note of shown) {
      if (note.id === this.chosen) chosen = note;
      if (look === null || note.end > now) fresh.push(note);
      else if (!this.painted.has(note.id)) this.settle(note, first);
    }
    for (const [nth, { canvas }] of this.tiles) {
      pen.drawImage(canvas, nth * tile + base, 0, tile, canvas.height / this.ratio);
    }
    for (const note of fresh) this.one(pen, note, note.at * speed + base, now);
    if (!chosen) return;
    pen.strokeStyle = this.ink.ink;
    pen.lineWidth = 2;
    this.shape(pen, chosen, chosen.at * speed + base);
    pen.stroke();
    pen.lineWidth = 1;
  }

  /** Paint a note that is over on the tiles that it reaches. */
  settle(note, first) {
    const { tile, speed, ratio } = this;
    const left = note.at * speed;
    const last = Math.floor((left + this.wide(note)) / tile);
    for (let nth = Math.max(Math.floor(left / tile), first); nth <= last; nth++) {
      if (!this.tiles.has(nth)) {
        const canvas = document.createElement("canvas");
        canvas.width = Math.round(tile * ratio);
        canvas.height = this.canvas.height;
        const pen = canvas.getContext("2d");
        pen.setTransform(ratio, 0, 0, ratio, 0, 0);
        this.tiles.set(nth, { canvas, pen });
      }
      this.one(this.tiles.get(nth).pen, note, left - nth * tile, note.end);
    }
    this.painted.add(note.id);
  }

  one(pen, note, left, now) {
    const sounding = note.at <= now && note.end > now;
    pen.fillStyle = this.colour(note);
    pen.globalAlpha = note.at > now ? 0.32 : sounding ? 1 : 0.35 + 0.4 * note.velocity;
    this.shape(pen, note, left);
    pen.fill();
    pen.globalAlpha = 1;
  }

  shape(pen, note, left) {
    const high = this.tall(note);
    pen.beginPath();
    pen.roundRect(left, this.middle(note) - high / 2, this.wide(note), high, Math.min(high / 2, 4));
  }

  tall({ channel }) {
    const drum = channel === DRUMS;
    return Math.min(Math.max((drum ? this.rowHeight : this.step) * 0.86, 3.6), drum ? 9 : 14);
  }

  wide(note) {
    if (note.channel === DRUMS) return Math.max(this.tall(note), 5);
    return Math.max((note.end - note.at) * this.speed - 1.5, 3);
  }

  middle({ channel, pitch }) {
    return channel === DRUMS ? this.drumY(pitch) : this.y(pitch);
  }

  /** What has begun and can be seen, and where. */
  get seen() {
    if (this.base === undefined) return [];
    return this.shown()
      .filter((note) => note.at <= this.last)
      .map((note) => {
        const [left, top, high] = [note.at * this.speed + this.base, this.middle(note), this.tall(note)];
        return { note, left, right: left + this.wide(note), top: top - high / 2, bottom: top + high / 2 };
      });
  }

  /** Have all that is seen fit between top and bottom, and move there softly. */
  fit(shown) {
    let low = 127;
    let high = 0;
    const drums = new Set();
    for (const note of shown) {
      if (note.channel === DRUMS) drums.add(note.pitch);
      else {
        low = Math.min(low, note.pitch);
        high = Math.max(high, note.pitch);
      }
    }
    if (low > high) [low, high] = this.goal ? [this.goal[0] + 3, this.goal[1] - 3] : [this.low + 3, this.high - 3];
    while (high - low < 22) [low, high] = [low - 1, high + 1];
    const [floor, top] = this.goal ?? [Infinity, -Infinity];
    const held = (wanted, now, out) => (out * (now - wanted) >= 0 && out * (now - wanted) <= SLACK ? now : wanted);
    this.goal = [held(low - 3, floor, -1), held(high + 3, top, 1)];
    const gaps = [this.goal[0] - this.low, this.goal[1] - this.high];
    this.moves = gaps.some((gap) => Math.abs(gap) > STILL);
    const soft = this.moves && !this.quiet.matches ? 0.12 : 1;
    this.low += gaps[0] * soft;
    this.high += gaps[1] * soft;
    this.rows = [...drums].sort((a, b) => b - a);
    const share = this.rows.length ? Math.min(0.1 + this.rows.length * 0.022, 0.26) : 0;
    this.floor = this.height - 20 - (this.height - 50) * share;
    this.step = (this.floor - 34) / (this.high - this.low);
    this.rowHeight = (this.height - 24 - this.floor) / Math.max(this.rows.length, 1);
  }

  y(pitch) {
    return this.floor - (pitch - this.low) * this.step;
  }

  drumY(pitch) {
    return this.floor + 4 + (this.rows.indexOf(pitch) + 0.5) * this.rowHeight;
  }

  // Why ----------------------------------------------------------------------------------

  tap(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    let least = REACH;
    for (const place of this.seen) {
      const across = Math.max(place.left - x, x - place.right, 0);
      const down = Math.max(place.top - y, y - place.bottom, 0);
      const far = Math.hypot(across, down);
      if (far < least) [best, least] = [place.note, far];
    }
    this.choose(best);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Enter" || step) event.preventDefault();
    if (step || event.key === "Enter") this.walk(step ?? 0);
  }

  walk(step) {
    const order = this.seen.map((each) => each.note).sort((a, b) => a.at - b.at || a.pitch - b.pitch);
    if (!order.length) return;
    const at = order.findIndex((note) => note.id === this.chosen);
    const next = at < 0 ? order.length - 1 : Math.min(Math.max(at + step, 0), order.length - 1);
    this.choose(order[next]);
  }

  choose(note) {
    this.chosen = note?.id ?? null;
    this.stirred = true;
    const card = $("why");
    card.hidden = !note;
    if (!note) return;
    const key = this.store.get("/componium/key", "");
    const name = note.channel === DRUMS ? drumName(note.pitch) : noteName(note.pitch, key);
    card.style.setProperty("--hue", note.hue ?? 70);
    card.replaceChildren(
      h("header", {}, h("i", { class: "swatch" }), h("strong", { text: name }), h("span", { text: note.part }),
        h("button", { type: "button", class: "quiet", "aria-label": "Close", text: "×", onclick: () => this.choose(null) })),
      h("p", { class: "symbol" }, h("span", { text: "symbol" }), h("code", { text: note.symbol ?? "played by hand" })),
      origin(note.origin ?? ""),
    ); // prettier-ignore
  }
}

/** Where a symbol comes from: a path of rules as steps, anything else as it is said. */
function origin(text) {
  const arrow = text.indexOf(" -> ");
  if (arrow < 0) return h("p", { class: "origin", text: text || "no engine's choice" });
  const path = text.slice(0, arrow).split(" > ");
  const rest = text.slice(arrow + 4);
  const chance = rest.match(/^(.*) \(([^()]+)\)$/);
  const list = h("ol", { class: "path" });
  for (const step of path) list.append(h("li", {}, h("code", { text: step })));
  list.append(h("li", { class: "chosen" }, h("code", { text: chance ? chance[1] : rest })));
  const said = h("div", { class: "origin" }, list);
  if (chance) said.append(h("p", { class: "chance", text: `chosen with a chance of ${chance[2]}` }));
  return said;
}

