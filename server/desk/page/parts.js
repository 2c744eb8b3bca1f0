// Parts: a strip for each of them, a row that opens to all that there is.

import { hueOf, soundName } from "./names.js";
import { $, h, throttled, write } from "./ui.js";

const SYMBOLS = 6; // that a strip shows

export class Parts {
  constructor({ store, order, edit }) {
    this.store = store;
    this.order = order;
    this.edit = edit;
    this.unwatch = [];
    this.strips = new Map();
    this.open = new Set(); // names of parts whose strips are
    this.list = h("ul", { class: "strips" });
    this.visible = true;
    new IntersectionObserver((all) => (this.visible = all.at(-1).isIntersecting)).observe(this.list);
    $("parts").append(
      h("header", { class: "head" }, h("h2", { text: "Parts" }),
        h("div", { class: "praise", data: { place: "" } }, this.praise("", 1), this.praise("", -1))),
      this.list,
    ); // prettier-ignore
  }

  /** Like or dislike what has just sounded, of one part or of all. */
  praise(part, amount) {
    const button = h("button", {
      type: "button",
      class: "quiet",
      text: amount > 0 ? "good" : "bad",
      "aria-label": `${amount > 0 ? "Good" : "Bad"}: what ${part || "everybody"} has just played`,
      data: { learn: `/componium/feedback ${amount}` },
      onclick: () => this.order(button, "/componium/feedback", part ? [amount, part] : [amount]),
    });
    return button;
  }

  cast(scene) {
    const parts = JSON.stringify([scene.name, scene.parts]);
    if (parts === this.known) return; // what is under a finger stays there
    this.known = parts;
    for (const stop of this.unwatch) stop();
    this.unwatch = [];
    this.strips.clear();
    this.list.replaceChildren(...scene.parts.map((part, nth) => this.strip(part, nth)));
  }

  strip(part, nth) {
    const { address } = part;
    const open = this.open.has(part.name);
    const lamp = h("i", { class: "swatch" });
    const rest = h("div", { class: "rest", id: `rest-${nth}`, hidden: !open },
      this.slider(address, "density", part, 1),
      h("div", { class: "more" }, this.octave(address, part), this.praise(part.name, 1), this.praise(part.name, -1), this.pen(part)),
    ); // prettier-ignore
    const who = h("button", {
      type: "button",
      class: "who",
      "aria-expanded": open,
      "aria-controls": rest.id,
      "aria-label": `${part.name}: density, octave, rules`,
      onclick: () => this.unfold(part.name, strip, who, rest),
    }, lamp, h("strong", { text: part.name })); // prettier-ignore
    const symbol = h("p", { class: "symbol", "aria-label": `Last symbols of ${part.name}` });
    const sound = h("span", { class: "what", text: this.described(part) });
    const strip = h(
      "li",
      { class: `strip${open ? " open" : ""}`, data: { place: "", part: part.name }, style: { "--hue": hueOf(nth) } },
      who, sound, symbol,
      this.slider(address, "level", part, 2),
      h("div", { class: "buttons" }, this.toggle(address, "mute", part), this.toggle(address, "solo", part)),
      rest,
    ); // prettier-ignore
    this.strips.set(part.name, { lamp, symbol, sound, part: { ...part }, coming: [], last: [], told: true, lit: false });
    return strip;
  }

  /** Open a strip, or close it. */
  unfold(name, strip, who, rest) {
    if (!this.open.delete(name)) this.open.add(name);
    const open = this.open.has(name);
    rest.hidden = !open;
    strip.classList.toggle("open", open);
    who.setAttribute("aria-expanded", open);
  }

  described(part) {
    const sound = part.channel === 10 ? "Drums" : part.program === null ? "" : soundName(part.program);
    return [sound, part.role, part.engine, part.stinger ? "stinger" : ""].filter(Boolean).join(" · ");
  }

  pen(part) {
    return h("button", { type: "button", class: "quiet pen", text: "rules", onclick: () => this.edit(part.name) });
  }

