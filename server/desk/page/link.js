// The connection to the server: commands out, what is heard in, and the server's clock.

const PINGS = 8;

/** Trade the token of the link for a cookie, and wipe it from the address. */
export async function unlock() {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  await fetch("/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
}

export class Link {
  /** heard: called with each object that comes. hear: what is wanted, see docs/web.md. */
  constructor(hear, heard) {
    this.hear = hear;
    this.heard = heard;
    this.ways = [];
    this.connect();
  }

  connect() {
    this.socket = new WebSocket(`${location.origin.replace("http", "ws")}/`);
    this.socket.onopen = () => {
      this.send({ hear: this.hear });
      this.ping();
    };
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = () => {
      this.heard({ lost: true });
      setTimeout(() => this.connect(), 1000);
    };
  }

  send(what) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(what));
  }

  set(address, ...args) {
    this.send({ set: address, args });
  }

  ping() {
    this.send({ ping: performance.now() });
    clearTimeout(this.next);
    this.next = setTimeout(() => this.ping(), this.ways.length < PINGS ? 100 : 2000);
  }

  take(what) {
    if (!("pong" in what)) return this.heard(what);
    const back = performance.now();
    this.ways.push({ way: back - what.pong, offset: what.now - (back + what.pong) / 2000 });
    if (this.ways.length > PINGS) this.ways.shift();
  }

  /** Seconds on this page's clock (performance.now() / 1000) of a time on the server's. */
  here(at) {
    const best = this.ways.reduce((a, b) => (b.way < a.way ? b : a), { way: Infinity, offset: 0 });
    return at - best.offset;
  }
}
