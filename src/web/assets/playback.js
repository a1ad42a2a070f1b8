// Playback: recorded pictures of one camera or several, in step, with the timeline below.

import * as api from "./api.js";
import { columnsFor, el, setSymbol, setText } from "./dom.js";
import { BEFORE_GAP, Footage } from "./footage.js";
import { frame, title } from "./frame.js";
import { causeText, mark, onLanguage, t } from "./i18n.js";
import { fillGaps, swatch } from "./gaps.js";
import { Kept } from "./kept.js";
import { Master } from "./master.js";
import { CameraPlayer } from "./player.js";
import { Timeline } from "./timeline.js";
import { length, Zone } from "./times.js";
import { links } from "./vlc.js";

const SPEEDS = [1, 2, 4, 8, 16];
/** Going to the newest shows this much of it, ms. */
const NEAR_NOW = 20e3;

const { site, main } = await frame("playback");
title(site, (words) => words("playback"));
const zone = new Zone(site.timeZone);
const asked = new URLSearchParams(location.search);

let all = [];
let chosen = [];
let sound = false;
let ended = false;
let remembered = 0;
let fade;

const footage = new Footage(() => {
  timeline.draw();
  list();
});
const timeline = new Timeline(zone, footage, { seek, viewed: () => {} });
mark(timeline.root, "timeline", "aria-label");
const kept = new Kept();
mark(kept.root, "kept", "aria-label");
const master = new Master(footage, ticked, skipped);

// --- the page -------------------------------------------------------------------------------------------------------

function button(key, symbol, onclick) {
  const made = el("button", { type: "button", class: "icon", "data-do": key, onclick });
  setSymbol(made, symbol);
  mark(made, key, "aria-label");
  return mark(made, key, "title");
}

const stage = el("section", { class: "stage" });
const note = el("p", { class: "toast", role: "status", hidden: true });
const clock = el("output", { class: "clock" });
const day = el("span", { class: "day" });
const zoneNote = el("span", { class: "zone" });
const playing = button("play", "play", () => toggle());
const noise = button("sound_on", "mute", () => {
  sound = !sound;
  ears();
});
const speed = el(
  "select",
  { id: "speed", onchange: () => (master.speed = Number(speed.value)) },
  ...SPEEDS.map((value) => el("option", { value: String(value) })),
);
const moment = el("input", { type: "datetime-local", step: "1", id: "moment" });
const form = el(
  "form",
  { class: "jump", onsubmit: (e) => (e.preventDefault(), jump()) },
  mark(el("label", { class: "hidden", for: "moment" }), "moment"),
  button("day_back", "left", () => seek(zone.moved(master.t, -1))),
  moment,
  button("day_on", "right", () => seek(zone.moved(master.t, 1))),
  mark(el("button", { type: "submit" }), "go"),
  mark(el("button", { type: "button", "data-do": "to_live", onclick: () => newest() }), "to_live"),
);
const transport = el(
  "div",
  { class: "transport", role: "toolbar" },
  button("gap_back", "gapBack", () => gap(-1)),
  button("frame_back", "stepBack", () => master.step(-1)),
  playing,
  button("frame_on", "stepOn", () => master.step(1)),
  button("gap_on", "gapOn", () => gap(1)),
  mark(el("label", { class: "hidden", for: "speed" }), "speed"),
  speed,
  noise,
  el("div", { class: "now" }, clock, day),
  form,
  el("span", { class: "space" }),
  button("zoom_out", "minus", () => timeline.zoom(2)),
  button("zoom_in", "plus", () => timeline.zoom(0.5)),
  mark(el("button", { type: "button", "data-do": "vlc", onclick: () => links(main, chosen, timeline.from, timeline.to) }), "vlc"),
);
const picker = el("ul", { class: "picker" });
const pickerBox = el("details", { class: "cameras" }, mark(el("summary"), "cameras"), picker);
const legend = el("ul", { class: "legend" });
const gapBody = el("tbody");
const gapCount = el("span");
const heads = ["gap_camera", "gap_start", "gap_end", "gap_length", "gap_cause", "gap_detail"];
const gapBox = el(
  "details",
  { class: "gaps" },
  el("summary", {}, gapCount),
  el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((key) => mark(el("th", { scope: "col" }), key)))), gapBody),
);
const keys = el("details", { class: "keys" }, mark(el("summary"), "keys"), mark(el("p", { id: "timeline-help" }), "timeline_help"));
main.append(
  mark(el("h1", { class: "hidden" }), "playback"),
  pickerBox,
  stage,
  note,
  transport,
  timeline.root,
  el("div", { class: "below" }, legend, zoneNote),
  kept.root,
  gapBox,
  keys,
);

