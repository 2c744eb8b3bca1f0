// The connection to the server: commands out, what is heard in, and the server's clock.
//
// The page plays one band: the one without a name, or that of `?session=NAME`. It speaks of it in the
// addresses of the one without a name; here they become those that the server has, and back.

const PINGS = 8;
const SLEW = 0.25; // of what the clock is found to be off, a ping
const JUMP = 0.05; // s off beyond which it is no drift
const AGAIN = 2000; // ms until a band that is not there is asked for again
const LAST = new Set(["done", "refused", "superseded", "cancelled", "lost"]);

/** Trade the token of the link for a cookie, and wipe it from the address. */
export async function unlock() {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search);
  const headers = { Authorization: `Bearer ${token}` };
  await fetch("/session", { method: "POST", headers }).catch(() => {});
}

const ROOT = "/componium";
const SESSION = `${ROOT}/session/`;

/** The name of the band that this page plays; "" for the one without a name. */
export const band = new URLSearchParams(location.search).get("session") ?? "";

/** An address of this band as the server has it. */
export const full = (address) =>
  band && !address.startsWith(SESSION) ? address.replace(ROOT, SESSION + band) : address;

/** What the server says, with the addresses of this band as the page has them. */
const OWN = new RegExp(`${SESSION}${band.replaceAll(".", "[.]")}(?=[/"?])`, "g");
const plain = (text) => (band ? text.replaceAll(OWN, ROOT) : text);

/** The names of the bands there are besides the one without a name. */
export async function bands() {
  const response = await fetch(`${SESSION}close?RANGE`).catch(() => null);
  return response?.status === 200 ? ((await response.json()).RANGE?.[0]?.VALS ?? []) : [];
}

/** What the server answers to a question about this band, such as "/componium?VALUE". */
export async function ask(address) {
  const response = await fetch(full(address), { headers: { Accept: "application/json" } });
  return response.ok ? JSON.parse(plain(await response.text())) : null;
}

export class Link {
  /** heard: called with each object that comes, and with { lost: true }. hear: see docs/web.md. */
  constructor(hear, heard) {
    this.hear = hear;
    this.heard = heard;
    this.ways = [];
    this.offset = null;
    this.waiting = new Map();
    this.number = 0;
    this.wait = 250;
    this.connect();
  }

  /** Hear these words and no others from now on; a snapshot comes, of all that was missed. */
  attend(hear) {
    if (hear.join() === this.hear.join()) return;
    this.hear = hear;
    this.listen();
  }

  connect() {
    this.socket = new WebSocket(`${location.origin.replace("http", "ws")}/`);
    this.socket.onopen = () => {
      this.wait = 250;
      this.ways = [];
      this.offset = null;
      this.listen();
      this.ping();
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.take(JSON.parse(plain(data)));
    };
    this.socket.onclose = () => this.lose();
  }

  /** Ask to hear this band. */
  listen() {
    this.send(band ? { hear: this.hear, session: band } : { hear: this.hear });
  }

  lose() {
    clearTimeout(this.next);
    for (const told of this.waiting.values()) told({ state: "lost", bar: 0, reason: "the connection is lost" });
    this.waiting.clear();
    this.heard({ lost: true });
    setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(this.wait * 1.5, 3000);
  }

  send(what) {
    const open = this.socket.readyState === WebSocket.OPEN;
    if (open) this.socket.send(JSON.stringify(what));
    return open;
  }

  /** Send a command. told: called with each of its receipts. */
  set(address, args = [], told = () => {}) {
    const id = ++this.number;
    this.waiting.set(id, told);
    if (this.send({ set: full(address), args, id })) return;
    this.waiting.delete(id);
    told({ state: "lost", bar: 0, reason: "not connected" });
  }

  ping() {
    this.send({ ping: performance.now() });
    clearTimeout(this.next);
    this.next = setTimeout(() => this.ping(), this.ways.length < PINGS ? 100 : 2000);
  }

  take(what) {
    if (what.closed || String(what.error ?? "").startsWith("session: ")) {
      // It may be there again, as after a restart of the server.
      setTimeout(() => this.listen(), AGAIN);
      this.heard({ gone: true });
      return;
    }
    if ("receipt" in what) {
      const told = this.waiting.get(what.id);
      if (LAST.has(what.state)) this.waiting.delete(what.id);
      told?.(what);
    } else if ("pong" in what) {
      this.measure(what);
      return;
    }
    this.heard(what);
  }

  measure({ pong, now }) {
    const back = performance.now();
    this.ways.push({ way: back - pong, offset: now - (back + pong) / 2000 });
    if (this.ways.length > PINGS) this.ways.shift();
    const best = this.ways.reduce((a, b) => (b.way < a.way ? b : a));
    const off = this.offset === null ? Infinity : best.offset - this.offset;
    this.offset = Math.abs(off) > JUMP ? best.offset : this.offset + off * SLEW;
  }

  /** Round trip in milliseconds, the shortest of late. */
  get way() {
    return this.ways.length ? Math.min(...this.ways.map((each) => each.way)) : null;
  }

  /** Seconds on this page's clock (performance.now() / 1000) of a time on the server's. */
  here(at) {
    return at - (this.offset ?? 0);
  }

  /** The server's time now, in seconds; null before it is known. */
  now() {
    return this.offset === null ? null : performance.now() / 1000 + this.offset;
  }
}
