// What each of General MIDI's sounds is made of, as plain values for `voices.js`.
//
// waves: oscillators: kind (a wave's name, or its harmonics), ratio to the note, cents, level.
// fm: a modulator: ratio, index at the loudest, decay in s, what stays of the index.
// filter: low-pass: base in multiples of the note, octaves of its envelope, decay in s, resonance.
//   rise: it opens in so many seconds instead.
// env: attack, decay (s), sustain (0 to 1), release (s).  ring: decay grows shorter with pitch.
// vib: rate in Hz, depth in cents, onset in s.  breath: level, decay, multiple of the note.
// room, chorus: how much of it goes there.

const PIANO = [1, 0.62, 0.36, 0.26, 0.15, 0.12, 0.06, 0.08, 0.04, 0.03, 0.02];
const PLUCK = [1, 0.7, 0.5, 0.3, 0.32, 0.16, 0.12, 0.14, 0.08, 0.06, 0.05, 0.04];
const DRAWBARS = [0.8, 1, 0.6, 0.5, 0, 0.3, 0, 0.25];
const REED = [1, 0.1, 0.7, 0.1, 0.45, 0.08, 0.3, 0.06, 0.15];
const DOUBLE_REED = [0.6, 0.8, 1, 0.7, 0.5, 0.35, 0.2, 0.15];
const NASAL = [1, 0.8, 0.7, 0.55, 0.4, 0.3, 0.25, 0.2, 0.12, 0.1];
const VOICE = [1, 0.55, 0.3, 0.14, 0.1, 0.05];

const wave = (kind, level = 1, cents = 0, ratio = 1) => ({ kind, level, cents, ratio });
const pair = (kind, cents, level = 0.5) => [wave(kind, level, -cents), wave(kind, level, cents)];

const piano = (hard = 1) => ({
  waves: [wave(PIANO, 0.4, -1.8), wave(PIANO, 0.34, 0.3), wave(PIANO, 0.26, 2.1)],
  filter: { base: 3.2 * hard, octaves: 1.8, decay: 0.6, q: 0.3 },
  env: [0.003, 2.6, 0, 0.16],
  ring: true,
  breath: { level: 0.16, decay: 0.018, ratio: 6 },
  room: 0.2,
  gain: 0.17,
});
const tines = (ratio, index) => ({
  waves: [wave("sine"), wave("sine", 0.12, 4)],
  fm: { ratio, index, decay: 0.55, stays: 0.12 },
  env: [0.003, 2.2, 0.02, 0.22],
  ring: true,
  room: 0.2,
  chorus: 0.35,
  gain: 0.15,
});
const plucked = (bright, decay = 1.4, harmonics = PLUCK) => ({
  waves: [wave(harmonics)],
  filter: { base: bright, octaves: 2.4, decay: 0.22, q: 0.5 },
  env: [0.002, decay, 0, 0.09],
  ring: true,
  breath: { level: 0.12, decay: 0.012, ratio: 5 },
  room: 0.2,
  gain: 0.22,
});
const mallet = (ratio, index, decay, fast = 0.08) => ({
  waves: [wave("sine")],
  fm: { ratio, index, decay: fast, stays: 0.02 },
  env: [0.001, decay, 0, 0.3],
  ring: true,
  room: 0.3,
  gain: 0.18,
});
const bass = (kind, octaves, decay = 0.25, base = 5) => ({
  waves: [wave(kind, 0.85), wave("sine", 0.35)],
  filter: { base, octaves, decay, q: 1 },
  env: [0.004, 1.3, 0.35, 0.07],
  room: 0.03,
  gain: 0.21,
});
const organ = (harmonics, more = {}) => ({
  waves: [wave(harmonics, 0.7), wave(harmonics, 0.3, 5)],
  env: [0.008, 0.1, 0.9, 0.05],
  vib: [6.1, 5, 0],
  room: 0.22,
  chorus: 0.4,
  gain: 0.19,
  ...more,
});
const strings = (attack, base, more = {}) => ({
  waves: [wave("sawtooth", 0.4, -8), wave("sawtooth", 0.4, 7), wave("sawtooth", 0.3, 1)],
  filter: { base, octaves: 0.6, rise: attack * 1.6, q: 0.2 },
  env: [attack, 0.5, 0.85, 0.32],
  room: 0.4,
  chorus: 0.6,
  gain: 0.24,
  ...more,
});
const bowed = (base) => ({
  waves: [wave("sawtooth", 0.9), wave("sawtooth", 0.25, 4)],
  filter: { base, octaves: 0.5, rise: 0.1, q: 0.4 },
  env: [0.07, 0.3, 0.85, 0.14],
  vib: [5.4, 14, 0.25],
  room: 0.32,
  gain: 0.3,
});
const brass = (attack, base, octaves, kind = "sawtooth") => ({
  waves: pair(kind, 4),
  filter: { base, octaves, rise: attack * 2.2, q: 0.6 },
  env: [attack, 0.25, 0.8, 0.1],
  vib: [5, 7, 0.4],
  room: 0.25,
  gain: 0.32,
});
const reed = (harmonics, base = 7, vibrato = 10) => ({
  waves: [wave(harmonics)],
  filter: { base, octaves: 0.3, rise: 0.06, q: 0.2 },
  env: [0.035, 0.2, 0.88, 0.08],
  vib: [5.2, vibrato, 0.3],
  breath: { level: 0.025, decay: 0.12, ratio: 3 },
  room: 0.25,
  gain: 0.21,
});
const pipe = (breath, harmonics = [1, 0.25, 0.08, 0.02]) => ({
  waves: [wave(harmonics)],
  env: [0.045, 0.2, 0.9, 0.1],
  vib: [5, 12, 0.3],
  breath: { level: breath, decay: 0.14, ratio: 2 },
  room: 0.32,
  gain: 0.23,
});
const lead = (kind, base = 6, more = {}) => ({
  waves: pair(kind, 5),
  filter: { base, octaves: 1, decay: 0.3, q: 2 },
  env: [0.006, 0.3, 0.8, 0.09],
  vib: [5.6, 9, 0.3],
  room: 0.22,
  chorus: 0.2,
  gain: 0.24,
  ...more,
});
const pad = (kind, base, attack = 0.45, more = {}) => ({
  waves: [wave(kind, 0.45, -7), wave(kind, 0.45, 8), wave("sine", 0.3, 0, 0.5)],
  filter: { base, octaves: 0.8, rise: attack * 2, q: 0.5 },
  env: [attack, 0.8, 0.85, 0.7],
  room: 0.5,
  chorus: 0.7,
  gain: 0.18,
  ...more,
});
const bells = (ratio, index, decay) => ({
  waves: [wave("sine"), wave("sine", 0.2, 3, 2)],
  fm: { ratio, index, decay: decay * 0.5, stays: 0.1 },
  env: [0.002, decay, 0, 0.5],
  ring: true,
  room: 0.5,
  gain: 0.15,
});
const choir = { filter: { base: 4, octaves: 0.3, rise: 0.3, q: 1.2 }, vib: [4.8, 10, 0.2] };

