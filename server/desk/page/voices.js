// One note of a pitched instrument, out of a patch (see `patches.js`), on Web Audio's own nodes.

const waves = new WeakMap();

/** Harmonics as a wave that oscillators take. */
function periodic(context, harmonics) {
  let known = waves.get(context);
  if (!known) waves.set(context, (known = new Map()));
  if (!known.has(harmonics)) {
    const imag = new Float32Array([0, ...harmonics]);
    known.set(harmonics, context.createPeriodicWave(new Float32Array(imag.length), imag));
  }
  return known.get(harmonics);
}

let noise = null;

/** Two seconds of white noise. */
export function hiss(context) {
  if (noise?.sampleRate !== context.sampleRate) {
    noise = new AudioBuffer({ length: context.sampleRate * 2, sampleRate: context.sampleRate });
    const data = noise.getChannelData(0);
    for (let n = 0; n < data.length; n++) data[n] = Math.random() * 2 - 1;
  }
  return noise;
}

/** A factor on how loud, of a velocity from 0 to 1; a tenth of it is 38 dB softer. */
export const loudness = (velocity) => (velocity / 0.7) ** 1.9 * 0.6;

/**
 * A voice that begins at a time of the context's. velocity: 0 to 1. bright: factor on the filter.
 * Connect its `out`; `release` it at a time, and again at another one as long as that has not come.
 */
export class Voice {
  constructor(context, patch, pitch, velocity, time, bright = 1) {
    this.context = context;
    this.patch = patch;
    this.begin = time;
    this.over = Infinity;
    this.sources = [];
    this.tuned = []; // of them, those that have the note's pitch
    const hertz = 440 * 2 ** ((pitch - 69) / 12);
    const out = (this.out = context.createGain());
    const body = this.shaped(hertz, velocity, time, bright);
    body.connect(this.level(hertz, velocity, time)).connect(out);
    const vibrato = this.vibrato(time);
    for (const each of patch.waves) {
      const oscillator = context.createOscillator();
      if (typeof each.kind === "string") oscillator.type = each.kind;
      else oscillator.setPeriodicWave(periodic(context, each.kind));
      oscillator.frequency.value = hertz * each.ratio;
      oscillator.detune.value = each.cents;
      vibrato?.connect(oscillator.detune);
      const level = context.createGain();
      level.gain.value = each.level;
      oscillator.connect(level).connect(body);
      if (patch.fm) this.modulate(oscillator, hertz, velocity, time);
      this.start(oscillator, time);
      this.tuned.push(oscillator);
    }
    if (patch.breath) this.breathe(hertz, velocity, time, out);
  }

  start(source, time) {
    source.start(time);
    this.sources.push(source);
  }

  /** The filter that all goes through, or nothing but a node. */
  shaped(hertz, velocity, time, bright) {
    const { filter } = this.patch;
    if (!filter) return this.context.createGain();
    const node = this.context.createBiquadFilter();
    const nyquist = this.context.sampleRate * 0.45;
    const held = (f) => Math.min(Math.max(f, 60), nyquist);
    const base = hertz * filter.base * bright * (0.55 + 0.75 * velocity);
    const peak = base * 2 ** (filter.octaves * (0.4 + 0.6 * velocity));
    node.type = "lowpass";
    node.Q.value = filter.q;
    if (filter.rise) {
      node.frequency.setValueAtTime(held(base), time);
      node.frequency.linearRampToValueAtTime(held(peak), time + filter.rise);
    } else {
      node.frequency.setValueAtTime(held(peak), time);
      node.frequency.setTargetAtTime(held(base), time + 0.002, filter.decay / 2);
    }
    return node;
  }

  level(hertz, velocity, time) {
    const [attack, decay, sustain] = this.patch.env;
    const node = this.context.createGain();
    const peak = this.patch.gain * loudness(velocity);
    const shorter = this.patch.ring ? (220 / hertz) ** 0.45 : 1;
    node.gain.setValueAtTime(0, time);
    node.gain.linearRampToValueAtTime(peak, time + attack);
    node.gain.setTargetAtTime(peak * sustain, time + attack, (decay * shorter) / 2.5);
    if (this.patch.trem) {
      const [rate, depth] = this.patch.trem;
      const slow = new OscillatorNode(this.context, { frequency: rate });
      slow.connect(new GainNode(this.context, { gain: depth * peak * 0.5 })).connect(node.gain);
      this.start(slow, time + 0.1);
    }
    return node;
  }

  vibrato(time) {
    if (!this.patch.vib) return null;
    const [rate, cents, onset] = this.patch.vib;
    const slow = new OscillatorNode(this.context, { frequency: rate });
    const depth = new GainNode(this.context, { gain: 0 });
    depth.gain.setValueAtTime(0, time + onset);
    depth.gain.linearRampToValueAtTime(cents, time + onset + 0.3);
    this.start(slow, time);
    return slow.connect(depth);
  }

  modulate(carrier, hertz, velocity, time) {
    const { ratio, index, decay, stays } = this.patch.fm;
    const modulator = new OscillatorNode(this.context, { frequency: hertz * ratio });
    const depth = new GainNode(this.context, { gain: 0 });
    const most = index * hertz * ratio * velocity;
    depth.gain.setValueAtTime(most, time);
    depth.gain.setTargetAtTime(most * stays, time, decay / 2);
    modulator.connect(depth).connect(carrier.frequency);
    this.start(modulator, time);
    this.tuned.push(modulator);
  }

  breathe(hertz, velocity, time, out) {
    const { level, decay, ratio } = this.patch.breath;
    const source = new AudioBufferSourceNode(this.context, { buffer: hiss(this.context), loop: true });
    const band = new BiquadFilterNode(this.context, {
      type: "bandpass",
      frequency: Math.min(hertz * ratio, 9000),
      Q: 0.9,
    });
    const node = new GainNode(this.context, { gain: 0 });
    node.gain.setValueAtTime(level * velocity * this.patch.gain * 3, time);
    node.gain.setTargetAtTime(level * this.patch.gain * (decay > 0.1 ? 0.4 : 0), time, decay / 2);
    source.connect(band).connect(node).connect(out);
    source.start(time, Math.random());
    this.sources.push(source);
  }

  /** Have a strip's bend and quiver move its pitch, in cents. */
  tune({ bend, quiver }) {
    for (const source of this.tuned) {
      bend.connect(source.detune);
      quiver.connect(source.detune);
    }
  }

  /** End at a time; what rings on after it takes the patch's release. */
  release(time) {
    const now = this.context.currentTime;
    if (this.over <= now) return;
    const release = this.patch.env[3];
    const at = Math.max(time, now, this.begin);
    const gain = this.out.gain;
    gain.cancelScheduledValues(0);
    gain.setValueAtTime(1, now);
    gain.setTargetAtTime(0, at, release / 3);
    this.over = at;
    this.stop(at + release * 2 + 0.05);
  }

  /** End at once, without a click. */
  kill() {
    const now = this.context.currentTime;
    const gain = this.out.gain;
    gain.cancelScheduledValues(0);
    gain.setTargetAtTime(0, now, 0.008);
    this.over = Math.min(this.over, now);
    this.stop(Math.max(now, this.begin) + 0.06);
  }

  stop(time) {
    this.gone = time;
    for (const source of this.sources) source.stop(time);
    const [last] = this.sources;
    if (last) last.onended = () => this.out.disconnect();
  }
}
