// The wall: a live picture of every camera, each leading to its own page.

import * as api from "./api.js";
import { columnsFor, el, setText } from "./dom.js";
import { frame, title } from "./frame.js";
import { mark, onLanguage, t } from "./i18n.js";
import { Tile } from "./tile.js";

const { site, main } = await frame("wall");
title(site, (words) => words("wall"));

const summary = el("p", { class: "summary", role: "status" });
const grid = el("ul", { class: "grid" });
main.append(mark(el("h1", { class: "hidden" }), "wall"), summary, grid);

/** By camera id: { key, item, tile }. */
const shown = new Map();

/** Pictures run only while they can be seen: a wall of 64 on a small screen decodes what is on it. */
const inView = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const tile = [...shown.values()].find((s) => s.item === entry.target)?.tile;
      if (entry.isIntersecting) tile?.start();
      else tile?.stop();
    }
  },
  { rootMargin: "100px" },
);

function add(camera) {
  const video = el("video", { muted: true, "aria-hidden": "true", tabIndex: -1 });
  const tile = new Tile(camera, ["sub", "main"], video);
  const item = el(
    "li",
    { class: "tile", "data-camera": camera.id },
    el(
      "a",
      { href: `/camera/${camera.id}` },
      el("div", { class: "picture" }, video, tile.cover),
      el("div", { class: "caption" }, el("span", { class: "camera", textContent: camera.name }), tile.note, tile.badge),
    ),
  );
  shown.set(camera.id, { key: JSON.stringify(camera), item, tile });
  inView.observe(item);
}

function remove(id) {
  const { item, tile } = shown.get(id);
  inView.unobserve(item);
  tile.stop();
  item.remove();
  shown.delete(id);
}

/** Columns so that all pictures, 16 by 9, are as large as the window allows; below a readable width the page scrolls. */
function arrange() {
  const count = Math.max(1, shown.size);
  const width = grid.clientWidth || window.innerWidth;
  const height = window.innerHeight - grid.getBoundingClientRect().top - window.scrollY - 8;
  const least = Math.min(width, 210);
  const best = columnsFor(count, width, height, 30, least);
  // Where even the best does not fit, as many columns as are readable.
  const columns = best.size >= least * 0.8 ? best.columns : Math.max(1, Math.floor(width / least));
  grid.style.setProperty("--columns", String(columns));
  grid.style.setProperty("--widest", best.size >= least * 0.8 ? `${Math.floor(best.size)}px` : "1fr");
}

function sum() {
  const configured = [...shown.values()];
  const running = configured.filter((s) => s.tile.view.state === "running").length;
  const hidden = configured.filter((s) => !s.tile.player).length;
  const text =
    shown.size === 0 ? t("no_cameras") : t("summary", { total: shown.size, running: running + hidden, down: shown.size - running - hidden });
  setText(summary, text);
}

async function refresh() {
  try {
    const list = (await api.cameras()).filter((c) => c.configured && c.streams.length > 0);
    const keys = new Map(list.map((c) => [c.id, JSON.stringify(c)]));
    for (const [id, s] of [...shown]) if (keys.get(id) !== s.key) remove(id);
    for (const camera of list) if (!shown.has(camera.id)) add(camera);
    for (const [at, camera] of list.entries()) {
      const { item } = shown.get(camera.id);
      if (grid.children[at] !== item) grid.insertBefore(item, grid.children[at] ?? null);
    }
    arrange();
    setTimeout(refresh, 15000);
  } catch {
    setTimeout(refresh, 1500); // the banner says so meanwhile
  }
}

window.addEventListener("resize", arrange);
onLanguage(sum);
setInterval(sum, 1000);
await refresh();