onLanguage(() => {
  for (const option of speed.options) option.textContent = t("speed_value", { speed: option.value });
  zoneNote.textContent = t("zone", { zone: zone.name });
  list();
  ticked({ t: master.t, playing: master.playing });
});

// --- what it does ---------------------------------------------------------------------------------------------------

function seek(ms) {
  master.seek(Math.min(ms, api.serverNow()));
  timeline.at(master.t, true);
  hush();
  remember();
}

function toggle(on = !master.playing) {
  master.play(on);
}

function jump() {
  const ms = zone.parse(moment.value);
  if (ms !== null) seek(ms);
}

async function newest() {
  const lines = await ask(api.timelines(chosen.map((c) => c.id), api.serverNow() - 60e3, api.serverNow()));
  const ends = [...(lines?.values() ?? [])].map((l) => l.newest).filter((end) => end !== null);
  if (ends.length > 0) seek(Math.max(...ends) - NEAR_NOW);
}

async function gap(direction) {
  const found = await ask(direction > 0 ? footage.gapAfter(master.t) : footage.gapBefore(master.t));
  if (found === undefined) return;
  if (found === null) {
    say(t(direction > 0 ? "no_gap_on" : "no_gap_back"));
    return;
  }
  seek(found.gap.start - BEFORE_GAP);
  const name = chosen.find((c) => c.id === found.camera)?.name ?? found.camera;
  const end = found.gap.end === null ? t("gap_open") : length(found.gap.end - found.gap.start);
  say(`${name}: ${causeText(found.gap.cause)} · ${end}`);
}

/** A refusal is told by the banner or in the console; nothing is done then. */
async function ask(promise) {
  try {
    return await promise;
  } catch (e) {
    console.debug("playback:", e.message);
    return undefined;
  }
}

function say(text) {
  setText(note, text);
  note.hidden = false;
  clearTimeout(fade);
  fade = setTimeout(hush, 8000);
}

function hush() {
  note.hidden = true;
  setText(note, "");
}

function skipped(from, to) {
  const camera = chosen.find((c) => footage.gapAt(c.id, from + 600));
  const cause = camera ? causeText(footage.gapAt(camera.id, from + 600).cause) : t("nothing");
  say(t("skipped", { length: length(to - from), cause }));
  timeline.at(to, true);
}

function ticked(view) {
  const ms = view.t;
  setSymbol(playing, view.playing ? "pause" : "play");
  const key = view.playing ? "pause" : "play";
  if (playing.getAttribute("data-t-title") !== key) {
    mark(playing, key, "aria-label");
    mark(playing, key, "title");
  }
  setText(clock, zone.time(ms));
  setText(day, zone.day(ms));
  if (document.activeElement !== moment) {
    const value = zone.input(ms);
    if (moment.value !== value) moment.value = value;
  }
  main.dataset.holding = String(Boolean(view.holding));
  if (view.ended && !ended) say(t("at_newest"));
  ended = Boolean(view.ended);
  timeline.at(ms, false);
}

/** Address and footage follow a little later, so that dragging does not ask a hundred times. */
setInterval(() => {
  footage.need("view", timeline.from, timeline.to);
  footage.need("play", master.t - 60e3, master.t + 600e3);
  list();
  if (master.playing) remember();
  noise.hidden = !master.players.some((p) => p.loader.sound === "playable");
}, 300);

