// The piano roll: what sounds, in time with the server's clock, and why.

import { drumName, noteName } from "./names.js";
import { $, h } from "./ui.js";

const KEPT = 2500; // notes
const PAST = 90; // s
const DRUMS = 10;
const NOW = 0.84; // share of the width that is past
const REACH = 14; // px round a tap

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
    this.chosen = null;
    this.last = null;
    this.ink = {};
    this.quiet = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.measure()).observe(this.canvas);
    this.canvas.addEventListener("pointerdown", (event) => this.tap(event));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.measure();
  }

  measure() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.width = clientWidth;
    this.height = clientHeight;
    this.canvas.width = Math.max(clientWidth * ratio, 1);
    this.canvas.height = Math.max(clientHeight * ratio, 1);
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.speed = Math.min(Math.max(clientWidth / 9, 58), 150);
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
  }

  colour(part) {
    if (!this.colours.has(part)) {
      const hue = this.hues?.get(part) ?? 70;
      this.colours.set(part, `oklch(${this.ink.light} ${this.ink.chroma} ${hue})`);
    }
    return this.colours.get(part);
  }

  cast(hues) {
    this.hues = hues;
    this.colours.clear();
  }

  plan(items) {
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
      if (this.notes.size <= KEPT) break;
      this.notes.delete(id);
    }
  }

  forget(ids, now) {
    for (const id of ids) {
      this.bars.delete(id);
      const note = this.notes.get(id);
      if (!note) continue;
      if (now === null || note.at > now) this.notes.delete(id);
      else note.end = Math.min(note.end, now);
    }
  }

  mark(at, text, kind) {
    this.marks.push({ at, text, kind });
    if (this.marks.length > 200) this.marks.splice(0, 50);
  }

  beat({ id, at, args: [bar, beat] }) {
    if (beat !== 1) return;
    this.bars.set(id, { at, bar });
    if (this.bars.size > 60) this.bars.delete(this.bars.keys().next().value);
  }

  clear() {
    this.notes.clear();
    this.marks = [];
    this.bars.clear();
  }

  // Drawing ------------------------------------------------------------------------------

  /** Draw it as it is at a time; where the music stands, as it was when it halted. */
  draw(time) {
    const { pen, width, height, ink, speed } = this;
    if (this.pulse.playing) this.halted = null;
    const now = this.pulse.playing ? time : (this.halted ??= time);
    if (!width) return;
    this.last = now;
    this.seen = [];
    const line = this.quiet.matches ? this.turned(now) : Math.round(width * NOW);
    const from = now - line / speed;
    const to = now + (width - line) / speed;
    const shown = [];
    for (const note of this.notes.values()) if (note.end > from && note.at < to) shown.push(note);
    this.fit(shown);
    pen.clearRect(0, 0, width, height);
    this.ground(line);
    const x = (at) => line + (at - now) * speed;
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
    for (const note of shown) this.one(note, x, now);
    const glow = pen.createLinearGradient(line - 70, 0, line, 0);
    glow.addColorStop(0, `${ink.lamp}00`);
    glow.addColorStop(1, `${ink.lamp}30`);
    pen.fillStyle = glow;
    pen.fillRect(line - 70, 0, 70, height);
    pen.fillStyle = ink.lamp;
    pen.fillRect(line, 0, 1.5, height);
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
      const wide = pen.measureText(mark.text).width + 12;
      if (here + wide > room) continue;
      room = here;
      pen.fillStyle = mark.kind !== "chord" ? ink.lamp : here > line ? ink.soft : ink.ink;
      pen.textBaseline = "top";
      pen.fillText(mark.text, here + 2, 7);
    }
  }

  one(note, x, now) {
    const { pen, ink } = this;
    const left = x(note.at);
    const drum = note.channel === DRUMS;
    const sounding = note.at <= now && note.end > now;
    const tall = drum ? this.rowHeight : this.step;
    const high = Math.min(Math.max(tall * 0.86, 3.6), drum ? 9 : 14);
    const wide = drum ? Math.max(high, 5) : Math.max((note.end - note.at) * this.speed - 1.5, 3);
    const y = (drum ? this.drumY(note.pitch) : this.y(note.pitch)) - high / 2;
    pen.fillStyle = this.colour(note.part);
    pen.globalAlpha = note.at > now ? 0.32 : sounding ? 1 : 0.35 + 0.4 * note.velocity;
    pen.beginPath();
    pen.roundRect(left, y, wide, high, Math.min(high / 2, 4));
    pen.fill();
    pen.globalAlpha = 1;
    if (note.id === this.chosen) {
      pen.strokeStyle = ink.ink;
      pen.lineWidth = 2;
      pen.stroke();
      pen.lineWidth = 1;
    }
    if (note.at <= now) this.seen.push({ note, left, right: left + wide, top: y, bottom: y + high });
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
    if (low > high) [low, high] = [this.low + 3, this.high - 3];
    while (high - low < 22) [low, high] = [low - 1, high + 1];
    const soft = this.quiet.matches ? 1 : 0.06;
    this.low += (low - 3 - this.low) * soft;
    this.high += (high + 3 - this.high) * soft;
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
    for (const place of this.seen ?? []) {
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
    const order = (this.seen ?? []).map((each) => each.note).sort((a, b) => a.at - b.at || a.pitch - b.pitch);
    if (!order.length) return;
    const at = order.findIndex((note) => note.id === this.chosen);
    const next = at < 0 ? order.length - 1 : Math.min(Math.max(at + step, 0), order.length - 1);
    this.choose(order[next]);
  }

  choose(note) {
    this.chosen = note?.id ?? null;
    const card = $("why");
    card.hidden = !note;
    if (!note) return;
    const key = this.store.get("/componium/key", "");
    const name = note.channel === DRUMS ? drumName(note.pitch) : noteName(note.pitch, key);
    card.style.setProperty("--hue", this.hues?.get(note.part) ?? 70);
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

