// Links to the span in view for players outside of the browser.

import { ns, serverNow } from "./api.js";
import { el } from "./dom.js";
import { mark, t } from "./i18n.js";

/** Shows a dialog with one link a camera for [from, to]. */
export function links(parent, cameras, from, to) {
  const until = Math.min(to, serverNow());
  const rows = cameras.map((camera) => {
    const stream = camera.streams.includes("main") ? "main" : camera.streams[0];
    const address = `${location.origin}/api/hls/${camera.id}/${stream}.m3u8?from=${ns(from)}&to=${ns(until)}`;
    const id = `link-${camera.id}`;
    const field = el("input", { id, readOnly: true, value: address });
    const copy = mark(el("button", { type: "button" }), "copy");
    copy.addEventListener("click", async () => {
      field.select();
      try {
        await navigator.clipboard.writeText(address);
      } catch {
        document.execCommand("copy"); // where the clipboard is refused; the text is selected in any case
      }
      copy.textContent = t("copied");
    });
    return el("div", { class: "link" }, el("label", { for: id, textContent: camera.name }), field, copy);
  });
  const dialog = el(
    "dialog",
    { class: "links", "aria-labelledby": "links-title" },
    mark(el("h2", { id: "links-title" }), "vlc"),
    mark(el("p"), "vlc_help"),
    ...rows,
    mark(el("button", { type: "button", onclick: () => dialog.close() }), "close"),
  );
  dialog.addEventListener("close", () => dialog.remove());
  parent.append(dialog);
  dialog.showModal();
}
