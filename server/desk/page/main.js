// The page: what is heard from the server goes to the panels, what is pressed goes to the server.

import { steady } from "./faders.js";
import { Launch } from "./launch.js";
import { band, bands, Link, unlock } from "./link.js";
import { MoodPanel } from "./mood.js";
import { engraved, hueOf } from "./names.js";
import { Parts } from "./parts.js";
import { Pulse } from "./pulse.js";
import { Rig } from "./rig.js";
import { Roll } from "./roll.js";
import { Rules } from "./rules.js";
import { Sound } from "./sound.js";
import { Store } from "./store.js";
import { $, amiss, h, kept, write } from "./ui.js";

const HEAR = ["state", "beats", "marks", "plan", "why", "log", "health"];
const HIDDEN = ["log"]; // of a page that is neither seen nor heard
const TABS = ["mood", "launch", "parts", "rules", "rig"];
const SILENT = 3000; // ms in which sound should have begun
const FRAME = 30; // ms between two pictures at least: every other one of most screens
const FORGIVEN = 1000; // ms without a connection that nobody need hear of

await unlock();

const store = new Store();
let learning = null;
let learnt = ""; // the address that waits for a knob
let lost = null;
let role = "view";

const link = new Link(HEAR, heard);
const pulse = new Pulse(link);
const sound = new Sound(link);
const roll = new Roll(store, pulse);
const tools = { store, link, pulse, order, edit, learn };
const mood = new MoodPanel(tools);
const launch = new Launch(tools);
const parts = new Parts(tools);
const rules = new Rules(tools);
const rig = new Rig(tools);
rig.amiss = () => document.body.dataset.tab === "rig" || $("rig-tab").classList.add("news");
window.componium = { store, link, pulse, sound, roll, rules, rig };

// Commands -----------------------------------------------------------------------------------

/**
 * Send a command for a control, and say beside it if it is refused.
 * told: called with each receipt. own: whoever asks says himself what is wrong.
 */
function order(control, address, args, told = () => {}, own = false) {
  link.set(address, args, (receipt) => {
    const { state, reason } = receipt;
    control.dataset.state = state;
    if (state === "refused" || state === "lost") {
      if (!own) amiss(control, sayable(reason));
      // As the server puts it in its log, which may come to us too: once is enough.
      if (state === "lost") rig.tell(`${address}: ${reason}`, "bad");
      else if (!own) rig.tell(`desk: ${address} refused: ${reason}`, "bad");
    } else if (state !== "superseded") amiss(control, "");
    told(receipt);
  });
}

const sayable = (reason) =>
  reason.includes("needs the role") ? "This page may only look. Open the link that play prints." : reason;

/** Have the next control that is touched be learnt by the next knob that is moved. */
function learn(button) {
  learning = learning ? null : button;
  button.setAttribute("aria-pressed", learning !== null);
  document.body.classList.toggle("learns", learning !== null);
  notice(learning ? "Touch what is to be learnt, then move a knob or press a pad." : "");
}

/** Take what is touched as what is to be learnt, and keep it from doing anything itself. */
function choose(event) {
  const target = event.target.closest("[data-learn]");
  if (!learning || !target) return false;
  event.preventDefault();
  event.stopPropagation();
  const button = learning;
  learn(button);
  learnt = target.dataset.learn;
  order(button, "/componium/learn", [learnt]);
  return true;
}

document.addEventListener(
  "pointerdown",
  (event) => {
    if (!choose(event)) return;
    const still = (click) => (click.stopPropagation(), click.preventDefault());
    document.addEventListener("click", still, { capture: true, once: true });
    setTimeout(() => document.removeEventListener("click", still, true), 700); // a drag ends without one
  },
  true,
);
document.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && choose(event), true);

steady(document); // after the above: what is learnt is not moved

function edit(part) {
  show("rules");
  rules.open(part);
}

// What is heard ------------------------------------------------------------------------------

function heard(what) {
  if (what.lost) return lose();
  if (what.gone) return away();
  if (what.snapshot) arrive(what);
  if (what.state) store.take(what.state);
  if (what.scene && !what.snapshot) cast(what.scene);
  if (what.COMMAND) {
    survey();
    choices();
  }
  if (what.forget) {
    roll.forget(what.forget, link.now());
    pulse.unsay(what.forget);
    if (sound.context) sound.forget(what.forget);
  }
  if (what.plan) plan(what.plan);
  if (what.receipt === "/componium/learn" && learnt) notice(`${learnt}: ${what.reason}`, 30_000); // armed, and what became of it
  if (what.health) rig.tellHealth(what.health, sound);
  if (what.event) happen(what);
  if (typeof what.error === "string") rig.tell(what.error, "bad"); // an event may have one that is a number
}

