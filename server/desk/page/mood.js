// Mood: a place between unpleasant and pleasant, asleep and awake; and the scene's own places.

import { placed } from "./labels.js";
import { $, amiss, choice, h, kept, throttled, write } from "./ui.js";

const TRAIL = 240; // places remembered
const SLIP = 8; // px that a finger may slip on a word
const STEP = 0.1; // of an arrow key

export class MoodPanel {
  constructor({ store, order }) {
    this.store = store;
    this.order = order;
    this.bars = Number(kept.get("bars", "4"));
    this.trail = [];
    this.here = [0, 0];
    this.goal = [0, 0, 0];
    this.holds = null; // where a finger is
    this.words = h("div", { class: "words" });
    this.dot = h("i", { class: "dot" });
    this.ring = h("i", { class: "ring" });
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.pad = h(
      "div",
      { class: "pad", tabindex: "0", role: "application", "aria-roledescription": "mood pad", data: { learn: "/componium/mood" } },
      this.canvas, this.words, this.ring, this.dot,
      h("span", { class: "axis north", text: "awake" }), h("span", { class: "axis south", text: "asleep" }),
      h("span", { class: "axis west", text: "unpleasant" }), h("span", { class: "axis east", text: "pleasant" }),
    ); // prettier-ignore
    this.said = h("p", { class: "said" });
    this.tension = h("input", {
      type: "range", min: 0, max: 1, step: 0.01, id: "tension", data: { learn: "/componium/tension" },
    }); // prettier-ignore
    const feel = throttled(120, () => this.order(this.tension, "/componium/tension", [Number(this.tension.value), this.bars]));
    this.tension.addEventListener("input", feel);
    const bars = [[0, "now"], [1, "1"], [2, "2"], [4, "4"], [8, "8"], [16, "16"]]; // prettier-ignore
    this.field = h("canvas", { class: "field", tabindex: "0", role: "application" });
    this.stood = h("p", { class: "said" });
    this.nowhere = h("p", { class: "hint", text: "Nowhere yet: touch the map, or let the game send /componium/listener x y." });
    this.fieldBox = h("div", { class: "fieldbox", hidden: true },
      h("header", { class: "head" }, h("h3", { text: "Where the player stands" }), this.stood),
      this.field, this.nowhere); // prettier-ignore
    $("mood").append(
      h("div", { data: { place: "" } },
        h("header", { class: "head" }, h("h2", { text: "Mood" }), this.said),
        this.pad,
        h("div", { class: "row" }, h("span", { class: "label", text: "arrive in bars" }),
          choice("Bars until it is reached", bars, this.bars, (n) => {
            this.bars = Number(n);
            kept.set("bars", n);
          })),
        h("label", { class: "row slider" }, h("span", { class: "label", text: "tension" }), this.tension)),
      this.fieldBox,
    ); // prettier-ignore
    this.drag = throttled(100, (v, a) => this.send(v, a, 0));
    this.listen();
    store.watch("/componium/mood", (v, a) => this.moved(v, a));
    store.watch("/componium/listener", (x, y) => {
      if (this.walks) return; // a finger knows better
      this.stands = [x, y];
      this.map();
    });
    store.watch("/componium/mood/target", (v, a, bar) => (this.goal = [v, a, bar]));
    store.watch("/componium/tension", (t) => {
      if (document.activeElement !== this.tension) this.tension.value = t;
    });
    store.watch("/componium/emotion", (word) => {
      this.word = word;
      for (const button of this.words.children) button.classList.toggle("is", button.dataset.word === word);
    });
    new ResizeObserver(() => this.measure()).observe(this.pad);
    new ResizeObserver(() => this.map()).observe(this.field);
  }