  toggle(address, name, part) {
    const button = h("button", {
      type: "button",
      class: name,
      text: name,
      "aria-pressed": "false",
      "aria-label": `${name} ${part.name}`,
      data: { learn: `${address}/${name}` },
      onclick: () => this.order(button, `${address}/${name}`, [button.getAttribute("aria-pressed") !== "true"]),
    });
    this.unwatch.push(
      this.store.watch(`${address}/${name}`, (on) => {
        button.setAttribute("aria-pressed", on);
        button.closest(".strip")?.classList.toggle(name, on);
      }),
    );
    queueMicrotask(() => button.closest(".strip")?.classList.toggle(name, button.getAttribute("aria-pressed") === "true"));
    return button;
  }

  slider(address, name, part, most) {
    const input = h("input", {
      type: "range",
      min: 0,
      max: most,
      step: 0.01,
      "aria-label": `${name} of ${part.name}`,
      data: { learn: `${address}/${name}` },
    });
    const out = h("output");
    let touched = -Infinity;
    const send = throttled(50, () => this.order(input, `${address}/${name}`, [Number(input.value)]));
    input.addEventListener("input", () => {
      touched = performance.now();
      write(out, shown(input.value));
      send();
    });
    input.addEventListener("dblclick", () => {
      input.value = 1;
      input.dispatchEvent(new Event("input"));
    });
    this.unwatch.push(
      this.store.watch(`${address}/${name}`, (value) => {
        if (performance.now() - touched < 400) return; // what is under the finger stays there
        input.value = value;
        write(out, shown(value));
      }),
    );
    return h("label", { class: `slider ${name}` }, h("span", { class: "label", text: name }), input, out);
  }

  octave(address, part) {
    const out = h("output", { text: "0" });
    const step = (by) => {
      const button = h("button", {
        type: "button",
        class: "quiet",
        text: by > 0 ? "8va" : "8vb",
        "aria-label": `${part.name} an octave ${by > 0 ? "up" : "down"}`,
        onclick: () => this.order(button, `${address}/octave`, [this.store.get(`${address}/octave`, 0) + by]),
      });
      return button;
    };
    this.unwatch.push(this.store.watch(`${address}/octave`, (value) => write(out, value > 0 ? `+${value}` : String(value))));
    return h("div", { class: "octave" }, step(-1), out, step(1));
  }

  programmed(name, program) {
    const strip = this.strips.get(name);
    if (!strip || program === null) return;
    strip.part.program = program - 1;
    write(strip.sound, this.described(strip.part));
  }

  /** What a part does at this moment. */
  played(note) {
    const strip = this.strips.get(note.part);
    if (!strip) return;
    strip.coming.push(note);
    if (strip.coming.length > 32) strip.coming.shift();
  }

  draw(now) {
    for (const strip of this.strips.values()) {
      while (strip.coming.length && strip.coming[0].at <= now) {
        const note = strip.coming.shift();
        if (note.symbol) this.keep(strip, note);
        strip.over = Math.min(note.end, note.at + 4);
      }
      if (!this.visible) continue;
      if (!strip.told) this.tell(strip);
      const lit = strip.over > now;
      if (lit !== strip.lit) {
        strip.lit = lit;
        strip.lamp.classList.toggle("lit", lit);
      }
    }
  }

  /** The last symbols, the newest first; the notes of a chord are one. */
  keep(strip, { symbol, at }) {
    if (strip.last[0]?.symbol === symbol && Math.abs(strip.last[0].at - at) < 0.02) return;
    strip.last.unshift({ symbol, at });
    if (strip.last.length > SYMBOLS) strip.last.pop();
    strip.told = false;
  }

  tell(strip) {
    strip.told = true;
    strip.last.forEach((each, n) => write(strip.symbol.children[n] ?? strip.symbol.appendChild(h("code")), each.symbol));
  }

  hush() {
    for (const strip of this.strips.values()) {
      strip.over = 0;
      strip.coming = [];
    }
  }
}

const shown = (value) => Number(value).toFixed(2);