async function arrive(snapshot) {
  const again = lost !== null;
  clearTimeout(lost);
  lost = null;
  role = snapshot.role;
  document.body.classList.toggle("view", role === "view");
  notice(
    role === "view" ? "You can see and listen. To play, open the link that play prints (or scripts/componium token)." : again ? "Connected again." : "",
    role === "view" ? 0 : 2500,
  );
  choices();
  if (!snapshot.hear.includes("state")) return; // it is hidden
  roll.clear();
  pulse.forget();
  pulse.last = null;
  sound.silence();
  store.values.clear();
  store.take(snapshot.snapshot);
  transport(snapshot.playing);
  if (snapshot.beat) {
    pulse.meter = snapshot.beat.meter;
    pulse.last = snapshot.beat;
    meter(snapshot.beat);
  }
  chord(snapshot.chord?.name ?? "–");
  nextChord("");
  rig.reach(true);
  rig.clearPorts(snapshot.ports);
  if (snapshot.scene) await cast(snapshot.scene);
}

function lose() {
  transport(false);
  sound.silence();
  rig.reach(false);
  lost ??= setTimeout(() => notice("The connection is lost. Trying again; what plays elsewhere plays on."), FORGIVEN);
}

/** The band of this page has been closed, or is not there yet. */
function away() {
  transport(false);
  sound.silence();
  notice(`There is no band called ${band} now. As soon as there is, it is here.`);
  choices();
}

/** Which bands this page may play; nothing to choose where there is one. */
async function choices() {
  const there = [...new Set(["", ...(await bands()), band])];
  const select = $("band");
  select.replaceChildren(...there.map((name) => h("option", { value: name, text: name || "main band", selected: name === band })));
  select.closest("label").hidden = there.length < 2;
}

$("band").onchange = ({ target }) => {
  location.assign(target.value ? `/?session=${encodeURIComponent(target.value)}` : "/");
};

let casting = null;

async function cast(scene) {
  if (casting?.name !== scene.name) pulse.section = pulse.next = null; // those were of the other
  store.scene = scene;
  casting = scene;
  write($("title"), scene.title || "Componium");
  document.title = `${scene.title} · ${band || "Componium"}`;
  const named = new Map(scene.parts.map((part, nth) => [part.name, hueOf(nth)]));
  roll.cast(named);
  sound.cast(scene.parts.map((part) => ({ ...part })));
  parts.cast(scene);
  mood.cast(scene);
  await store.survey();
  if (casting !== scene) return;
  launch.fill();
  rules.cast(scene);
  rig.cast(scene);
}

let surveying = null;

/** The tree has changed: look at it again, once for all that is told of it. */
function survey() {
  clearTimeout(surveying);
  surveying = setTimeout(async () => {
    await store.survey();
    launch.fill();
    rig.cast(store.scene);
  }, 150);
}

function plan(items) {
  roll.plan(items);
  for (const item of items) {
    if (item.event === "note") parts.played(item);
    else if (item.event === "say") {
      pulse.say(item);
      if (item.address === "/beat") roll.beat(item);
    }
  }
  sound.plan(items);
}

/** What was told ahead is so now. */
function come({ at, address, args }) {
  if (address === "/chord") {
    chord(args[0]);
    roll.mark(at, engraved(args[0]), "chord");
    if (pulse.next?.name === args[0]) nextChord("");
  } else if (address === "/chord/next") {
    const [name, bar, beat] = args;
    pulse.next = { name, bar: bar + (beat - 1) / pulse.beats };
    nextChord(name);
  } else if (address === "/section") roll.mark(at, args[0], "section");
  else if (address === "/section/next") {
    pulse.section = { name: args[0], bar: args[1] };
  } else if (address === "/key") {
    store.take({ "/componium/key": [args[0]] });
  }
}

