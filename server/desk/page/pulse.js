// Where in the music we are: bars and beats that run on between what the server tells of them.

const MOST = 64;

export class Pulse {
  constructor(link) {
    this.link = link;
    this.coming = []; // beats told ahead: { at, bar, beat, tempo }
    this.last = null;
    this.playing = false;
    this.beats = 4;
    this.unit = 4;
    this.chord = "";
    this.next = null; // the chord that comes: { name, bar }
    this.section = null; // and the section
    this.words = []; // other things said ahead: { at, address, args }
  }

  /** A meter, such as 4/4 or 2+2+3/8. */
  set meter(text) {
    const [beats, unit] = text.split("/");
    this.beats = beats.split("+").reduce((sum, each) => sum + Number(each), 0) || 4;
    this.unit = Number(unit) || 4;
  }

  /** Something that is said in the plan. */
  say({ id, at, address, args }) {
    this.unsay([id]);
    if (address === "/beat") {
      this.coming.push({ id, at, bar: args[0], beat: args[1], tempo: args[2] });
      if (this.coming.length > MOST) this.coming.shift();
    } else this.words.push({ id, at, address, args });
    if (this.words.length > MOST) this.words.shift();
  }

  /** What is not to come after all. */
  unsay(ids) {
    if (this.coming.some((each) => ids.includes(each.id))) this.coming = this.coming.filter((each) => !ids.includes(each.id));
    if (this.words.some((each) => ids.includes(each.id))) this.words = this.words.filter((each) => !ids.includes(each.id));
  }

  forget() {
    this.coming = [];
    this.words = [];
    this.next = this.section = null;
  }

  /** What was said and is due by now, for whoever shows it. */
  due(now) {
    while (this.coming.length && this.coming[0].at <= now) this.last = this.coming.shift();
    const due = this.words.filter((word) => word.at <= now);
    if (due.length) this.words = this.words.filter((word) => word.at > now);
    return due;
  }

  /** The place in bars, 12.5 being the middle of bar 12; null before there is one. */
  bars(now) {
    if (!this.last || now === null) return null;
    let beat = this.last.beat - 1;
    if (this.playing) {
      const since = Math.max(now - this.last.at, 0) * (this.last.tempo / 60) * (this.unit / 4);
      beat += Math.min(since, 1);
    }
    return this.last.bar + Math.min(beat / this.beats, 0.9999);
  }

  /** How long until a bar, as "2·3": two bars and three beats; "" when it is there. */
  until(bar, now) {
    const here = this.bars(now);
    if (here === null || bar <= here) return "";
    const beats = Math.ceil((bar - here) * this.beats - 1e-6);
    return `${Math.floor(beats / this.beats)}·${beats % this.beats}`;
  }
}
