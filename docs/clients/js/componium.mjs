// Componium for Node, over UDP: one file to copy, no packages. MIT licence.
//
//     const music = new Componium({port: 9000});   // Componium plays with --osc 127.0.0.1:9000
//     music.on("beat", (bar, beat, tempo) => console.log(bar, beat));
//     music.say("/section", "Danger", "bar");

import {createSocket} from "node:dgram";
import {EventEmitter} from "node:events";

/** Hears what plays on `port`, says commands to `server`.
 *  Events are "beat", "bar", "section", "cue", "receipt" and the like; "note" and "off" come with
 *  the part first; "*" is every address with its values; "listening" once it hears. */
export class Componium extends EventEmitter {
    constructor({port = 9000, host = "127.0.0.1", server = {host: "127.0.0.1", port: 1821}} = {}) {
        super();
        this.server = server;
        this.tempo = 120;
        this.beatAt = performance.now();
        this.waiting = [];
        this.socket = createSocket("udp4");
        this.socket.on("message", (data) => {
            const message = decode(data);
            if (message) this.take(...message);
        });
        this.socket.on("error", (error) => this.emit("error", error));
        this.socket.bind(port, host, () => this.emit("listening"));
    }

    /** Send a command; `/componium` may be left out. Any kind of number is taken for another there. */
    say(address, ...values) {
        const whole = address.startsWith("/componium/") ? address : "/componium" + address;
        this.socket.send(encode(whole, values), this.server.port, this.server.host);
    }

    /** Call something once, when the next "beat" or "bar" falls. */
    when(what, call) {
        this.waiting.push([what, call]);
    }

    /** How far the beat has come, 0 to 1: for what pulses, bobs or flickers. */
    beatPhase() {
        return Math.min((performance.now() - this.beatAt) * this.tempo / 60000, 1);
    }

    take(address, values) {
        this.emit("*", address, ...values);
        const words = address.replace(/^\/componium\//, "").split("/");
        if (words[0] === "part" && words.length === 3) {
            this.emit(words[2], words[1], ...values);
            return;
        }
        if (words.length === 1 && words[0] === "beat") {
            const [bar, beat, tempo] = values;
            this.beatAt = performance.now();
            this.tempo = tempo;
            const due = this.waiting.filter(([what]) => what === "beat" || beat === 1);
            this.waiting = this.waiting.filter((each) => !due.includes(each));
            for (const [, call] of due) call();
            if (beat === 1) this.emit("bar", bar);
        }
        this.emit(words.join("/"), ...values);
    }

    close() {
        this.socket.close();
    }
}

/** An OSC message of numbers, texts and booleans. */
export function encode(address, values) {
    let tags = ",";
    const data = [];
    for (const value of values) {
        if (typeof value === "boolean") {
            tags += value ? "T" : "F";
        } else if (typeof value === "string") {
            tags += "s";
            data.push(padded(value));
        } else {
            const whole = Number.isInteger(value) && Math.abs(value) < 2 ** 31;
            const bytes = Buffer.alloc(4);
            if (whole) bytes.writeInt32BE(value);
            else bytes.writeFloatBE(value);
            tags += whole ? "i" : "f";
            data.push(bytes);
        }
    }
    return Buffer.concat([padded(address), padded(tags), ...data]);
}

function padded(text) {
    const data = Buffer.from(text + "\0");
    return Buffer.concat([data, Buffer.alloc((4 - data.length % 4) % 4)]);
}

/** [address, values] of an OSC message; undefined for anything else. */
export function decode(data) {
    let at = 0;
    const text = () => {
        const end = data.indexOf(0, at);
        if (end < 0) throw new RangeError("no end");
        const found = data.toString("utf8", at, end);
        at = (end >> 2) + 1 << 2;
        return found;
    };
    const read = {
        i: () => data.readInt32BE((at += 4) - 4),
        f: () => data.readFloatBE((at += 4) - 4),
        h: () => Number(data.readBigInt64BE((at += 8) - 8)),
        d: () => data.readDoubleBE((at += 8) - 8),
        s: text, T: () => true, F: () => false,
    };
    try {
        const address = text(), tags = text();
        if (!address.startsWith("/") || !tags.startsWith(",")) return undefined;
        return [address, [...tags.slice(1)].map((tag) => read[tag]())];
    } catch {
        return undefined;
    }
}