  /** A scene's words and points. */
  cast(scene) {
    const places = JSON.stringify([scene.words, scene.points]);
    if (places === this.known) return;
    if (this.known) this.store.values.delete("/componium/listener"); // that was among other points
    this.known = places;
    this.words.replaceChildren(
      ...Object.entries(scene.words ?? {}).map(([word, [v, a]]) =>
        h("button", {
          type: "button",
          text: word,
          class: word === this.word ? "is" : "",
          data: { word, learn: `/componium/emotion ${word}` },
          style: { "--x": (v + 1) / 2, "--y": (1 - a) / 2 },
          onclick: (event) => {
            event.stopPropagation();
            this.order(this.pad, "/componium/emotion", [word, this.bars]);
          },
        }),
      ),
    );
    this.part();
    this.points = (scene.points ?? []).map((point) => ({ ...point, name: point.name || this.wordOf(point, scene.words) }));
    const rooms = this.points.map(({ name }) => name).filter(Boolean);
    this.field.setAttribute("aria-label", `Listener's place among ${rooms.join(", ") || "the scene's points"}; arrow keys move`);
    this.fieldBox.hidden = !this.points.length;
    this.stands = this.store.values.get("/componium/listener") ?? null;
    this.map();
  }

  /** What a place's mood is called, where it has a name. */
  wordOf({ mood: [v, a] }, words = {}) {
    const near = ([, [wv, wa]]) => Math.hypot(wv - v, wa - a);
    const [best] = Object.entries(words).sort((one, other) => near(one) - near(other));
    return best && near(best) < 0.01 ? best[0] : "";
  }

  /** Set the words beside their places, where they can be read. */
  part() {
    const { size } = this;
    const words = [...this.words.children];
    if (!size || !words.length) return;
    const scale = Math.min(Math.max(size / 320, 0.8), 1); // smaller words where there is less room
    this.pad.style.setProperty("--scale", scale.toFixed(3));
    const pen = this.canvas.getContext("2d");
    pen.font = getComputedStyle(words[0]).font;
    const points = words.map((word) => {
      const [x, y] = ["--x", "--y"].map((name) => word.style.getPropertyValue(name) * size);
      return { x, y, wide: pen.measureText(word.textContent).width };
    });
    const line = { left: 0, right: size, top: 0, bottom: size, cost: 4 };
    const taken = [
      { ...line, left: size / 2 - 1, right: size / 2 + 1 }, { ...line, top: size / 2 - 1, bottom: size / 2 + 1 },
      ...[...this.pad.querySelectorAll(".axis")].map(({ offsetLeft: left, offsetTop: top, offsetWidth: wide, offsetHeight: tall }) =>
        ({ left, top, right: left + wide, bottom: top + tall })),
    ]; // prettier-ignore
    placed(points, size, size, taken, scale).forEach(([x, y], nth) => {
      words[nth].style.setProperty("--along", `${(x - points[nth].x).toFixed(1)}px`);
      words[nth].style.setProperty("--aside", `${(y - points[nth].y).toFixed(1)}px`);
    });
    this.stars = points;
    this.stale = true;
  }

  moved(v, a) {
    this.here = [v, a];
    const last = this.trail.at(-1);
    if (!last || Math.hypot(last[0] - v, last[1] - a) > 0.004) this.trail.push([v, a]);
    if (this.trail.length > TRAIL) this.trail.shift();
    this.stale = true;
  }

  send(v, a, bars) {
    const round = (n) => Math.round(n * 1000) / 1000;
    this.order(this.pad, "/componium/mood", [round(v), round(a), bars]);
  }