const FAMILIES = [
  () => piano(),
  () => mallet(4, 1.4, 2.2, 0.3),
  () => organ(DRAWBARS),
  () => plucked(3),
  () => bass(PLUCK, 1.2),
  () => bowed(5),
  () => strings(0.16, 5),
  () => brass(0.05, 2.2, 1.9),
  () => reed(REED),
  () => pipe(0.06),
  () => lead("square", 7),
  () => pad("sawtooth", 3),
  () => pad("triangle", 5, 0.15, { fm: { ratio: 3.01, index: 1.2, decay: 1.2, stays: 0.2 } }),
  () => plucked(5, 1.1, NASAL),
  () => mallet(1.7, 2.2, 0.7, 0.2),
  () => ({ waves: [], env: [0.02, 0.5, 0.4, 0.3], breath: { level: 0.5, decay: 0.5, ratio: 3 }, room: 0.3, gain: 0.2 }),
];

const OWN = {
  1: () => piano(1.5),
  3: () => ({ ...piano(1.3), waves: pair(PIANO, 9) }),
  4: () => tines(1, 1.3),
  5: () => tines(14, 0.5),
  6: () => ({ ...plucked(14, 1.4, NASAL), gain: 0.2 }),
  7: () => ({ ...plucked(4, 0.8, NASAL), filter: { base: 3, octaves: 2.4, decay: 0.12, q: 4 } }),
  8: () => ({ ...mallet(5, 0.9, 1.4, 0.2), gain: 0.15 }),
  9: () => ({ ...bells(3.9, 1.2, 1.8), gain: 0.11 }),
  10: () => bells(4, 0.7, 1.5),
  11: () => ({ ...mallet(4, 1, 2.6, 0.2), trem: [5.2, 0.22], chorus: 0.2, gain: 0.17 }),
  12: () => mallet(4, 1.1, 0.55, 0.05),
  13: () => mallet(3, 1.6, 0.35, 0.04),
  14: () => bells(3.53, 2.2, 4),
  15: () => plucked(6, 1.6),
  17: () => organ(DRAWBARS, { breath: { level: 0.12, decay: 0.03, ratio: 4 } }),
  19: () => organ([1, 0.7, 0.35, 0.5, 0.1, 0.25, 0.05, 0.3], { vib: null, room: 0.6, env: [0.05, 0.2, 0.9, 0.25] }),
  20: () => organ(DOUBLE_REED),
  21: () => organ(DOUBLE_REED, { waves: pair(DOUBLE_REED, 7), env: [0.04, 0.2, 0.9, 0.08] }),
  22: () => reed(DOUBLE_REED, 8),
  23: () => organ(DOUBLE_REED, { env: [0.04, 0.2, 0.9, 0.08] }),
  24: () => plucked(2.6, 1.5),
  25: () => plucked(5, 1.9),
  26: () => plucked(2, 1.7),
  27: () => ({ ...plucked(4, 1.9), chorus: 0.4, gain: 0.17 }),
  28: () => ({ ...plucked(2.5, 0.18), gain: 0.28 }),
  29: () => lead("sawtooth", 5, { env: [0.004, 1.5, 0.6, 0.1] }),
  30: () => lead("sawtooth", 9, { env: [0.004, 2, 0.7, 0.1] }),
  32: () => ({ ...bass(PLUCK, 1.8, 0.16, 3.4), env: [0.004, 0.9, 0.12, 0.09], breath: { level: 0.1, decay: 0.02, ratio: 9 } }),
  35: () => ({ ...bass([1, 0.5, 0.3, 0.15, 0.1], 0.8, 0.3, 5), vib: [4.6, 8, 0.3] }),
  36: () => bass(NASAL, 2.4, 0.1, 5),
  38: () => ({ ...bass("sawtooth", 2.4, 0.2, 2), filter: { base: 3, octaves: 2.6, decay: 0.2, q: 5 }, gain: 0.19 }),
  39: () => ({ ...bass("square", 1.6, 0.3, 4), gain: 0.14 }),
  43: () => bowed(4),
  44: () => ({ ...strings(0.06, 5), trem: [11, 0.4] }),
  45: () => ({ ...plucked(3, 0.3), room: 0.35, gain: 0.3 }),
  46: () => ({ ...plucked(2.4, 1.9), room: 0.45, gain: 0.24 }),
  47: () => ({ ...mallet(1.5, 1.6, 1.1, 0.1), breath: { level: 0.3, decay: 0.05, ratio: 8 }, gain: 0.22 }),
  49: () => strings(0.4, 4),
  50: () => strings(0.3, 4.5, { waves: pair("sawtooth", 9) }),
  51: () => strings(0.35, 3.2, { waves: pair("sawtooth", 6) }),
  52: () => pad(VOICE, 4, 0.25, choir),
  53: () => pad(VOICE, 5, 0.14, choir),
  54: () => pad(VOICE, 6, 0.14, choir),
  55: () => ({ ...brass(0.01, 4, 2), env: [0.004, 0.4, 0, 0.2], gain: 0.5 }),
  57: () => brass(0.06, 1.8, 1.6),
  58: () => brass(0.07, 1.6, 1.2),
  59: () => ({ ...brass(0.03, 5, 0.8, NASAL), gain: 0.25 }),
  60: () => ({ ...brass(0.09, 2.2, 1.4, [1, 0.7, 0.42, 0.22, 0.14, 0.08, 0.05]), gain: 0.4 }),
  62: () => brass(0.02, 3, 1.8),
  63: () => brass(0.06, 2.4, 1.4),
  68: () => ({ ...reed(DOUBLE_REED, 8, 8), gain: 0.27 }),
  69: () => reed(DOUBLE_REED, 6, 8),
  70: () => reed(DOUBLE_REED, 5, 5),
  71: () => reed([1, 0.04, 0.75, 0.05, 0.5, 0.08, 0.2], 6, 4),
  72: () => pipe(0.05, [1, 0.12, 0.04]),
  75: () => pipe(0.14),
  77: () => pipe(0.18),
  79: () => pipe(0.03, [1, 0.05]),
  81: () => lead("sawtooth", 7),
  82: () => lead([1, 0.12, 0.3, 0.06, 0.12, 0.04, 0.07], 9),
  85: () => lead(VOICE, 8),
  86: () => lead("sawtooth", 6, { waves: [wave("sawtooth", 0.5), wave("sawtooth", 0.4, 3, 1.5)] }),
  89: () => pad("sawtooth", 2.2, 0.5),
  90: () => pad("square", 4, 0.05, { env: [0.03, 0.6, 0.7, 0.4], gain: 0.12 }),
  91: () => pad(VOICE, 5, 0.5, choir),
  92: () => pad("triangle", 8, 0.6),
  93: () => pad("triangle", 6, 0.3, { fm: { ratio: 2.76, index: 0.7, decay: 1.5, stays: 0.3 } }),
  95: () => pad("sawtooth", 1.8, 1.2, { gain: 0.34 }),
  98: () => bells(3.5, 1.3, 2.2),
  105: () => plucked(6, 0.6, NASAL),
  108: () => mallet(5.2, 1.2, 0.6, 0.08),
  109: () => reed(DOUBLE_REED, 9, 0),
  110: () => bowed(6),
  112: () => bells(5.4, 0.8, 1.6),
  114: () => mallet(2, 1.5, 0.9, 0.3),
};

const made = new Map();

/** The patch of a program, from 0; a piano where there is none. */
export function patchOf(program) {
  const number = Number.isInteger(program) ? program : 0;
  if (!made.has(number)) made.set(number, (OWN[number] ?? FAMILIES[number >> 3] ?? FAMILIES[0])());
  return made.get(number);
}
