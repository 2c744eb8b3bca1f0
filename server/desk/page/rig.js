// The rig: tempo, live controls, ports, health, MIDI learn, takes, and what went wrong.

import { band } from "./link.js";
import { $, choice, h, throttled, write } from "./ui.js";

const AGAIN = 4; // lines of the log back in which what is said again is not written again
const LINES = 60;
const SOURCES = [["internal", "Componium"], ["midi", "MIDI clock"], ["link", "Link"]]; // prettier-ignore
const STATES = {
  leading: ["Componium leads", true],
  waiting: ["waiting for a clock", false],
  locking: ["taking up its tempo", false],
  locked: ["locked to the clock", true],
  free: ["the clock pauses, going on at its tempo", false],
  lost: ["the clock is lost, going on without", false],
  joining: ["joining the session", false],
  alone: ["in the session, nobody else yet", true],
  linked: ["linked", true],
};

export class Rig {
  constructor({ store, order, link, learn }) {
    this.store = store;
    this.order = order;
    this.link = link;
    this.learn = learn;
    this.unwatch = [];
    this.lost = false; // the connection
    this.ports = h("ul", { class: "ports" });
    this.known = new Map(); // what was last told of each port
    this.health = h("ul", { class: "health" });
    this.controls = h("div", { class: "controls" });
    this.log = h("ol", { class: "log", "aria-label": "Log" });
    this.mapped = h("p", { class: "hint" });
    $("rig").append(
      h("header", { class: "head" }, h("h2", { text: "Rig" })),
      this.group("Tempo", this.tempo()),
      this.group("Sync", this.following()),
      (this.controlBox = this.group("Live controls", this.controls)),
      this.group("Take", this.take()),
      this.group("MIDI learn", this.learning(), this.mapped),
      this.group("Ports", this.ports),
      this.group("Health", this.health),
      this.group("Log", this.log),
    );
  }

  /** Whether the server can be reached: without it nothing here is known to be so. */
  reach(there) {
    this.lost = !there;
    $("rig").classList.toggle("unknown", this.lost);
    this.tellLeader();
    if (this.lost) this.health.replaceChildren(h("li", { text: "nothing is known without the connection" }));
  }

  group(title, ...what) {
    return h("section", { class: "group", data: { place: "" } }, h("h3", { text: title }), ...what);
  }

  tempo() {
    const number = h("input", { type: "number", min: 20, max: 999, step: 0.1, "aria-label": "Tempo in bpm", inputmode: "decimal" });
    const slider = h("input", { type: "range", min: 40, max: 220, step: 0.5, "aria-label": "Tempo", data: { learn: "/componium/tempo" } });
    const tap = h("button", { type: "button", text: "tap" });
    let touched = -Infinity;
    const send = throttled(60, (bpm) => this.order(slider, "/componium/tempo", [bpm]));
    slider.addEventListener("input", () => {
      touched = performance.now();
      number.value = slider.value;
      send(Number(slider.value));
    });
    number.addEventListener("change", () => send(Number(number.value)));
    const tapped = () => this.order(tap, "/componium/tap", []);
    tap.addEventListener("pointerdown", tapped);
    tap.addEventListener("keydown", (event) => {
      if ((event.key === " " || event.key === "Enter") && !event.repeat) tapped();
    });
    this.store.watch("/componium/tempo", (bpm) => {
      if (performance.now() - touched < 400 || document.activeElement === number) return;
      slider.value = bpm;
      number.value = bpm.toFixed(1);
    });
    return h("div", { class: "row" }, slider, number, tap);
  }

  /** Addresses that a scene, or another room of the server, has brought. */
  cast(scene) {
    for (const stop of this.unwatch) stop();
    this.unwatch = [];
    const controls = [...this.store.nodes.keys()].filter((each) => each.startsWith("/componium/control/"));
    this.controls.replaceChildren(...controls.map((each) => this.control(each)));
    this.controlBox.hidden = !controls.length;
  }

