// Componium in a browser, over its WebSocket: notes come 100 ms before they sound. MIT licence.
//
//     const music = new Music("ws://127.0.0.1:1822/", {token: "…"});   // no token: only hear
//     music.on("note", (note, inSeconds) => …);     // schedule it; note.end is when it is over
//     music.on("beat", (beat) => …);
//     music.set("/tempo", 132, 16).then((receipt) => …);

const LATE = 0.1;  // s after which a note is better left out

/** Hears and commands; after a lost connection it connects again by itself. */
export class Music {
    constructor(url = "ws://127.0.0.1:1822/", {token = "", hear = ["state", "marks", "plan", "beats"]} = {}) {
        Object.assign(this, {url, token, hear});
        this.told = new Map();
        this.asked = new Map();
        this.pings = [];
        this.untimed = [];
        this.begun = new Set();  // the last ids that were told
        this.offset = undefined;  // the server's clock less ours, in seconds
        this.number = 0;
        this.open();
    }

    on(what, call) {
        this.told.set(what, [...this.told.get(what) ?? [], call]);
    }

    /** A command, its `/componium` or not; resolves to its first receipt, rejects where none can come. Needs the token. */
    set(address, ...args) {
        return new Promise((resolve, reject) => {
            if (this.socket.readyState !== WebSocket.OPEN) {
                reject(new Error("not connected"));
                return;
            }
            const id = ++this.number;
            this.asked.set(id, {resolve, reject});
            this.send({set: address, args, id});
        });
    }

    /** Remember that a note has been told: what comes again of it is only another end. */
    begin(id) {
        this.begun.add(id);
        if (this.begun.size > 512) this.begun.delete(this.begun.values().next().value);
    }

    /** Seconds from now until a time of the server, such as `note.at`. */
    until(at) {
        return at - (this.offset ?? 0) - performance.now() / 1000;
    }

    close() {
        this.closed = true;
        clearInterval(this.pinging);
        this.socket.close();
    }

    open() {
        this.socket = new WebSocket(this.url);
        this.socket.onopen = () => {
            if (this.token) this.send({token: this.token});
            this.send({hear: this.hear});
            for (let n = 0; n < 5; n++) this.ping();
            this.pinging = setInterval(() => this.ping(), 5000);
        };
        this.socket.onmessage = ({data}) => {
            if (typeof data === "string") this.take(JSON.parse(data));
        };
        this.socket.onclose = () => {
            clearInterval(this.pinging);
            for (const {reject} of this.asked.values()) reject(new Error("the connection was lost"));
            this.asked.clear();
            this.begun.clear();
            this.pings = [];
            this.untimed = [];
            this.offset = undefined;  // it may be another server next time
            this.tell("forget", null);  // end whatever sounds
            if (!this.closed) setTimeout(() => this.open(), 1000);
        };
    }

    ping() {
        this.send({ping: performance.now() / 1000});
    }

    send(message) {
        if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    }

    take(message) {
        if ("pong" in message) {
            const now = performance.now() / 1000, way = now - message.pong;
            this.pings = [...this.pings.slice(-7), {way, offset: message.now - message.pong - way / 2}];
            this.offset = this.pings.reduce((a, b) => a.way <= b.way ? a : b).offset;
            for (const plan of this.untimed.splice(0)) this.take(plan);
        } else if (this.offset === undefined && ("plan" in message || "forget" in message)) {
            this.untimed.push(message);  // until it is known what the server's times are here
        } else if ("plan" in message) {
            for (const each of message.plan) {
                const left = this.until(each.at);
                // The same id again takes the place of what was said before.
                if (left > -LATE || (this.begun.has(each.id) && this.until(each.end) > 0)) {
                    this.begin(each.id);
                    this.tell(each.event, each, left);
                }
            }
        } else if ("forget" in message) {
            this.tell("forget", message.forget);
        } else if ("event" in message) {
            this.tell(message.event, message);
        } else if ("receipt" in message) {
            this.asked.get(message.id)?.resolve(message);
            this.asked.delete(message.id);
            this.tell("receipt", message);
        } else {
            if ("error" in message && this.asked.has(message.id)) {
                this.asked.get(message.id).reject(new Error(message.error));
                this.asked.delete(message.id);
            }
            for (const what of ["snapshot", "state", "scene", "error"]) {
                if (what in message) return this.tell(what, message);
            }
        }
    }

    tell(what, ...values) {
        for (const call of this.told.get(what) ?? []) call(...values);
    }
}
