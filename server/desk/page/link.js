// The connection to the server: commands out, what is heard in, and the server's clock.

const PINGS = 8;
const SLEW = 0.25; // of what the clock is found to be off, a ping
const JUMP = 0.05; // s off beyond which it is no drift
const LAST = new Set(["done", "refused", "superseded", "cancelled", "lost"]);

/** Trade the token of the link for a cookie, and wipe it from the address. */
export async function unlock() {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  const headers = { Authorization: `Bearer ${token}` };
  await fetch("/session", { method: "POST", headers }).catch(() => {});
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

  connect() {
    this.socket = new WebSocket(`${location.origin.replace("http", "ws")}/`);
    this.socket.onopen = () => {
      this.wait = 250;
      this.ways = [];
      this.offset = null;
      this.send({ hear: this.hear });
      this.ping();
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.take(JSON.parse(data));
    };
    this.socket.onclose = () => this.lose();
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
    if (this.send({ set: address, args, id })) return;
    this.waiting.delete(id);
    told({ state: "lost", bar: 0, reason: "not connected" });
  }

  ping() {
    this.send({ ping: performance.now() });
    clearTimeout(this.next);
    this.next = setTimeout(() => this.ping(), this.ways.length < PINGS ? 100 : 2000);
  }

  take(what) {
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
