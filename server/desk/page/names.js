// Names: General MIDI's sounds and drums, notes in a key, colours of parts.

const FAMILIES = [
  "Grand piano,Bright piano,Electric grand,Honky-tonk,Electric piano,FM piano,Harpsichord,Clavinet",
  "Celesta,Glockenspiel,Music box,Vibraphone,Marimba,Xylophone,Tubular bells,Dulcimer",
  "Drawbar organ,Percussive organ,Rock organ,Church organ,Reed organ,Accordion,Harmonica,Bandoneon",
  "Nylon guitar,Steel guitar,Jazz guitar,Clean guitar,Muted guitar,Overdriven guitar,Distorted guitar,Harmonics",
  "Acoustic bass,Fingered bass,Picked bass,Fretless bass,Slap bass,Slap bass 2,Synth bass,Synth bass 2",
  "Violin,Viola,Cello,Contrabass,Tremolo strings,Pizzicato,Harp,Timpani",
  "Strings,Slow strings,Synth strings,Synth strings 2,Choir,Voices,Synth voice,Orchestra hit",
  "Trumpet,Trombone,Tuba,Muted trumpet,French horn,Brass,Synth brass,Synth brass 2",
  "Soprano sax,Alto sax,Tenor sax,Baritone sax,Oboe,English horn,Bassoon,Clarinet",
  "Piccolo,Flute,Recorder,Pan flute,Bottle,Shakuhachi,Whistle,Ocarina",
  "Square lead,Saw lead,Calliope,Chiff lead,Charang,Voice lead,Fifths lead,Bass lead",
  "New age pad,Warm pad,Polysynth,Choir pad,Bowed pad,Metal pad,Halo pad,Sweep pad",
  "Rain,Soundtrack,Crystal,Atmosphere,Brightness,Goblins,Echoes,Sci-fi",
  "Sitar,Banjo,Shamisen,Koto,Kalimba,Bagpipe,Fiddle,Shanai",
  "Tinkle bell,Agogo,Steel drums,Woodblock,Taiko,Melodic tom,Synth drum,Reverse cymbal",
  "Fret noise,Breath,Seashore,Bird,Telephone,Helicopter,Applause,Gunshot",
].map((each) => each.split(","));

/** What a program (from 0) is called. */
export const soundName = (program) => FAMILIES[program >> 3]?.[program & 7] ?? "";

const SHARP = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const FLAT = ["C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B"];
const FIFTHS = { C: 0, G: 1, D: 2, A: 3, E: 4, B: 5, "F#": 6, F: -1, Bb: -2, Eb: -3, Ab: -4, Db: -5, Gb: -6 };
const SHIFT = { major: 0, lydian: 1, mixolydian: -1, dorian: -2, minor: -3, phrygian: -4, locrian: -5 };

/** A MIDI note's name in a key such as "D dorian". */
export function noteName(pitch, key = "") {
  const [tonic, mode] = key.split(" ");
  const flat = (FIFTHS[tonic] ?? 0) + (SHIFT[mode] ?? (/minor/.test(key) ? -3 : 0)) < 0;
  return `${(flat ? FLAT : SHARP)[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

const DRUMS = {
  35: "Kick", 36: "Kick", 37: "Side stick", 38: "Snare", 39: "Clap", 40: "Snare", 41: "Low tom", 42: "Closed hat",
  43: "Low tom", 44: "Pedal hat", 45: "Tom", 46: "Open hat", 47: "Tom", 48: "High tom", 49: "Crash", 50: "High tom",
  51: "Ride", 52: "China", 53: "Ride bell", 54: "Tambourine", 55: "Splash", 56: "Cowbell", 57: "Crash", 59: "Ride",
  60: "High bongo", 61: "Low bongo", 62: "Mute conga", 63: "High conga", 64: "Low conga", 65: "Timbale",
  66: "Low timbale", 67: "Agogo", 68: "Low agogo", 69: "Cabasa", 70: "Maracas", 75: "Claves", 76: "Woodblock",
  77: "Low woodblock", 80: "Mute triangle", 81: "Triangle", 82: "Shaker",
}; // prettier-ignore

export const drumName = (pitch) => DRUMS[pitch] ?? `Drum ${pitch}`;

/** Music's own signs for what is typed: B♭, F♯, Δ is left alone. */
export const engraved = (chord) => chord.replace(/([A-G])b/g, "$1♭").replace(/#/g, "♯").replace(/(\d)b(\d)/g, "$1♭$2");

/** A hue for each part, as far apart as they can be, whatever their number. */
export const hueOf = (nth) => Math.round((68 + nth * 137.508) % 360);
