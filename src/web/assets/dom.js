// Building the page without ever parsing text as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Paths of the symbols on buttons, 24 × 24. */
const SYMBOLS = {
  play: "M7 4v16l13-8z",
  pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  stepBack: "M18 4v16L9 12zM5 4h2v16H5z",
  stepOn: "M6 4v16l9-8zM17 4h2v16h-2z",
  gapBack: "M20 4v16l-8-8zM12 4v16l-8-8zM2 4h2v16H2z",
  gapOn: "M4 4v16l8-8zM12 4v16l8-8zM20 4h2v16h-2z",
  left: "M15 4l-8 8 8 8",
  right: "M9 4l8 8-8 8",
  plus: "M11 4h2v7h7v2h-7v7h-2v-7H4v-2h7z",
  minus: "M4 11h16v2H4z",
  sound: "M4 9v6h4l5 5V4L8 9zM16 8c2 2 2 6 0 8M18 5c4 4 4 10 0 14",
  mute: "M4 9v6h4l5 5V4L8 9zM16 9l5 6M21 9l-5 6",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
};
const STROKED = new Set(["left", "right", "full"]);

/** A symbol that screen readers do not mention. */
export function symbol(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", STROKED.has(name) ? "symbol stroked" : "symbol");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SYMBOLS[name]);
  svg.append(path);
  return svg;
}

/** Exchanges the symbol of a button. */
export function setSymbol(button, name) {
  if (button.dataset.symbol === name) return;
  button.dataset.symbol = name;
  button.replaceChildren(symbol(name));
}

/**
 * An element. `props` that begin with "on" are listeners, `class`, `data-…`, `aria-…` and the like are attributes, the rest are
 * properties; undefined and null ones are left out.
 */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "for" || name === "role" || name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((c) => c !== undefined && c !== null));
  return made;
}

/** Sets a text only where it differs, so that screen readers are not told the same again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Number of columns so that `count` pictures, 16 by 9 with `extra` pixels of text below, are as large as the space allows. */
export function columnsFor(count, width, height, extra, least = 0) {
  let best = { columns: 1, size: 0 };
  for (let columns = 1; columns <= Math.max(1, count) && width / columns >= least; columns += 1) {
    const rows = Math.ceil(count / columns);
    const size = Math.min(width / columns, (height / rows - extra) * (16 / 9));
    if (size > best.size) best = { columns, size };
  }
  return best;
}