  control(address) {
    const name = address.split("/").at(-1);
    const number = h("input", { type: "number", step: 0.05, "aria-label": name });
    const slider = h("input", { type: "range", min: -1, max: 1, step: 0.01, "aria-label": name, data: { learn: address } });
    const send = throttled(60, (value) => this.order(slider, address, [value]));
    let touched = -Infinity;
    slider.addEventListener("input", () => {
      touched = performance.now();
      number.value = slider.value;
      send(Number(slider.value));
    });
    number.addEventListener("change", () => send(Number(number.value)));
    this.unwatch.push(
      this.store.watch(address, (value) => {
        if (performance.now() - touched < 400 || document.activeElement === number) return;
        if (value > Number(slider.max)) slider.max = value;
        if (value < Number(slider.min)) slider.min = value;
        slider.value = value;
        number.value = value;
      }),
    );
    return h("label", { class: "row" }, h("span", { class: "label", text: name }), slider, number);
  }

  /** Who leads the tempo, how well we follow, and how much later or earlier all is to sound. */
  following() {
    const { store } = this;
    const lamp = h("i", { class: "lamp" });
    const state = h("strong", { role: "status" });
    const more = h("small");
    const pick = choice("Who leads the tempo", SOURCES, "internal", (source) => this.order(pick, "/componium/sync", [source], () => tell()));
    const tell = (this.tellLeader = () => {
      if (this.lost) {
        lamp.dataset.state = "lost";
        write(state, "not connected");
        return write(more, "");
      }
      const [source, how] = [store.get("/componium/sync", "internal"), store.get("/componium/sync/state", "")];
      const [tempo, error, jitter, peers] = ["tempo", "error", "jitter", "peers"].map((each) => store.get(`/componium/sync/${each}`, 0));
      const kind = source.split(":")[0];
      pick.pick(kind);
      const [said, good] = STATES[how] ?? [how, false];
      lamp.dataset.state = good ? "open" : how === "lost" ? "lost" : "";
      write(state, said);
      const facts = [];
      if (source.includes(":")) facts.push(source.slice(source.indexOf(":") + 1));
      if (kind === "link" && peers) facts.push(`${peers} other${peers > 1 ? "s" : ""}`);
      if (kind !== "internal" && tempo) facts.push(`${tempo.toFixed(2)} bpm`, `${error.toFixed(2)} ms off`);
      if (kind === "midi" && tempo) facts.push(`its pulses stray by ${jitter.toFixed(2)} ms`);
      write(more, facts.join(", "));
    });
    for (const each of ["", "/state", "/tempo", "/error", "/jitter", "/peers"]) store.watch(`/componium/sync${each}`, tell);
    const shift = h("output");
    const by = (ms, text, name) =>
      h("button", {
        type: "button", text, "aria-label": name, data: { learn: "/componium/nudge" },
        onclick: ({ currentTarget }) => this.order(currentTarget, "/componium/nudge", [ms ? store.get("/componium/nudge", 0) + ms : 0]),
      }); // prettier-ignore
    store.watch("/componium/nudge", (ms) => write(shift, `${ms > 0 ? "+" : ""}${Number(ms.toFixed(1))} ms`));
    return h("div", { data: { place: "" } },
      h("div", { class: "row" }, pick),
      h("p", { class: "row leader" }, lamp, state, more),
      h("div", { class: "row nudge" }, h("span", { class: "label", text: "nudge" }),
        by(-5, "−5", "5 ms earlier"), shift, by(5, "+5", "5 ms later"), by(0, "0", "Nudge back to 0"))); // prettier-ignore
  }

