// How long the footage of the chosen cameras is kept, and for how long that will hold: a line for each.

import * as api from "./api.js";
import { el } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { length } from "./times.js";

/** Between two questions, ms: the recorder reckons anew every ten minutes. */
const PACE = 60e3;
/** A shortage is shown in these. */
const GIGABYTE = 1e9;

export class Kept {
  constructor() {
    this.root = el("ul", { class: "kept" });
    this.cameras = [];
    this.known = new Map();
    setInterval(() => this.ask(), PACE);
    onLanguage(() => this.draw());
  }

  choose(cameras) {
    this.cameras = cameras;
    this.draw();
    this.ask();
  }

  async ask() {
    const { cameras } = this;
    // While the recorder is away the banner says so; what it does not know yet is asked for again.
    const answers = await Promise.all(cameras.map((c) => api.kept(c.id).catch(() => null)));
    if (cameras !== this.cameras) return;
    this.known = new Map(cameras.map((c, n) => [c.id, answers[n]]));
    this.draw();
  }

  draw() {
    const lines = this.cameras.filter((c) => this.known.get(c.id));
    this.root.replaceChildren(...lines.map((c) => line(c, this.known.get(c.id))));
  }
}

function line(camera, { camera: told, breaks, suspended }) {
  const { parts, mood } = words(told, breaks, suspended);
  const name = el("b", { textContent: camera.name });
  return el("li", { "data-camera": camera.id, "data-mood": mood }, name, document.createTextNode(` ${parts.join(" · ")}`));
}

const days = (n) => (Math.floor(n * 10) / 10).toFixed(1);

/** What is said of a camera, and how bad that is. */
export function words(told, breaks, suspended) {
  const parts = [];
  let mood = "good";
  const say = (how, ...more) => {
    if (how === "bad" || mood === "good") mood = how;
    parts.push(...more);
  };
  if (told.kept) parts.push(t("kept_days", { days: days(told.kept.days) }));
  parts.push(told.min_days === null ? t("kept_allowed") : t("kept_promised", { days: told.min_days }));
  if (told.max_days !== null) parts.push(t("kept_most", { days: told.max_days }));
  if (told.kept?.young && told.min_days !== null) parts.push(t("kept_young"));
  if (told.kept?.lost_seconds > 0) say("bad", t("kept_lost", { length: length(told.kept.lost_seconds * 1e3) }));
  if (told.kept?.unreadable_seconds > 0) {
    say("bad", t("kept_unreadable", { length: length(told.kept.unreadable_seconds * 1e3) }));
  }
  if (told.stopped) say("bad", t("kept_stopped"));
  if (told.substream) say("warn", t("kept_substream"));
  if (breaks !== null) {
    const missing = Math.max(1, Math.round(breaks.missing / GIGABYTE));
    say(breaks.day === 0 ? "bad" : "warn", t(breaks.day === 0 ? "kept_short" : "kept_breaks", { days: breaks.day, missing }));
  } else if (told.min_days !== null && told.recorded && mood === "good") {
    parts.push(t("kept_holds"));
  }
  if (suspended) say("warn", t("kept_suspended"));
  return { parts, mood };
}
