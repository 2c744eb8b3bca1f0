// Hears a few beats and planned notes through the client for browsers, then ends.
import {pathToFileURL} from "node:url";

const {Music} = await import(pathToFileURL(`${process.argv[2]}/componium-web.mjs`));
const music = new Music(process.argv[3], {token: process.argv[4]});
const heard = {beats: 0, notes: 0, early: 0};

music.on("beat", () => heard.beats++);
music.on("note", (note, left) => {
    heard.notes++;
    if (left > 0.02) heard.early++;
});
music.on("snapshot", async () => {
    const {state} = await music.set("/componium/tempo", 140);
    heard.state = state;
});
setInterval(() => {
    if (heard.beats > 3 && heard.notes > 8 && heard.state) {
        console.log(JSON.stringify(heard));
        process.exit();
    }
}, 20);