  take() {
    const takes = band ? `/session/${band}/take` : "/take";
    const press = h("button", { type: "button", class: "record", "aria-pressed": "false", text: "record" });
    const files = h("span", { class: "files", hidden: true },
      h("a", { href: `${takes}.mid`, download: "take.mid", text: "MIDI file" }), " ",
      h("a", { href: `${takes}.jsonl`, download: "take.jsonl", text: "log" })); // prettier-ignore
    press.addEventListener("click", () =>
      this.order(press, "/componium/record", [press.getAttribute("aria-pressed") !== "true"], ({ state }) => {
        if (state === "done") files.hidden = false;
      }),
    );
    this.store.watch("/componium/record", (on) => {
      press.setAttribute("aria-pressed", on);
      write(press, on ? "stop recording" : "record");
      if (on) files.hidden = false;
    });
    return h("div", { class: "row" }, press, files);
  }

  learning() {
    const begin = h("button", { type: "button", class: "learning", "aria-pressed": "false", text: "learn a control" });
    const all = h("button", { type: "button", class: "quiet", text: "forget all" });
    const which = h("button", { type: "button", class: "quiet", text: "what is mapped" });
    begin.addEventListener("click", () => this.learn(begin));
    all.addEventListener("click", () => this.order(all, "/componium/unlearn", [], () => this.ask(which)));
    which.addEventListener("click", () => this.ask(which));
    this.begin = begin;
    return h("div", { class: "row" }, begin, which, all);
  }

  ask(control) {
    this.order(control, "/componium/mapped", [], ({ reason }) => write(this.mapped, reason || "nothing is mapped"));
  }

  port(port) {
    const name = `${port.output} ${port.part}`;
    if (port.state === "closed") this.known.delete(name); // it is not of this scene
    else this.known.set(name, port);
    this.listPorts();
  }

  clearPorts(ports) {
    this.known = new Map(ports.map((port) => [`${port.output} ${port.part}`, port]));
    this.listPorts();
  }

  /** A line for all parts of an output that fare alike, for the same reason. */
  listPorts() {
    const alike = new Map();
    for (const { output, part, state, why } of this.known.values()) {
      const key = JSON.stringify([output, state, why]);
      if (!alike.has(key)) alike.set(key, { output, state, why, parts: [] });
      if (part) alike.get(key).parts.push(part);
    }
    const rows = [...alike.values()].map(({ output, state, why, parts }) =>
      h("li", { data: { state } },
        h("i", { class: "lamp" }),
        h("p", {},
          h("span", { text: output || parts.join(", ") }), " ",
          h("small", { text: state === "open" ? "open" : why || state }),
          output && parts.length ? h("small", { class: "whose", text: parts.join(", ") }) : null)),
    ); // prettier-ignore
    this.ports.replaceChildren(...(rows.length ? rows : [h("li", { class: "hint", text: "no ports" })]));
  }

  tellHealth(health, sound) {
    const lines = Object.entries(health).map(([kind, { sent, middle, most, worst, lost }]) => {
      const late = `late by ${middle} ms, 99 % within ${most} ms${worst > 2 ? `, just now ${worst} ms` : ""}`;
      return `${kind}: ${sent} sent, ${late}${lost ? `, ${lost} not sent` : ""}`;
    });
    if (this.link.way !== null) lines.push(`this page: ${this.link.way.toFixed(1)} ms there and back`);
    if (sound.on) {
      const delay = sound.delay > 0.001 ? `, ${(sound.delay * 1000).toFixed(0)} ms behind` : "";
      lines.push(`sound here: ${sound.scheduled} notes, ${sound.late} too late${delay}`);
    }
    while (this.health.children.length > lines.length) this.health.lastChild.remove();
    lines.forEach((text, n) => write(this.health.children[n] ?? this.health.appendChild(h("li")), text));
  }

  tell(text, kind = "") {
    if (kind) this.amiss?.();
    if ([...this.log.children].slice(-AGAIN).some((line) => line.dataset.text === text)) return;
    const time = new Date().toTimeString().slice(0, 8);
    const line = h("li", { class: kind, data: { text } }, h("time", { text: time }), ` ${text}`);
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    this.log.append(line);
    if (this.log.children.length > LINES) this.log.firstChild.remove();
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}
