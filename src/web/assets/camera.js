// One camera, live, at full size.

import * as api from "./api.js";
import { el, setSymbol } from "./dom.js";
import { frame, title } from "./frame.js";
import { mark } from "./i18n.js";
import { Tile } from "./tile.js";

const { site, main } = await frame("camera");
const id = decodeURIComponent(location.pathname.split("/")[2] ?? "");

const name = el("h1", { class: "camera" });
const area = el("span", { class: "area" });
const stage = el("div", { class: "picture stage" });
const facts = el("div", { class: "facts" });
const replay = mark(el("a", { class: "button", href: `/playback?camera=${encodeURIComponent(id)}` }), "to_playback");
const full = mark(mark(el("button", { type: "button", class: "icon" }), "full_screen", "aria-label"), "full_screen", "title");
setSymbol(full, "full");
full.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen()));
main.append(el("div", { class: "bar" }, name, area, facts, el("span", { class: "space" }), replay, full), stage);
title(site, () => name.textContent);

function show(camera) {
  name.textContent = camera.name;
  area.textContent = camera.area;
  document.title = [camera.name, site.name].filter(Boolean).join(" – ");
  const video = el("video", { muted: true, "aria-label": camera.name });
  const tile = new Tile(camera, ["main", "sub"], video);
  stage.replaceChildren(video, tile.cover);
  facts.replaceChildren(tile.badge, tile.note);
  tile.start();
}

async function find() {
  try {
    const camera = (await api.cameras()).find((c) => c.id === id);
    if (camera) {
      show(camera);
      return;
    }
    const word = mark(el("p", { class: "word" }), "unknown_camera");
    stage.replaceChildren(el("div", { class: "cover" }, word));
    setTimeout(find, 5000);
  } catch {
    setTimeout(find, 1000); // the banner says so meanwhile
  }
}

await find();
