// Tells on standard output what the client for Node hears, and says what it is asked to.
import {pathToFileURL} from "node:url";

const {Componium} = await import(pathToFileURL(`${process.argv[2]}/componium.mjs`));
const server = {host: "127.0.0.1", port: Number(process.env.SERVER)};
const music = new Componium({port: Number(process.env.LISTEN), server});
const told = (...values) => console.log(JSON.stringify(values));

music.on("*", (address, ...values) => {
    told("heard", address, ...values);
    if (address === "/componium/section") {
        music.say("/tempo", 132, 16.5);
        music.say("/section", "Grün", "bar");
        music.say("/part/a/mute", true);
    }
    if (address === "/componium/transport") setTimeout(() => process.exit(), 50);  // what was said goes first
});
music.on("beat", (...values) => told("beat", ...values));
music.on("bar", (...values) => told("bar", ...values));
music.on("note", (...values) => told("note", ...values));
music.on("section/next", (...values) => told("coming", ...values));
music.when("beat", () => told("on the beat"));
music.when("bar", () => told("on the bar"));
music.on("listening", () => music.say("/ready"));