  listen() {
    const { pad } = this;
    const at = (event) => {
      const box = pad.getBoundingClientRect();
      const held = (n) => Math.min(Math.max(n, -1), 1);
      return [held(((event.clientX - box.left) / box.width) * 2 - 1), held(1 - ((event.clientY - box.top) / box.height) * 2)];
    };
    const hold = (event) => {
      pad.setPointerCapture(event.pointerId);
      this.holds = at(event);
      amiss(pad, "");
      if (!this.bars) this.drag(...this.holds);
    };
    pad.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.begun = event.target.closest("button") ? event : null; // a word, until it is dragged from
      if (!this.begun) hold(event);
    });
    pad.addEventListener("pointermove", (event) => {
      if (this.begun && Math.hypot(event.clientX - this.begun.clientX, event.clientY - this.begun.clientY) > SLIP) {
        this.begun = null;
        hold(event);
      }
      if (!this.holds) return;
      this.holds = at(event);
      if (!this.bars) this.drag(...this.holds);
    });
    pad.addEventListener("pointerup", (event) => {
      this.begun = null;
      if (!this.holds) return;
      const [v, a] = at(event);
      this.holds = null;
      if (this.bars) this.send(v, a, this.bars); // else it has been sent on the way
    });
    pad.addEventListener("pointercancel", () => (this.holds = this.begun = null));
    pad.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!move || event.target !== pad) return;
      event.preventDefault();
      const held = (n) => Math.min(Math.max(n, -1), 1);
      this.goal = [held(this.goal[0] + move[0] * STEP), held(this.goal[1] + move[1] * STEP), this.goal[2]];
      this.send(this.goal[0], this.goal[1], this.bars);
    });
    const stand = throttled(100, (x, y) => this.order(this.field, "/componium/listener", [x, y]));
    const place = (event) => {
      const box = this.field.getBoundingClientRect();
      this.stands = this.there((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      this.map();
      stand(...this.stands);
    };
    this.field.addEventListener("pointerdown", (event) => {
      this.field.setPointerCapture(event.pointerId);
      this.walks = true;
      place(event);
    });
    for (const end of ["pointerup", "pointercancel"]) this.field.addEventListener(end, () => (this.walks = false));
    this.field.addEventListener("pointermove", (event) => {
      if (event.buttons) place(event);
    });
    this.field.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!move || !this.span) return;
      event.preventDefault();
      const [x, y] = this.stands ?? this.there(0.5, 0.5);
      this.stands = [x + (move[0] * this.span) / 20, y + (move[1] * this.span) / 20];
      this.map();
      stand(...this.stands);
    });
  }

  // Drawing ------------------------------------------------------------------------------

  measure() {
    this.size = this.pad.clientWidth;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = this.canvas.height = Math.max(this.size * ratio, 1);
    this.part();
    this.stale = true;
  }

  draw(pulse, now) {
    const [v, a, bar] = this.goal;
    const [gv, ga] = this.holds ?? [v, a];
    const away = Math.hypot(gv - this.here[0], ga - this.here[1]) > 0.01;
    const place = (dot, x, y) => {
      const moved = `translate(${(((x + 1) / 2) * this.size).toFixed(1)}px, ${(((1 - y) / 2) * this.size).toFixed(1)}px)`;
      if (dot.style.transform !== moved) dot.style.transform = moved;
    };
    place(this.dot, ...this.here);
    place(this.ring, gv, ga);
    this.ring.classList.toggle("away", away);
    const left = away && !this.holds ? pulse.until(bar, now) : "";
    write(this.said, left ? `${this.word ?? ""}, there in ${left}` : (this.word ?? ""));
    if (this.stale) this.path();
  }

  path() {
    this.stale = false;
    const pen = this.canvas.getContext("2d");
    const { width } = this.canvas;
    const style = getComputedStyle(this.pad);
    pen.clearRect(0, 0, width, width);
    pen.globalAlpha = 0.7;
    pen.fillStyle = style.getPropertyValue("--soft");
    for (const { x, y } of this.stars ?? []) {
      pen.beginPath();
      pen.arc((x / this.size) * width, (y / this.size) * width, (2 / this.size) * width, 0, Math.PI * 2);
      pen.fill();
    }
    pen.strokeStyle = style.getPropertyValue("--lamp");
    pen.lineWidth = width / 160;
    pen.lineCap = "round";
    for (let n = 1; n < this.trail.length; n++) {
      pen.globalAlpha = 0.55 * (n / this.trail.length) ** 2;
      pen.beginPath();
      for (const [v, a] of [this.trail[n - 1], this.trail[n]]) pen.lineTo(((v + 1) / 2) * width, ((1 - a) / 2) * width);
      pen.stroke();
    }
  }

  /** The part of the scene's world that is shown: all points as far as they reach. */
  bounds() {
    const lows = [0, 1].map((axis) => Math.min(...this.points.map((p) => [p.x, p.y][axis] - p.reach)));
    const highs = [0, 1].map((axis) => Math.max(...this.points.map((p) => [p.x, p.y][axis] + p.reach)));
    const [wide, high] = [highs[0] - lows[0], highs[1] - lows[1]];
    this.shape = Math.min(Math.max(wide / high, 1), 2.2); // width to height
    this.span = Math.max(wide, high * this.shape); // over the width
    this.centre = [(lows[0] + highs[0]) / 2, (lows[1] + highs[1]) / 2];
  }

  there(x, y) {
    return [this.centre[0] + (x - 0.5) * this.span, this.centre[1] - ((y - 0.5) * this.span) / this.shape];
  }

  map() {
    write(this.stood, this.stands ? this.stands.map((each) => String(Math.round(each * 10) / 10).replace("-", "−")).join(", ") : "");
    this.nowhere.hidden = Boolean(this.stands);
    if (!this.points?.length || !this.field.clientWidth) return;
    this.bounds();
    this.field.style.setProperty("--shape", this.shape.toFixed(3));
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const size = this.field.clientWidth;
    const tall = size / this.shape;
    this.field.width = size * ratio;
    this.field.height = tall * ratio;
    const pen = this.field.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(this.field);
    const x = (p) => ((p - this.centre[0]) / this.span + 0.5) * size;
    const y = (p) => tall / 2 - ((p - this.centre[1]) / this.span) * size;
    for (const point of this.points) {
      const far = (point.reach / this.span) * size;
      const [v, a] = point.mood;
      const glow = pen.createRadialGradient(x(point.x), y(point.y), 0, x(point.x), y(point.y), far);
      const hue = 40 + 90 * v + (a < 0 ? 120 : 0);
      glow.addColorStop(0, `oklch(0.7 0.12 ${hue} / ${0.15 + 0.5 * point.strength})`);
      glow.addColorStop(1, `oklch(0.7 0.12 ${hue} / 0)`);
      pen.fillStyle = glow;
      pen.fillRect(0, 0, size, tall);
    }
    const dot = (left, top, radius) => {
      pen.beginPath();
      pen.arc(left, top, radius, 0, Math.PI * 2);
      pen.fill();
    };
    pen.font = `15px ${style.getPropertyValue("--serif")}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillStyle = style.getPropertyValue("--ink");
    const rooms = this.points.map((point) => ({ x: x(point.x), y: y(point.y), wide: pen.measureText(point.name).width }));
    for (const room of rooms) dot(room.x, room.y, 2);
    if (this.stands) {
      // Out of the picture he stands at its edge.
      const [left, top] = [Math.min(Math.max(x(this.stands[0]), 4), size - 4), Math.min(Math.max(y(this.stands[1]), 4), tall - 4)];
      pen.fillStyle = style.getPropertyValue("--lamp");
      pen.shadowColor = style.getPropertyValue("--lamp");
      pen.shadowBlur = 14 * ratio;
      dot(left, top, 7);
      pen.shadowBlur = 0;
    }
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.strokeStyle = style.getPropertyValue("--sheet");
    pen.lineWidth = 3;
    pen.lineJoin = "round";
    placed(rooms, size, tall).forEach(([left, top], nth) => {
      pen.globalAlpha = 0.6;
      pen.strokeText(this.points[nth].name, left, top); // the name can be read on the dot, too
      pen.globalAlpha = 1;
      pen.fillText(this.points[nth].name, left, top);
    });
  }
}
