// Launchers: sections, themes, styles, scenes, stingers and keys, and what is armed.

import { $, choice, h, kept, write } from "./ui.js";

const KINDS = [
  ["section", "Sections"],
  ["stinger", "Stingers"],
  ["theme", "Themes"],
  ["style", "Styles"],
  ["scene", "Scenes"],
];
const MOMENTS = [["", "usual"], ["now", "now"], ["beat", "beat"], ["bar", "bar"], ["phrase", "phrase"], ["section", "section"]]; // prettier-ignore
const TONICS = "C,Db,D,Eb,E,F,F#,G,Ab,A,Bb,B".split(",");
const MODES = "major,minor,dorian,mixolydian,lydian,phrygian,locrian,harmonic minor,melodic minor".split(",");

export class Launch {
  constructor({ store, order, link }) {
    this.store = store;
    this.order = order;
    this.link = link;
    this.moment = kept.get("moment", "");
    this.waiting = new Map(); // buttons, and the bar at which each takes effect
    this.groups = new Map();
    const moments = choice("When", MOMENTS, this.moment, (moment) => {
      this.moment = moment;
      kept.set("moment", moment);
    });
    $("launch").append(
      h("header", { class: "head" }, h("h2", { text: "Launch" })),
      h("div", { class: "row when" }, h("span", { class: "label", text: "when" }), moments),
    );
    for (const [kind, title] of KINDS) {
      const list = h("div", { class: `launchers ${kind}` });
      const group = h("section", { class: "group", data: { place: "" } }, h("h3", { text: title }), list);
      this.groups.set(kind, { group, list, buttons: new Map() });
      $("launch").append(group);
      store.watch(`/componium/${kind}`, (name) => this.light(kind, name));
    }
    this.key();
    store.watch("/componium/armed", (...armed) => this.arm(armed));
  }

  key() {
    const tonic = h("select", { "aria-label": "Tonic" }, ...TONICS.map((name) => h("option", { value: name, text: name.replace("b", "♭").replace("#", "♯") })));
    const mode = h("select", { "aria-label": "Mode" }, ...MODES.map((name) => h("option", { value: name, text: name })));
    const go = h("button", { type: "button", text: "turn" });
    go.addEventListener("click", () => this.fire(go, "/componium/key", `${tonic.value} ${mode.value}`));
    $("launch").append(h("section", { class: "group", data: { place: "" } }, h("h3", { text: "Key" }), h("div", { class: "row key" }, tonic, mode, go)));
    this.store.watch("/componium/key", (name = "") => {
      if ([tonic, mode].includes(document.activeElement)) return;
      const [first, ...rest] = name.split(" ");
      if (TONICS.includes(first)) tonic.value = first;
      if (MODES.includes(rest.join(" "))) mode.value = rest.join(" ");
    });
  }

  /** The names that there are now. */
  fill() {
    for (const [kind, { group, list, buttons }] of this.groups) {
      const names = this.store.names(`/componium/${kind}`);
      group.hidden = !names.length;
      if (names.join("\n") === [...buttons.keys()].join("\n")) continue;
      for (const button of buttons.values()) this.waiting.delete(button);
      buttons.clear();
      names.forEach((name, nth) => {
        const button = h("button", {
          type: "button",
          class: "launcher",
          data: { learn: `/componium/${kind} ${name}` },
          onclick: () => this.fire(button, `/componium/${kind}`, name),
        });
        button.append(h("span", { text: name }), h("b", { class: "count", "aria-hidden": "true" }));
        if (kind === "section" && nth < 9) button.append(h("kbd", { text: nth + 1 }));
        buttons.set(name, button);
      });
      list.replaceChildren(...buttons.values());
      this.light(kind, this.store.get(`/componium/${kind}`, ""));
    }
  }

  light(kind, name) {
    for (const [each, button] of this.groups.get(kind).buttons) {
      button.setAttribute("aria-current", each === name);
    }
  }

  /** A section by its number, from 1. */
  section(number) {
    [...this.groups.get("section").buttons.values()][number - 1]?.click();
  }

  fire(button, address, name) {
    const args = this.moment ? [name, this.moment] : [name];
    const again = this.waiting.get(button);
    if (again) {
      this.order(button, "/componium/cancel", [address]);
      return;
    }
    button.classList.add("asked");
    this.order(button, address, args, ({ state, bar }) => {
      button.classList.remove("asked");
      if (state === "armed") this.waiting.set(button, { bar });
      else this.disarm(button);
      button.classList.toggle("armed", state === "armed");
    });
  }

  disarm(button) {
    this.waiting.delete(button);
    button.classList.remove("armed");
    const count = button.querySelector(".count");
    if (count) write(count, "");
  }

  /** What is armed, whoever has asked for it: "tempo at bar 9", "section at bar 9: Boss" each. */
  arm(armed) {
    this.armed = armed.map((text) => {
      const [, what = text, bar = 0, to = ""] = text.match(/^(.*?) at bar ([\d.e+]+)(?:: (.*))?$/) ?? [];
      const kind = what === "scene" && to.startsWith("style ") ? "" : `${what.replaceAll("/", " ")} `;
      return { what, bar: Number(bar), name: `${kind}${to}`.trim() };
    });
    const list = $("armed");
    list.hidden = !armed.length;
    list.replaceChildren(
      ...this.armed.map((each) => {
        each.count = h("b");
        const button = h("button", {
          type: "button", class: "quiet", text: "×", "aria-label": `Call off ${each.name}`,
          onclick: () => this.order(button, "/componium/cancel", [each.what]),
        }); // prettier-ignore
        return h("li", { data: { place: "" } }, h("span", { text: each.name }), each.count, button);
      }),
    );
  }

  draw(pulse, now) {
    for (const [button, { bar }] of this.waiting) {
      const count = button.querySelector(".count");
      if (count) write(count, pulse.until(bar, now));
    }
    for (const each of this.armed ?? []) write(each.count, pulse.until(each.bar, now) || "now");
  }
}
