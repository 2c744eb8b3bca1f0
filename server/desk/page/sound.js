// The page as an instrument: what the plan tells, sounded by this browser, at its time.

import { Kit } from "./drums.js";
import { patchOf } from "./patches.js";
import { Voice } from "./voices.js";
import { kept } from "./ui.js";

const VOICES = 56; // at a time; the oldest give way
const WAITING = 42; // of them that may wait for their time; what is planned beyond that is left out
const LATE = 0.1; // s after which a note is better left out
const SPARE = 0.004; // s that a note must come before it sounds
const PATIENT = 0.3; // s that all may sound later where the way is long
const HEARD = 96; // notes by which the way is judged …
const FEW = 0.04; // … of which so many may come too late, a little each
const LIVE = 300; // s: a note that ends so much later is a key that is held
const DRUMS = 10;
const CENTRE = new Set(["bass", "melody", "lead"]);
const BEND = 200; // cents, as synths have it
const QUIVER = 40; // cents
const KNEE = 0.7; // of full scale
const TOP = 0.95;

export class Sound {
  constructor(link) {
    this.link = link;
    this.context = null;
    this.voices = new Map();
    this.strips = new Map();
    this.parts = new Map();
    this.delay = 0;
    this.spares = []; // s that notes of late came before they were to sound, were there no delay
    this.scheduled = 0; // notes so far
    this.late = 0; // of them, those that came too late
    this.volume = Number(kept.get("volume", "0.8"));
    this.muted = kept.get("muted", "") === "yes";
    this.changed = () => {};
  }

  get on() {
    return this.context?.state === "running";
  }

  /** Begin to sound; to be called from a click, or where the browser allows it. */
  async listen() {
    if (!this.context) this.build();
    await this.context.resume();
    this.catching = true; // what sounds already is told first
    kept.set("listen", "yes");
    this.changed();
  }

  async hush() {
    kept.set("listen", "no");
    this.silence();
    await this.context?.suspend();
    this.changed();
  }

  build() {
    const context = (this.context = new AudioContext({ latencyHint: "interactive" }));
    context.onstatechange = () => this.changed();
    this.kit = new Kit(context);
    this.bus = new GainNode(context);
    this.room = new ConvolverNode(context, { buffer: hall(context, 2.4) });
    this.roomIn = new GainNode(context, { gain: 0.55 });
    this.chorus = ensemble(context);
    this.loud = new GainNode(context);
    const limiter = new DynamicsCompressorNode(context, {
      threshold: -8, knee: 8, ratio: 12, attack: 0.002, release: 0.14,
    }); // prettier-ignore
    const ceiling = new WaveShaperNode(context, { curve: ceilingCurve(), oversample: "2x" });
    this.roomIn.connect(this.room).connect(this.bus);
    this.chorus.out.connect(this.bus);
    this.chorus.out.connect(this.roomIn);
    this.bus.connect(this.loud).connect(limiter).connect(ceiling).connect(context.destination);
    this.meter = new AnalyserNode(context, { fftSize: 1024 });
    ceiling.connect(this.meter);
    this.setVolume(this.volume, this.muted);
  }

  setVolume(volume, muted) {
    this.volume = volume;
    this.muted = muted;
    kept.set("volume", String(volume));
    kept.set("muted", muted ? "yes" : "no");
    if (this.context) {
      const wanted = muted ? 0 : volume ** 2 * 2.2;
      this.loud.gain.setTargetAtTime(wanted, this.context.currentTime, 0.02);
    }
  }

  /** The parts of the scene: their programs, and their places from left to right. */
  cast(parts) {
    this.parts = new Map(parts.map((part) => [part.name, part]));
    const wide = parts.filter((part) => part.channel !== DRUMS && !CENTRE.has(part.role));
    parts.forEach((part) => {
      const nth = wide.indexOf(part);
      // The first two stand apart by a little, each pair after them by more.
      const pair = (nth >> 1) + 1;
      part.pan = nth < 0 ? 0 : ((nth % 2 ? 1 : -1) * (0.25 + 0.35 * pair)) / ((wide.length >> 1) + 1);
      const strip = this.strips.get(part.name);
      if (strip) strip.pan.pan.setTargetAtTime(part.pan, this.context.currentTime, 0.1);
    });
    if (this.strips.size > 64) {
      for (const [name, strip] of this.strips) {
        if (this.parts.has(name)) continue;
        strip.loud.disconnect();
        strip.bend?.disconnect();
        strip.quiver?.disconnect();
        this.strips.delete(name);
      }
    }
  }

