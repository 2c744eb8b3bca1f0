// A drum kit with General MIDI's keys, made of noise and sines; each drum is computed once.

import { loudness } from "./voices.js";

const TAU = Math.PI * 2;

/** A random number from -1 to 1, the same each time the page is opened. */
function chance(seed) {
  let state = seed * 2654435761 + 1;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2147483648 - 1;
  };
}

/** A falling sine: from, to: Hz; fall, decay: s. */
const thump = (from, to, fall, decay, level = 1) => {
  let phase = 0;
  return (t, dt) => {
    phase += TAU * (to + (from - to) * Math.exp(-t / fall)) * dt;
    return level * Math.sin(phase) * Math.exp(-t / decay);
  };
};

/** Noise through a simple high-pass and low-pass. high, low: 0 to 1, how much they take. */
const rush = (seed, decay, level, high = 0, low = 0, attack = 0) => {
  const random = chance(seed);
  let last = 0;
  let smooth = 0;
  return (t) => {
    smooth += (random() - smooth) * (1 - low);
    const out = smooth - high * last;
    last = smooth;
    const swell = attack && t < attack ? t / attack : 1;
    return level * out * swell * Math.exp(-Math.max(t - attack, 0) / decay);
  };
};

/** Six squares out of tune, as in an old drum machine: metal. */
const metal = (base, decay, level, seed = 1) => {
  const ratios = [2, 3, 4.16, 5.43, 6.79, 8.21];
  const hiss = rush(seed, decay, 0.5, 0.95);
  let last = 0;
  let smooth = 0;
  return (t, dt) => {
    let sum = 0;
    for (const ratio of ratios) sum += Math.sin(TAU * base * ratio * t) > 0 ? 1 : -1;
    const high = sum / 6 - last * 0.9;
    last = sum / 6;
    smooth += (high * 0.5 * Math.exp(-t / decay) + hiss(t, dt) - smooth) * 0.4; // tame what hurts
    return level * smooth;
  };
};

const bell = (partials, decay, level) => (t) =>
  level * partials.reduce((sum, f, n) => sum + Math.sin(TAU * f * t) * Math.exp((-t / decay) * (1 + n * 0.5)), 0);

const clap = () => {
  const noise = rush(39, 0.1, 0.9, 0.55, 0.5);
  const tail = rush(40, 0.12, 0.7, 0.5, 0.5);
  return (t, dt) => {
    const burst = t < 0.03 ? Math.exp(-(t % 0.01) / 0.003) : 0;
    return noise(0, dt) * burst + (t > 0.025 ? tail(t - 0.025, dt) : 0);
  };
};

const sum = (...parts) => (t, dt) => parts.reduce((all, part) => all + part(t, dt), 0);

