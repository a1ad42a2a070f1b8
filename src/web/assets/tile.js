// A live picture with its name, state and age; on the wall and on a camera's own page.

import { el, setText } from "./dom.js";
import { causeText, language, onLanguage, t } from "./i18n.js";
import { LivePlayer } from "./live.js";

/**
 * `wanted` are the camera's streams in order of preference: where the browser cannot play the first one, the next one is shown and
 * that is said.
 */
export class Tile {
  constructor(camera, wanted, video) {
    this.camera = camera;
    this.wanted = wanted.filter((kind) => camera.streams.includes(kind));
    if (this.wanted.length === 0) this.wanted = [...camera.streams];
    this.video = video;
    this.word = el("p", { class: "word" });
    this.detail = el("p", { class: "detail", lang: "en" });
    this.cover = el("div", { class: "cover" }, this.word, this.detail);
    this.badge = el("span", { class: "badge" });
    this.note = el("span", { class: "note" });
    this.view = { state: "connecting", cause: null, behind: null };
    this.choice = 0;
    onLanguage(() => this.show());
  }

  /** Begins, or goes on, to show the picture. */
  start() {
    if (this.player || this.wanted.length === 0) return;
    this.player = new LivePlayer(this.video, this.camera.id, this.wanted[this.choice], (view) => this.changed(view));
  }

  stop() {
    this.player?.stop();
    this.player = null;
    this.view = { state: "connecting", cause: null, behind: null };
    this.show();
  }

  changed(view) {
    if (view.state === "unsupported" && this.choice + 1 < this.wanted.length) {
      this.refused = view.mime;
      this.choice += 1;
      // Not from within the player that is being replaced.
      setTimeout(() => {
        if (!this.player) return;
        this.player.stop();
        this.player = null;
        this.start();
      });
      return;
    }
    this.view = view;
    this.show();
  }

  show() {
    const { state, cause, behind } = this.view;
    const fine = state === "running";
    this.cover.hidden = fine;
    this.cover.dataset.state = state;
    setText(this.word, fine ? "" : words(this.view));
    setText(this.detail, fine || state !== "waiting" ? "" : (cause?.detail ?? ""));
    this.badge.hidden = !fine;
    if (fine && behind !== null) {
      const seconds = behind.toLocaleString(language(), { minimumFractionDigits: 1, maximumFractionDigits: 1 });
      setText(this.badge, t("behind", { seconds }));
      this.badge.classList.toggle("late", behind >= 1);
    }
    setText(this.note, this.refused ? t("shown_sub", { codec: codecName(this.refused) }) : "");
    this.note.hidden = !this.refused;
  }
}

/** The plain word for a state. */
function words({ state, cause, mime }) {
  switch (state) {
    case "waiting":
      return causeText(cause);
    case "unsupported":
      return t("unsupported", { codec: codecName(mime) });
    case "away":
      return t("no_recorder");
    case "unknown":
      return t("unknown_camera");
    case "stalled":
      return t("stalled");
    case "idle":
      return t("idle");
    default:
      return t("connecting");
  }
}

/** What people call a codec. */
export function codecName(mime) {
  if (/hvc1|hev1/.test(mime ?? "")) return "H.265";
  if (/avc[13]/.test(mime ?? "")) return "H.264";
  return mime ?? "";
}
