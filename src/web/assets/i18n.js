// The texts of the page. The language is in the address (?lang=vi), else in the browser's store, else the server's choice.

import { el } from "./dom.js";

const KEPT = "custodian.lang";
let texts = {};
let current = document.documentElement.lang;
const followers = new Set();

/** The language shown: "vi", "zh" or "en". */
export const language = () => current;

/** The text of a key with its {placeholders} filled in. */
export function t(key, values = {}) {
  const text = texts[key];
  if (text === undefined) {
    console.error(`the catalog has no ${key}`);
    return key;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The words for a cause of the recorder: { kind, detail }. */
export function causeText(cause) {
  const key = `cause.${cause?.kind ?? "unknown"}`;
  return key in texts ? t(key) : t("cause.unknown");
}

/** Calls `follower` now and whenever the language changes; elements marked by [`mark`] need none. */
export function onLanguage(follower) {
  followers.add(follower);
  follower();
}

/** Gives an element a text by key, kept up when the language changes; with `attribute`, that attribute of it. */
export function mark(element, key, attribute = "text") {
  element.setAttribute(`data-t-${attribute}`, key);
  fill(element, attribute);
  return element;
}

function fill(element, attribute) {
  const text = t(element.getAttribute(`data-t-${attribute}`));
  if (attribute === "text") element.textContent = text;
  else element.setAttribute(attribute, text);
}

const MARKED = ["text", "aria-label", "title"];

async function load(name) {
  const answer = await fetch(`/lang/${name}.json`);
  if (!answer.ok) throw new Error(`/lang/${name}.json: ${answer.status}`);
  texts = await answer.json();
  current = name;
  document.documentElement.lang = name;
  for (const attribute of MARKED) {
    for (const element of document.querySelectorAll(`[data-t-${attribute}]`)) fill(element, attribute);
  }
  for (const follower of followers) follower();
}

/** Loads the first language; to be awaited before anything is shown. */
export async function startTexts(languages) {
  const known = (name) => languages.some(([code]) => code === name);
  const asked = new URLSearchParams(location.search).get("lang");
  const kept = stored();
  await load([asked, kept, current].find(known) ?? "en");
}

function stored() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // storage may be forbidden; the address still carries the choice
  }
}

/** The chooser: one button a language, each named in that language. */
export function chooser(languages) {
  const group = el("div", { class: "languages", role: "group" });
  mark(group, "language", "aria-label");
  for (const [code, name] of languages) {
    const choose = async () => {
      try {
        localStorage.setItem(KEPT, code);
      } catch {
        // as above
      }
      const address = new URL(location.href);
      address.searchParams.set("lang", code);
      history.replaceState(null, "", address);
      await load(code);
    };
    group.append(el("button", { type: "button", lang: code, "data-lang": code, textContent: name, onclick: choose }));
  }
  onLanguage(() => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.lang === current));
  });
  return group;
}
