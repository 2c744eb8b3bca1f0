import { Link, unlock } from "./link.js";

const $ = (id) => document.getElementById(id);
const rows = new Map();
const voices = new Map();
let audio = null;

function show(values) {
  for (const [address, value] of Object.entries(values)) {
    if (!rows.has(address)) {
      const row = $("state").insertRow();
      row.insertCell().textContent = address;
      rows.set(address, row.insertCell());
    }
    rows.get(address).textContent = value.join(", ");
  }
}

/** A plain tone for a note of the plan, at its time. */
function sound(note) {
  voices.get(note.id)?.stop();
  const shift = audio.currentTime - performance.now() / 1000;
  const from = link.here(note.at) + shift;
  const until = link.here(note.end) + shift;
  if (from < audio.currentTime - 0.1 || note.channel === 10) return;
  const tone = new OscillatorNode(audio, { frequency: 440 * 2 ** ((note.pitch - 69) / 12) });
  const level = new GainNode(audio, { gain: 0 });
  level.gain.setTargetAtTime(note.velocity / 8, from, 0.005);
  level.gain.setTargetAtTime(0, until, 0.02);
  tone.connect(level).connect(audio.destination);
  tone.start(from);
  tone.stop(until + 0.2);
  tone.onended = () => voices.delete(note.id);
  voices.set(note.id, tone);
}

function heard(what) {
  if (what.snapshot) {
    $("state").replaceChildren();
    rows.clear();
    show(what.snapshot);
    $("said").textContent = what.role === "view" ? "View only: open the link that play prints." : "";
  }
  if (what.state) show(what.state);
  if (what.scene) $("title").textContent = what.scene.title;
  if (what.event === "beat") {
    $("where").textContent = `${what.bar}:${what.position}  ${what.tempo} bpm  ${what.meter}`;
  }
  if (what.receipt) {
    $("said").textContent = `${what.receipt} ${what.state} ${what.reason}`;
  }
  if (what.lost) $("said").textContent = "The connection is lost; trying again.";
  if (audio) {
    for (const item of what.plan ?? []) if (item.event === "note") sound(item);
    for (const id of what.forget ?? []) voices.get(id)?.stop();
  }
}

await unlock();
const link = new Link(["state", "beats", "marks", "log"], heard);
for (const button of document.querySelectorAll("[data-set]")) {
  button.onclick = () => link.set(button.dataset.set);
}
$("sound").onclick = () => {
  audio ??= new AudioContext();
  link.hear = [...link.hear, "plan"];
  link.send({ hear: link.hear });
};