function happen(event) {
  if (event.event === "beat") {
    pulse.meter = event.meter;
    meter(event);
    if (!pulse.last || event.at > pulse.last.at + 0.2) {
      pulse.last = { at: event.at, bar: event.bar, beat: Math.floor(event.position), tempo: event.tempo };
    }
  } else if (event.event === "transport") transport(event.state === "playing");
  else if (event.event === "port") rig.port(event);
  else if (event.event === "trouble") rig.tell(`${event.source}: ${event.text}`, "bad");
  else if (event.event === "scene") rig.tell(`scene ${event.name}`);
  else if (event.event === "program") {
    sound.programmed(event.part, event.program);
    parts.programmed(event.part, event.program);
  }
}

// Head ---------------------------------------------------------------------------------------

let halted = false;

function transport(playing) {
  const play = $("play");
  if (pulse.playing && !playing) {
    halted = true;
    pulse.forget();
  }
  pulse.playing = playing;
  document.body.classList.toggle("plays", playing);
  play.setAttribute("aria-label", playing ? "Stop" : "Play");
  $("continue").hidden = playing || !halted;
  if (!playing) parts.hush();
}

function meter({ meter: text }) {
  pulse.signature = text;
  pace();
}

function pace() {
  const bpm = store.get("/componium/tempo");
  const [source, state] = ["sync", "sync/state"].map((each) => store.get(`/componium/${each}`, ""));
  const led = source && source !== "internal" ? `  ${source} ${state}` : "";
  write($("pace"), bpm === undefined ? "" : `${bpm.toFixed(bpm % 1 ? 1 : 0)} bpm  ${pulse.signature ?? ""}${led}`);
}

const chord = (name) => write($("chord"), engraved(name));
const nextChord = (name) => {
  if (!name) pulse.next = null;
  $("chord-next").dataset.name = name;
  write($("chord-next"), engraved(name));
};

for (const address of ["tempo", "sync", "sync/state"]) store.watch(`/componium/${address}`, pace);
store.watch("/componium/play", (playing) => transport(playing));
for (const address of ["/componium/key", "/componium/style", "/componium/seed"]) store.watch(address, about);

function about() {
  const [key, style, seed] = ["key", "style", "seed"].map((each) => store.get(`/componium/${each}`, ""));
  write($("about"), [engraved(String(key)), style, `seed ${seed}`].filter(Boolean).join(" · "));
}

store.watch("/componium/section", (name) => write($("section"), name));
store.watch("/componium/section/bar", (bar, left) => {
  const of = left === 0 ? "" : ` of ${bar + left - 1}`;
  write($("section-left"), store.get("/componium/section", "") ? `bar ${bar}${of}` : ""); // without a form the head has it
});
store.watch("/componium/energy", (energy) => {
  $("energy").style.setProperty("--energy", energy);
});
store.watch("/componium/phrase", (bar, left) => {
  const list = $("phrase");
  const all = Math.min(bar + left - 1, 32);
  while (list.children.length > all) list.lastChild.remove();
  while (list.children.length < all) list.append(h("li"));
  [...list.children].forEach((dot, n) => (dot.className = n + 1 < bar ? "past" : n + 1 === bar ? "here" : ""));
  list.setAttribute("aria-label", `Phrase: bar ${bar} of ${all}`);
});

$("play").onclick = () => order($("play"), pulse.playing ? "/componium/stop" : "/componium/play", []);
$("continue").onclick = () => order($("continue"), "/componium/continue", []);
$("panic").onclick = () => {
  sound.silence();
  order($("panic"), "/componium/panic", []);
};

let fades = null;

/** A word for everybody; ms: how long, 0 for until there is another one. */
function notice(text, ms = 0) {
  const place = $("notice");
  clearTimeout(fades);
  write(place, text);
  place.hidden = !text;
  if (ms) fades = setTimeout(() => (place.hidden = true), ms);
}

// Sound --------------------------------------------------------------------------------------

sound.changed = () => {
  const { on } = sound;
  $("listen").classList.toggle("on", on);
  write($("listen"), on ? "Listening" : "Listen");
  $("listen").setAttribute("aria-pressed", on);
  $("volume").closest("label").hidden = !on;
  $("mute").hidden = !on;
  $("mute").setAttribute("aria-pressed", sound.muted);
  $("volume").value = sound.volume;
  attend();
};

