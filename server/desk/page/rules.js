// Rules: the text in which a part's music is written, or a whole scene, to be written otherwise
// while it plays.

import { full } from "./link.js";
import { $, h, write } from "./ui.js";

const WHOLE = "(whole scene)"; // no part can be called so
const WRITE = "/componium/scene/write";
const HINTS = {
  part: "The other parts play on. A mistake changes nothing: it is told here, and the old rules play. No file is changed.",
  scene: "The scene's file. It is kept under this name and goes on as it says. A mistake changes nothing and writes nothing. Shipped scenes stay as they are.",
}; // prettier-ignore

export class Rules {
  constructor({ store, order, pulse }) {
    this.store = store;
    this.order = order;
    this.pulse = pulse;
    this.part = null;
    this.drafts = new Map(); // texts that are not played yet, by part
    this.playing = ""; // the text that plays
    this.picker = h("div", { class: "picker", role: "group", "aria-label": "Part" });
    this.gutter = h("pre", { class: "gutter", "aria-hidden": "true" });
    this.mark = h("div", { class: "mark", hidden: true });
    this.text = h("textarea", {
      spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off", "aria-label": "Rules",
    }); // prettier-ignore
    this.wrong = h("p", { class: "wrong", role: "alert", hidden: true });
    this.swap = h("button", { type: "button", class: "primary", text: "Play from the next bar" });
    this.name = h("input", { type: "text", "aria-label": "Name of the scene", maxlength: 64, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
    this.naming = h("label", { class: "row naming", hidden: true }, h("span", { class: "label", text: "keep as" }), this.name);
    this.hint = h("p", { class: "hint" });
    this.back = h("button", { type: "button", class: "quiet", text: "back to what plays" });
    this.save = h("button", { type: "button", class: "quiet", text: "download" });
    this.said = h("span", { class: "said" });
    $("rules").append(
      h("header", { class: "head" }, h("h2", { text: "Rules" }), this.said),
      this.picker,
      this.wrong,
      h("div", { class: "editor" }, this.gutter, h("div", { class: "page" }, this.mark, this.text)),
      h("div", { class: "row", data: { place: "" } }, this.naming, this.swap, this.back, this.save),
      this.hint,
    ); // prettier-ignore
    this.text.addEventListener("input", () => this.typed());
    this.text.addEventListener("scroll", () => this.scrolled());
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.play();
    });
    this.swap.addEventListener("click", () => this.play());
    this.back.addEventListener("click", () => {
      this.drafts.delete(this.part);
      this.show();
    });
    this.save.addEventListener("click", () => this.download());
  }

  cast(scene) {
    this.scene = scene;
    const writable = scene.parts.filter((part) => this.store.nodes.has(`${part.address}/rules`));
    this.addresses = new Map(writable.map((part) => [part.name, `${part.address}/rules`]));
    if (this.store.nodes.has(WRITE)) this.addresses.set(WHOLE, WRITE);
    this.picker.replaceChildren(
      ...[...this.addresses.keys()].map((name) =>
        h("button", { type: "button", text: name === WHOLE ? "whole scene" : name, data: { part: name }, onclick: () => this.open(name) }),
      ),
    );
    if (scene.name !== this.of) this.drafts.clear();
    this.of = scene.name;
    this.open(this.addresses.has(this.part) ? this.part : (this.addresses.keys().next().value ?? null));
  }

  async open(part) {
    this.part = part;
    for (const button of this.picker.children) button.setAttribute("aria-pressed", button.dataset.part === part);
    if (part === null) {
      this.playing = "";
      this.show();
      return;
    }
    const value = await this.fetched(part);
    if (this.part !== part) return;
    if (value === null) return this.fail(part);
    const whole = part === WHOLE;
    this.playing = value[whole ? 1 : 0] ?? "";
    if (whole) this.name.value = value[0] ?? "";
    this.naming.hidden = !whole;
    write(this.swap, whole ? "Keep, and play from the next bar" : "Play from the next bar");
    write(this.hint, whole ? HINTS.scene : HINTS.part);
    this.show();
  }

