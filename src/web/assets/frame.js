// What every page has around it: name of the site, ways to the other pages, languages, and a banner while the recorder is away.

import { onRecorder, site } from "./api.js";
import { el } from "./dom.js";
import { chooser, mark, onLanguage, startTexts, t } from "./i18n.js";

/** Loads site and texts and builds the frame; answers with { site, main }, `main` being the element for the page. */
export async function frame(page) {
  let known;
  while (!known) known = await site().catch(() => new Promise((done) => setTimeout(done, 1000)));
  await startTexts(known.languages);
  const main = el("main", { id: "main", tabIndex: -1 });
  const link = (href, key, here) =>
    mark(el("a", { href, "aria-current": here ? "page" : null }), key);
  const banner = el("div", { class: "banner", role: "alert", hidden: true });
  document.body.prepend(
    mark(el("a", { class: "skip", href: "#main" }), "skip"),
    el(
      "header",
      { class: "top" },
      el("a", { class: "name", href: "/", textContent: known.name || "custodian" }),
      mark(
        el(
          "nav",
          {},
          link("/", "wall", page === "wall"),
          link("/playback", "playback", page === "playback"),
        ),
        "pages",
        "aria-label",
      ),
      chooser(known.languages),
    ),
    banner,
    main,
  );
  onRecorder((down) => {
    banner.hidden = !down;
    banner.replaceChildren(down ? mark(el("span"), "recorder_down") : "");
  });
  return { site: known, main };
}

/** Keeps the document's title: the page's name and the site's. */
export function title(site, name) {
  onLanguage(() => {
    document.title = [name(t), site.name].filter(Boolean).join(" – ");
  });
}
