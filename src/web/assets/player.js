// The recorded pictures of one camera, following the master clock.

import { causeText, onLanguage, t } from "./i18n.js";
import { el, setText } from "./dom.js";
import { Loader } from "./loader.js";
import { codecName } from "./tile.js";

/** Off by more than this, s at 1×, is put right by a seek; by less, by a slightly other speed. */
const SEEK = 0.4;
/** Half a picture at 25 a second. */
const SAME = 0.02;
/** Where browsers stop before the end of what is loaded, s. */
const END = 0.09;
/** Behind and without a move for so long, ms, is stuck. */
const STUCK = 1500;
/** What browsers can do. */
const FASTEST = 16;

export class CameraPlayer {
  constructor(camera, footage) {
    this.camera = camera;
    this.footage = footage;
    this.video = el("video", { muted: true, playsInline: true, preload: "auto", "aria-label": camera.name });
    this.video.disableRemotePlayback = true;
    this.loader = new Loader(this.video, camera);
    this.word = el("p", { class: "word" });
    this.detail = el("p", { class: "detail", lang: "en" });
    this.cover = el("div", { class: "cover", hidden: true }, this.word, this.detail);
    this.note = el("span", { class: "note", hidden: true });
    this.name = el("span", { class: "camera", textContent: camera.name });
    this.root = el(
      "figure",
      { class: "player", "data-camera": camera.id },
      el("div", { class: "picture" }, this.video, this.cover),
      el("figcaption", {}, this.name, this.note),
    );
    this.state = "loading";
    this.since = 0;
    onLanguage(() => this.show());
  }

  stop() {
    this.loader.stop();
    this.root.remove();
  }

  /** Sees to what is needed at `ms` and tells what there is: see [`Loader.at`]. */
  look(ms, speed) {
    this.loader.want(ms, speed);
    const state = this.loader.at(ms);
    if (state !== this.state) {
      this.state = state;
      this.since = performance.now();
    }
    this.moment = ms;
    this.show();
    return state;
  }

  /** How far the picture is ahead of `ms`, s; null where there is none to compare. */
  drift(ms) {
    const place = this.place(ms, true);
    return place === null || place.apart ? null : this.video.currentTime - place.target;
  }

  /**
   * Where the picture should be: { target, apart }, `apart` if it is in another stretch of footage than that, so that no playing
   * brings it there. At the end of a stretch it cannot quite follow: browsers stop a little before.
   */
  place(ms, moving) {
    const range = this.state === "ready" ? this.loader.range(ms) : null;
    if (range === null) return null;
    const [start, end] = range;
    const target = Math.max(start, Math.min(end - (moving ? END : 0.005), this.loader.media(ms)));
    const at = this.video.currentTime;
    return { target, apart: at < start - SAME || at > end + SAME };
  }

  /** Makes the picture follow: `moving` at `speed`, else standing at `ms`. */
  follow(ms, speed, moving) {
    const { video } = this;
    const place = this.place(ms, moving);
    if (place === null) {
      if (!video.paused) video.pause();
      return;
    }
    const { target, apart } = place;
    const drift = video.currentTime - target;
    if (!moving) {
      if (!video.paused) video.pause();
      if (Math.abs(drift) > SAME && !video.seeking) video.currentTime = target;
      return;
    }
    if (video.paused) video.play().catch(() => {}); // refused until the browser's policy allows it; tried again next time
    if (video.seeking) return;
    // Behind at high speed is no reason to seek, which costs more time than it gains: the master waits.
    if (apart || drift > SEEK * speed || drift < -SEEK * speed * 4 || this.stuck(drift)) {
      video.currentTime = target;
      return;
    }
    const pull = Math.max(-0.12, Math.min(0.12, drift / speed));
    const rate = Math.min(FASTEST, Math.max(0.1, speed * (Math.abs(pull) < 0.012 ? 1 : 1 - pull)));
    if (Math.abs(video.playbackRate - rate) > 0.004 * speed) video.playbackRate = rate;
  }

  /** Whether the picture is behind and has not moved for a while: a hole too small to be seen in what is loaded, or a lazy decoder. */
  stuck(drift) {
    const now = performance.now();
    if (this.video.currentTime !== this.was || drift > -SAME) {
      this.was = this.video.currentTime;
      this.moved = now;
      return false;
    }
    if (now - this.moved < STUCK) return false;
    this.moved = now;
    return true;
  }

  /** Wall time of the picture after (`1`) or before (`-1`) the one shown at `ms`; null at the end of what is loaded. */
  neighbour(ms, direction) {
    const now = this.loader.media(ms) + 0.001;
    const { frames } = this.loader;
    const next = frames.findIndex((x) => x > now + 0.0005);
    const here = (next < 0 ? frames.length : next) - 1;
    const wanted = frames[here + direction];
    return wanted === undefined ? null : this.loader.wall(wanted + 0.002);
  }

  show() {
    const { state, loader } = this;
    // A seam or a short wait is not worth a word.
    const long = performance.now() - this.since > 350;
    const words = long || state === "gap" ? this.words() : null;
    this.cover.hidden = words === null;
    this.cover.dataset.state = state;
    if (words) {
      setText(this.word, words[0]);
      setText(this.detail, words[1] ?? "");
    }
    const notes = [];
    if (loader.sub) notes.push(t("shown_sub", { codec: codecName(loader.sub) }));
    if (loader.sound === "refused") notes.push(t("no_sound"));
    setText(this.note, notes.join(" · "));
    this.note.hidden = notes.length === 0;
  }

  words() {
    const { loader } = this;
    switch (this.state) {
      case "gap": {
        const gap = this.footage.gapAt(this.camera.id, this.moment);
        if (gap && gap.end !== null && gap.end - gap.start < 1000) return null;
        return gap ? [t("no_footage", { cause: causeText(gap.cause) }), gap.cause.detail] : [t("no_footage_here")];
      }
      case "unsupported":
        return [t("unsupported", { codec: codecName(loader.problem?.mime) })];
      case "failed":
        return [t("failed", { status: loader.problem?.status ?? "" })];
      case "loading":
        return [t("loading")];
      default:
        return null;
    }
  }
}