  /** The value of a part's rules, of the whole scene's its name and text; null where they cannot be had. */
  async fetched(part) {
    try {
      const response = await fetch(`${full(this.addresses.get(part))}?VALUE`);
      return response.ok ? ((await response.json()).VALUE ?? []) : null;
    } catch {
      return null;
    }
  }

  /** Say that there is nothing to write in, as it could not be fetched; what was written here is kept. */
  fail(part) {
    this.playing = "";
    this.complain(null);
    const again = h("button", { type: "button", class: "quiet", text: "try again", onclick: () => this.open(part) });
    this.wrong.replaceChildren("These rules could not be fetched. ", again);
    this.wrong.hidden = false;
    this.text.value = "";
    for (const each of [this.text, this.swap, this.back, this.save]) each.disabled = true;
  }

  show() {
    this.save.disabled = false;
    this.complain(null);
    this.text.value = this.drafts.get(this.part) ?? this.playing;
    this.text.disabled = this.part === null;
    this.typed();
  }

  typed() {
    const { value } = this.text;
    if (value === this.playing) this.drafts.delete(this.part);
    else this.drafts.set(this.part, value);
    const lines = value.split("\n").length;
    if (lines !== this.lines) {
      this.lines = lines;
      write(this.gutter, Array.from({ length: lines }, (_, n) => n + 1).join("\n"));
    }
    const changed = this.drafts.has(this.part);
    this.swap.disabled = !changed && this.part !== WHOLE;
    this.back.disabled = !changed;
    if (changed) this.complain(null);
    this.scrolled();
  }

  scrolled() {
    this.gutter.scrollTop = this.text.scrollTop;
    this.mark.style.transform = `translateY(${-this.text.scrollTop}px)`;
  }

  play() {
    const { part } = this;
    if (part === null || this.swap.disabled) return;
    const text = this.text.value;
    write(this.said, "being read");
    this.order(
      this.swap,
      this.addresses.get(part),
      part === WHOLE ? [this.name.value.trim(), text] : [text],
      ({ state, bar, reason }) => {
        this.bar = state === "armed" ? bar : null;
        if (state === "armed") return;
        write(this.said, state !== "done" ? "" : part === WHOLE ? "it is kept, and plays" : "these rules play");
        if (state === "done") {
          if (this.drafts.get(part) === text) this.drafts.delete(part);
          if (this.part === part) this.open(part);
        } else if (state === "refused" && this.part === part) this.complain(reason);
      },
      true,
    );
  }

  /** Say what is wrong, at its line. */
  complain(reason) {
    this.wrong.hidden = !reason;
    this.mark.hidden = true;
    this.text.removeAttribute("aria-invalid");
    if (!reason) return;
    const found = reason.match(/, line (\d+)(?:, column (\d+))?: ([^]*)/);
    write(this.wrong, found ? `Line ${found[1]}${found[2] ? `, column ${found[2]}` : ""}: ${found[3]}` : reason);
    this.text.setAttribute("aria-invalid", "true");
    if (!found) return;
    const line = Number(found[1]);
    this.mark.style.setProperty("--line", line - 1);
    this.mark.dataset.line = line;
    this.mark.hidden = false;
    const before = this.text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    const row = this.text.scrollHeight / (this.text.value.split("\n").length + 2);
    this.text.scrollTop = Math.max((line + 1) * row - this.text.clientHeight / 2, 0);
    this.text.focus({ preventScroll: true });
    this.wrong.scrollIntoView({ block: "nearest" });
    this.text.setSelectionRange(before + Number(found[2] ?? 1) - 1, before + Number(found[2] ?? 1) - 1);
  }

  download() {
    const link = h("a", { download: this.part === WHOLE ? `${this.name.value || "scene"}.toml` : `${this.part}.txt`, href: URL.createObjectURL(new Blob([this.text.value], { type: "text/plain" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  draw(now) {
    if (this.bar) {
      const left = this.pulse.until(this.bar, now);
      write(this.said, left ? `in ${left}` : "now");
    }
  }
}