function remember() {
  if (performance.now() - remembered < 1000) return;
  remembered = performance.now();
  const address = new URL(location.href);
  address.searchParams.set("camera", chosen.map((c) => c.id).join(","));
  address.searchParams.set("t", new Date(master.t).toISOString());
  const text = address.href.replaceAll("%2C", ",").replaceAll("%3A", ":");
  if (text !== location.href) history.replaceState(null, "", text);
}

function list() {
  const { count, kinds } = fillGaps(gapBody, chosen, footage, zone, timeline.from, timeline.to, seek);
  setText(gapCount, count === 0 ? t("no_gaps") : `${t("gaps")} (${count})`);
  const key = [...kinds].sort().join() + document.documentElement.lang;
  if (legend.dataset.key === key) return;
  legend.dataset.key = key;
  const entry = (field, text) => el("li", {}, field, document.createTextNode(text));
  const footageField = swatch("unknown");
  footageField.style.background = "#3f8f6b";
  legend.replaceChildren(entry(footageField, t("footage")), ...[...kinds].sort().map((k) => entry(swatch(k), t(`cause.${k}`))));
}

function ears() {
  const speaker = master.players.find((p) => p.loader.sound === "playable");
  for (const p of master.players) p.video.muted = !(sound && p === speaker);
  setSymbol(noise, sound ? "sound" : "mute");
  const key = sound ? "sound_off" : "sound_on";
  mark(noise, key, "aria-label");
  mark(noise, key, "title");
}

function choose(ids) {
  chosen = all.filter((c) => ids.includes(c.id));
  footage.choose(chosen.map((c) => c.id));
  const old = new Map(master.players.map((p) => [p.camera.id, p]));
  master.players = chosen.map((c) => old.get(c.id) ?? new CameraPlayer(c, footage));
  for (const [id, player] of old) if (!ids.includes(id)) player.stop();
  stage.replaceChildren(...master.players.map((p) => p.root));
  arrange();
  if (chosen.length === 0) stage.append(mark(el("p", { class: "word" }), "choose_camera"));
  timeline.show(chosen);
  kept.choose(chosen);
  ears();
}

function arrange() {
  const { columns } = columnsFor(chosen.length, stage.clientWidth, stage.clientHeight, 24);
  stage.style.setProperty("--columns", String(columns));
}
new ResizeObserver(arrange).observe(stage);

function fillPicker() {
  picker.replaceChildren(
    ...all.map((camera) => {
      const box = el("input", { type: "checkbox", value: camera.id, checked: chosen.includes(camera) });
      box.addEventListener("change", () => {
        choose([...picker.querySelectorAll("input:checked")].map((b) => b.value));
        remembered = 0;
        remember();
      });
      return el("li", {}, el("label", {}, box, document.createTextNode(camera.name)));
    }),
  );
}

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.altKey || e.metaKey || e.target.closest?.("input, select, dialog")) return;
  const press = e.target.closest?.("button, summary, a");
  const action = {
    n: () => gap(1),
    p: () => gap(-1),
    ",": () => master.step(-1),
    ".": () => master.step(1),
    " ": press ? null : () => toggle(),
    k: () => toggle(),
  }[e.key.toLowerCase()];
  if (!action) return;
  e.preventDefault();
  action();
});

while (all.length === 0) {
  all = (await ask(api.cameras())) ?? [];
  if (all.length === 0) await new Promise((go) => setTimeout(go, 1000));
}
const wanted = (asked.get("camera") ?? "").split(",").filter(Boolean);
choose(wanted.length > 0 ? wanted : [all[0].id]);
fillPicker();
pickerBox.open = chosen.length === 0;
const at = Date.parse(asked.get("t") ?? "");
master.t = Number.isNaN(at) ? api.serverNow() - 60e3 : at;
timeline.view(master.t - 50 * 60e3, master.t + 10 * 60e3);
if (Number.isNaN(at)) await newest();
timeline.at(master.t, true);
toggle(true);
// For the tests, and for whoever looks into the page with the browser's tools.
window.custodian = { master, timeline, footage, zone };