  /** A part has another sound from now on. program: from 1. */
  programmed(name, program) {
    const part = this.parts.get(name);
    if (part && program !== null) part.program = program - 1;
  }

  strip(name) {
    if (!this.strips.has(name)) {
      const { context } = this;
      const loud = new GainNode(context);
      const pan = new StereoPannerNode(context, { pan: this.parts.get(name)?.pan ?? 0 });
      const room = new GainNode(context, { gain: 0 });
      const chorus = new GainNode(context, { gain: 0 });
      const swell = new GainNode(context);
      loud.connect(swell).connect(pan).connect(this.bus);
      pan.connect(room).connect(this.roomIn);
      pan.connect(chorus).connect(this.chorus.in);
      this.strips.set(name, { loud, swell, pan, room, chorus, bright: 1 });
    }
    return this.strips.get(name);
  }

  /** Find out how the context's time stands to the page's. */
  aim() {
    const { context } = this;
    const told = context.getOutputTimestamp?.();
    let shift = context.currentTime - performance.now() / 1000;
    if (told?.contextTime > 0 && told.performanceTime > 0) {
      const fine = told.contextTime - told.performanceTime / 1000;
      if (Math.abs(fine - shift) < 0.25) shift = fine;
    }
    // One reading is as coarse as the device's buffer; many are not.
    if (this.shift === undefined || Math.abs(shift - this.shift) > 0.1) this.shift = shift;
    this.shift += (shift - this.shift) * 0.1;
  }

  /** The context's time at which something is heard at a time of the server's. */
  time(at) {
    return this.link.here(at) + this.shift + this.delay;
  }

  plan(items) {
    if (!this.on || this.link.offset === null) return;
    this.aim();
    for (const item of items) {
      if (item.event === "note") this.note(item);
      else if (item.event === "control") this.control(item);
      else if (item.event === "bend") this.tuning(item.part).bend.offset.setTargetAtTime(item.value * BEND, this.soon(item), 0.008);
      else if (item.event === "pressure") this.press(item);
    }
    this.catching = false;
    if (this.spares.length >= HEARD) this.adjust();
  }

  note(item) {
    const known = this.voices.get(item.id);
    const end = this.time(item.end);
    const now = this.context.currentTime;
    if (known && known.begin <= now) {
      known.release(end);
      return;
    }
    if (known) {
      known.kill();
      this.voices.delete(item.id);
    }
    const wanted = this.time(item.at);
    const lives = item.end - item.at > LIVE;
    if (!lives) {
      const spare = wanted - now;
      if (spare < -LATE && !(this.catching && end > now + 0.4)) {
        if (!this.catching) this.late++;
        return;
      }
      if (!this.catching) this.spares.push(spare - this.delay);
    }
    const begin = Math.max(wanted, now);
    if (!this.makeRoom()) return;
    const part = this.parts.get(item.part);
    const strip = this.strip(item.part);
    let voice;
    if (item.channel === DRUMS) {
      voice = this.kit.hit(item.pitch, item.velocity, begin);
      if (item.pitch === 42 || item.pitch === 44) this.choke(begin);
      this.sends(strip, 0.12, 0);
    } else {
      const patch = patchOf(part?.program);
      voice = new Voice(this.context, patch, item.pitch, item.velocity, begin, strip.bright);
      voice.release(end);
      voice.part = item.part;
      if (strip.bend) voice.tune(strip);
      this.sends(strip, patch.room ?? 0.2, patch.chorus ?? 0);
    }
    voice.out.connect(strip.loud);
    this.voices.set(item.id, voice);
    this.scheduled++;
  }

  soon({ at }) {
    return Math.max(this.time(at), this.context.currentTime);
  }

  /** What bends a part's voices and has them quiver: made when it is first wanted. */
  tuning(name) {
    const strip = this.strip(name);
    if (!strip.bend) {
      const { context } = this;
      strip.bend = new ConstantSourceNode(context, { offset: 0 });
      strip.quiver = new GainNode(context, { gain: 0 });
      const slow = new OscillatorNode(context, { frequency: 5.4 });
      slow.connect(strip.quiver);
      slow.start();
      strip.bend.start();
      for (const voice of this.voices.values()) if (voice.part === name) voice.tune(strip);
    }
    return strip;
  }

  press(item) {
    const strip = this.tuning(item.part);
    const time = this.soon(item);
    strip.quiver.gain.setTargetAtTime(item.value * QUIVER, time, 0.03);
    strip.swell.gain.setTargetAtTime(1 + 0.4 * item.value, time, 0.03);
  }

