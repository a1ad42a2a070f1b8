// The gaps in view as a table: for screen readers, and for everybody who wants to read them.

import { el } from "./dom.js";
import { causeText, t } from "./i18n.js";
import { length } from "./times.js";

/** Colour of each cause on the timeline; `stripes` tells it apart for those who do not see colours. */
export const CAUSES = {
  unreachable: { colour: "#e4705c", stripes: 0 },
  credentials: { colour: "#d95fa6", stripes: 1 },
  timeout: { colour: "#ee9a4d", stripes: 0 },
  "no-video": { colour: "#e8c454", stripes: 1 },
  protocol: { colour: "#b98af0", stripes: 0 },
  camera: { colour: "#f0a58a", stripes: 1 },
  disk: { colour: "#ff5468", stripes: 2 },
  full: { colour: "#ff8b3d", stripes: 1 },
  "clock-step": { colour: "#6ea8ff", stripes: 1 },
  stopped: { colour: "#8fa3b3", stripes: 0 },
  restart: { colour: "#9f8a7a", stripes: 2 },
  site: { colour: "#7b8a96", stripes: 1 },
  retention: { colour: "#55606a", stripes: 0 },
  unknown: { colour: "#b0b0b0", stripes: 2 },
};

export const styleOf = (cause) => CAUSES[cause?.kind] ?? CAUSES.unknown;

/** More rows than this help nobody. */
const MOST = 500;

/**
 * Rebuilds `body` (a tbody) from the cameras' lines within [from, to]. Every start is a button that calls `go(ms)`. Answers with the
 * number of gaps and the kinds of causes there are.
 */
export function fillGaps(body, cameras, footage, zone, from, to, go) {
  const rows = [];
  const kinds = new Set();
  for (const camera of cameras) {
    for (const gap of footage.line(camera.id)?.gaps ?? []) {
      if (gap.start < to && (gap.end ?? Infinity) > from) rows.push({ camera, gap });
    }
  }
  rows.sort((a, b) => a.gap.start - b.gap.start);
  for (const { gap } of rows) kinds.add(gap.cause.kind in CAUSES ? gap.cause.kind : "unknown");
  const key = JSON.stringify([rows, document.documentElement.lang]);
  if (body.dataset.key !== key) {
    body.dataset.key = key;
    body.replaceChildren(...rows.slice(0, MOST).map(({ camera, gap }) => row(camera, gap, zone, go)));
  }
  return { count: rows.length, kinds };
}

function row(camera, gap, zone, go) {
  const open = gap.end === null;
  const start = el("button", {
    type: "button",
    textContent: zone.full(gap.start),
    "aria-label": t("gap_go", { time: zone.full(gap.start) }),
    onclick: () => go(gap.start),
  });
  const cell = (text, props = {}) => el("td", { textContent: text, ...props });
  return el(
    "tr",
    { "data-cause": gap.cause.kind },
    cell(camera.name),
    el("td", {}, start),
    cell(open ? t("gap_open") : zone.full(gap.end)),
    cell(open ? "" : length(gap.end - gap.start)),
    el("td", {}, swatch(gap.cause.kind), document.createTextNode(causeText(gap.cause))),
    cell(gap.cause.detail, { lang: "en", class: "detail" }),
  );
}

/** A little field in the colour of a cause. */
export function swatch(kind) {
  const field = el("span", { class: "swatch", "aria-hidden": "true" });
  field.style.background = (CAUSES[kind] ?? CAUSES.unknown).colour;
  return field;
}