// key: [seconds, what, level, where from left (-1) to right (1)]
const tom = (hertz, side) => [0.6, () => sum(thump(hertz * 1.7, hertz, 0.05, 0.2), rush(hertz, 0.03, 0.15, 0.4)), 0.75, side];
const skin = (hertz, decay, side) => [0.4, () => sum(thump(hertz * 1.25, hertz, 0.02, decay), rush(hertz, 0.012, 0.25, 0.6)), 0.6, side];
const KIT = {
  35: [0.5, () => sum(thump(120, 46, 0.045, 0.17), rush(1, 0.006, 0.3, 0.2, 0.3)), 1, 0],
  36: [0.45, () => sum(thump(170, 50, 0.035, 0.14), rush(2, 0.005, 0.4, 0.2, 0.2)), 1, 0],
  37: [0.12, () => sum(bell([1720, 2600], 0.018, 0.4), rush(3, 0.01, 0.5, 0.8)), 0.6, -0.15],
  38: [0.35, () => sum(thump(260, 185, 0.02, 0.08, 0.6), thump(400, 330, 0.02, 0.05, 0.3), rush(4, 0.1, 0.7, 0.6)), 1, 0.05],
  39: [0.4, clap, 1, 0.15],
  40: [0.3, () => sum(thump(300, 215, 0.02, 0.07, 0.6), rush(5, 0.085, 0.8, 0.75)), 1, 0.05],
  41: tom(82, 0.45),
  42: [0.14, () => metal(208, 0.032, 0.55), 0.4, -0.3],
  43: tom(98, 0.35),
  44: [0.12, () => metal(190, 0.02, 0.5), 0.28, -0.3],
  45: tom(118, 0.2),
  46: [0.7, () => metal(208, 0.2, 0.5), 0.36, -0.3],
  47: tom(140, 0.05),
  48: tom(168, -0.15),
  49: [2.2, () => sum(metal(172, 0.6, 0.4, 7), rush(8, 0.5, 0.45, 0.8)), 0.55, -0.45],
  50: tom(200, -0.25),
  51: [1.6, () => sum(metal(246, 0.42, 0.2, 9), bell([3120, 4470], 0.3, 0.1), rush(10, 0.012, 0.2, 0.9)), 0.7, 0.4],
  52: [1.8, () => sum(metal(150, 0.45, 0.5, 11), rush(12, 0.3, 0.4, 0.7)), 0.5, 0.5],
  53: [1.2, () => bell([1245, 2310, 3370, 4710], 0.35, 0.22), 0.5, 0.4],
  54: [0.3, () => sum(metal(330, 0.08, 0.4, 13), rush(14, 0.05, 0.4, 0.95)), 0.45, 0.2],
  55: [1.1, () => sum(metal(220, 0.25, 0.45, 15), rush(16, 0.2, 0.4, 0.85)), 0.5, -0.2],
  56: [0.4, () => bell([562, 845, 1690], 0.09, 0.4), 0.45, 0.15],
  57: [2.2, () => sum(metal(160, 0.6, 0.4, 17), rush(18, 0.5, 0.45, 0.8)), 0.55, 0.45],
  60: skin(420, 0.07, 0.3),
  61: skin(310, 0.09, 0.3),
  62: skin(300, 0.04, -0.3),
  63: skin(240, 0.12, -0.3),
  64: skin(180, 0.15, -0.25),
  65: skin(360, 0.14, 0.35),
  66: skin(270, 0.16, 0.35),
  67: [0.4, () => bell([940, 1420, 2740], 0.1, 0.3), 0.4, -0.35],
  68: [0.4, () => bell([680, 1040, 2010], 0.11, 0.3), 0.4, -0.35],
  69: [0.14, () => rush(19, 0.03, 0.7, 0.92, 0, 0.012), 0.4, 0.4],
  70: [0.1, () => rush(20, 0.022, 0.7, 0.95, 0, 0.006), 0.4, -0.4],
  75: [0.15, () => bell([2480, 2510], 0.03, 0.5), 0.5, 0.25],
  76: [0.15, () => bell([1180, 1850], 0.025, 0.5), 0.5, 0.2],
  77: [0.18, () => bell([820, 1290], 0.03, 0.5), 0.5, 0.2],
  80: [0.3, () => bell([3900, 6150, 8700], 0.05, 0.2), 0.35, -0.4],
  81: [1.6, () => bell([3900, 6150, 8700], 0.5, 0.2), 0.35, -0.4],
  82: [0.12, () => rush(21, 0.03, 0.7, 0.93, 0, 0.01), 0.4, 0.35],
}; // prettier-ignore

const NEAREST = { 58: 54, 59: 51, 71: 81, 72: 81, 73: 69, 74: 69, 78: 63, 79: 64 };
const OPEN_HATS = 46;
const LOUD = 0.36; // of the loudest drum, struck as hard as can be

export class Kit {
  constructor(context) {
    this.context = context;
    this.buffers = new Map();
  }

  buffer(key) {
    if (!this.buffers.has(key)) {
      const rate = this.context.sampleRate;
      const [seconds, make] = KIT[key];
      const data = new Float32Array(Math.ceil(seconds * rate));
      const wave = make();
      let top = 0.001;
      for (let n = 0; n < data.length; n++) {
        data[n] = wave(n / rate, 1 / rate) * Math.min((data.length - n) / (0.01 * rate), 1);
        top = Math.max(top, Math.abs(data[n]));
      }
      for (let n = 0; n < data.length; n++) data[n] /= top;
      const buffer = new AudioBuffer({ length: data.length, sampleRate: rate });
      buffer.copyToChannel(data, 0);
      this.buffers.set(key, buffer);
    }
    return this.buffers.get(key);
  }

  /** A hit at a time of the context's; connect its `out`. */
  hit(pitch, velocity, time) {
    const key = KIT[pitch] ? pitch : (NEAREST[pitch] ?? 76);
    const [, , level, side] = KIT[key];
    const source = new AudioBufferSourceNode(this.context, { buffer: this.buffer(key) });
    source.playbackRate.value = 0.985 + 0.03 * Math.random();
    const loud = new GainNode(this.context, { gain: LOUD * level * loudness(velocity) });
    const out = new StereoPannerNode(this.context, { pan: side });
    source.connect(loud).connect(out);
    source.start(time);
    source.onended = () => out.disconnect();
    return new Hit(this.context, source, loud, out, time, key === OPEN_HATS);
  }
}

class Hit {
  constructor(context, source, loud, out, time, chokes) {
    Object.assign(this, { context, source, loud, out, begin: time, chokes });
    this.over = Infinity;
    this.gone = time + source.buffer.duration;
  }

  /** A drum rings as long as it rings. */
  release() {}

  kill() {
    const now = Math.max(this.context.currentTime, this.begin);
    this.loud.gain.setTargetAtTime(0, now, 0.01);
    this.source.stop(now + 0.08);
    this.gone = now + 0.08;
  }
}