  sends(strip, room, chorus) {
    if (strip.sent === room + 10 * chorus) return;
    strip.sent = room + 10 * chorus;
    strip.room.gain.value = room;
    strip.chorus.gain.value = chorus;
  }

  /** A closed hi-hat ends an open one. */
  choke(time) {
    for (const voice of this.voices.values()) {
      if (voice.chokes && voice.begin < time && voice.gone > time) {
        voice.loud.gain.setTargetAtTime(0, time, 0.01);
      }
    }
  }

  control({ part, controller, value, at }) {
    const strip = this.strip(part);
    const time = Math.max(this.time(at), this.context.currentTime);
    if (controller === 1) this.tuning(part).quiver.gain.setTargetAtTime((value / 127) * QUIVER, time, 0.03);
    else if (controller === 7 || controller === 11) strip.loud.gain.setTargetAtTime((value / 127) ** 1.5 * 1.2, time, 0.02);
    else if (controller === 10) strip.pan.pan.setTargetAtTime((value - 64) / 64, time, 0.02);
    else if (controller === 74) strip.bright = 2 ** ((value - 64) / 48);
  }

  forget(ids) {
    for (const id of ids) {
      const voice = this.voices.get(id);
      if (!voice) continue;
      if (voice.begin > this.context.currentTime || !voice.patch) voice.kill();
      else voice.release(0);
      this.voices.delete(id);
    }
  }

  silence() {
    for (const voice of this.voices.values()) voice.kill();
    this.voices.clear();
  }

  /** Let go of voices that are over, and of the oldest where there are too many; whether there is room. */
  makeRoom() {
    const now = this.context.currentTime;
    if (this.voices.size < VOICES / 2) return true;
    let waiting = 0;
    for (const [id, voice] of this.voices) {
      if ((voice.gone ?? Infinity) < now) this.voices.delete(id);
      else if (voice.begin > now) waiting++;
    }
    if (waiting >= WAITING) return false; // else what has not begun would end what sounds
    while (this.voices.size >= VOICES) {
      const [id, oldest] = this.voices.entries().next().value;
      oldest.kill();
      this.voices.delete(id);
    }
    return true;
  }

  /** Have all sound later where too much comes too late, and in time again where it need not. */
  adjust() {
    const sorted = this.spares.sort((a, b) => a - b);
    const needed = SPARE - sorted[Math.floor(sorted.length * FEW)];
    const wanted = Math.min(Math.max(needed, 0), PATIENT);
    this.delay += (wanted - this.delay) * (wanted > this.delay ? 1 : 0.5);
    if (this.delay < 0.001) this.delay = 0;
    this.spares = [];
  }
}

/** Whatever gets past the limiter bends before it breaks: straight up to KNEE, never beyond TOP. */
function ceilingCurve() {
  const curve = new Float32Array(4097);
  for (let n = 0; n < curve.length; n++) {
    const x = (n / (curve.length - 1)) * 2 - 1;
    const over = Math.max(Math.abs(x) - KNEE, 0) / (TOP - KNEE);
    curve[n] = Math.sign(x) * (Math.min(Math.abs(x), KNEE) + (TOP - KNEE) * Math.tanh(over));
  }
  return curve;
}

/** The echo of a hall that is not there: noise that dies away, dull sooner than loud. */
function hall(context, seconds) {
  const length = Math.ceil(seconds * context.sampleRate);
  const buffer = new AudioBuffer({ length, numberOfChannels: 2, sampleRate: context.sampleRate });
  for (const channel of [0, 1]) {
    const data = buffer.getChannelData(channel);
    let smooth = 0;
    for (let n = 0; n < length; n++) {
      const t = n / length;
      smooth += (Math.random() * 2 - 1 - smooth) * (0.75 - 0.65 * t);
      data[n] = smooth * (1 - t) ** 3.2 * Math.min(n / (0.012 * context.sampleRate), 1);
    }
  }
  return buffer;
}

/** Two delays that sway: in, out. */
function ensemble(context) {
  const into = new GainNode(context);
  const out = new GainNode(context, { gain: 0.6 });
  for (const [side, rate, delay] of [[-0.7, 0.53, 0.013], [0.7, 0.61, 0.017]]) { // prettier-ignore
    const line = new DelayNode(context, { delayTime: delay, maxDelayTime: 0.05 });
    const sway = new OscillatorNode(context, { frequency: rate });
    sway.connect(new GainNode(context, { gain: 0.0022 })).connect(line.delayTime);
    sway.start();
    into.connect(line).connect(new StereoPannerNode(context, { pan: side })).connect(out);
  }
  return { in: into, out };
}