async function listen() {
  if (sound.on) return sound.hush();
  const mute = setTimeout(() => notice("This browser does not start its sound. Has this machine an output?", 12_000), SILENT);
  await sound.listen();
  clearTimeout(mute);
  const now = link.now();
  sound.plan([...roll.notes.values()].filter((note) => note.end > now));
}

$("listen").onclick = listen;
$("volume").oninput = () => sound.setVolume(Number($("volume").value), false);
$("mute").onclick = () => {
  sound.setVolume(sound.volume, !sound.muted);
  sound.changed();
};
sound.changed();
if (kept.get("listen", "no") === "yes") {
  // Browsers want a touch first, wherever it is.
  const wake = (event) => {
    removeEventListener("pointerdown", wake, true);
    removeEventListener("keydown", wake, true);
    if (!sound.on && !event.target.closest?.("#listen")) listen();
  };
  addEventListener("pointerdown", wake, true);
  addEventListener("keydown", wake, true);
}

/** Whoever neither sees nor hears anything of it need not be told of every note. */
function attend() {
  link.attend(document.hidden && !sound.on ? HIDDEN : HEAR);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && sound.context && kept.get("listen", "no") === "yes") sound.context.resume();
  attend();
});
attend(); // it may be opened behind another

// Looks, tabs and keys -----------------------------------------------------------------------

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  roll.dye();
  mood.stale = true;
  mood.map();
}

theme(kept.get("theme", ""));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(kept.get("theme", "")));
$("theme").onclick = () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  kept.set("theme", next === (dark ? "dark" : "light") ? "" : next);
  theme(kept.get("theme", ""));
};

function show(tab) {
  if (!TABS.includes(tab)) return;
  if (document.body.dataset.tab !== tab) $("desk").scrollTop = 0; // where it is what scrolls
  document.body.dataset.tab = tab;
  if (tab === "rig") $("rig-tab").classList.remove("news");
  kept.set("tab", tab);
  for (const button of document.querySelectorAll(".tabs [data-to]")) {
    button.setAttribute("aria-current", button.dataset.to === tab);
  }
}

for (const button of document.querySelectorAll(".tabs [data-to]")) button.onclick = () => show(button.dataset.to);
show(kept.get("tab", "mood"));
$("helping").onclick = () => $("help").showModal();

const KEYS = {
  " ": () => $("play").click(),
  Escape: () => $("panic").click(),
  "[": () => order($("play"), "/componium/tempo", [store.get("/componium/tempo", 120) - 2]),
  "]": () => order($("play"), "/componium/tempo", [store.get("/componium/tempo", 120) + 2]),
  g: () => order($("play"), "/componium/feedback", [1]),
  b: () => order($("play"), "/componium/feedback", [-1]),
  l: () => listen(),
  m: () => $("mute").click(),
  c: () => order($("play"), "/componium/cancel", []),
  t: () => $("theme").click(),
  "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (learning && event.key === "Escape") return learn(learning);
  const { target } = event;
  if (target.matches("textarea, select, input:not([type=range])")) return;
  if (event.key === " " && target.matches("button, a, [role=radio]")) return;
  if (/^[1-9]$/.test(event.key)) launch.section(Number(event.key));
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});

// Time ---------------------------------------------------------------------------------------

let place = "";
let drawn = 0;

function frame(time) {
  requestAnimationFrame(frame);
  const now = link.now();
  if (now === null || time - drawn < FRAME) return;
  drawn = time;
  for (const word of pulse.due(now)) come(word);
  const bars = pulse.bars(now);
  if (bars !== null) {
    const bar = Math.floor(bars);
    const text = `${bar}·${Math.floor((bars - bar) * pulse.beats + 1e-6) + 1}`;
    if (text !== place) {
      place = text;
      write($("place"), text);
      $("place").dataset.beat = text.split("·")[1] === "1" ? "down" : "";
      coming(now);
    }
  }
  roll.draw(now);
  mood.draw(pulse, now);
  parts.draw(now);
  launch.draw(pulse, now);
  rules.draw(now);
}

/** What is to come, counted down at each beat. */
function coming(now) {
  const { next, section } = pulse;
  if (next) {
    const left = pulse.until(next.bar, now);
    write($("chord-next"), left ? `${engraved(next.name)} in ${left}` : "");
  }
  const left = section ? pulse.until(section.bar, now) : "";
  write($("coming"), left ? `${section.name} in ${left}` : "");
}

requestAnimationFrame(frame);
