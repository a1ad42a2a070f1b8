// A live picture: messages of the WebSocket into Media Source Extensions, kept close to the live edge.
//
// The media time line is wall time since the first run's start, so that a new run goes on where the wall clock is.

import { serverNow } from "./api.js";

const Source = window.ManagedMediaSource ?? window.MediaSource;
const utf8 = new TextDecoder();

/** How far the playhead may lie behind the newest picture, s: beyond JUMP it jumps, beyond HURRY it hurries. */
const JUMP = 0.9;
const HURRY = 0.45;
const WANTED = 0.2;
/** Old pictures kept, s. */
const KEPT = 4;
/** Chunks that wait for the decoder before the player starts afresh. */
const MOST_WAITING = 500;
/** Without a message for so long, ms, a running stream counts as stalled. */
const STALLED = 5000;

/** Whether this browser plays `mime` at all. */
export const canPlay = (mime) => Source !== undefined && Source.isTypeSupported(mime);

/**
 * Plays one live stream in `video`. `onChange(view)` is called when what is known changes; a view is
 * { state, cause, mime, behind }, where state is "connecting", "idle", "waiting", "running", "away" (no answer from the
 * recorder), "unsupported", "unknown" (no such stream) or "stalled", and behind is in seconds, or null.
 */
export class LivePlayer {
  constructor(video, camera, kind, onChange) {
    Object.assign(this, { video, camera, kind, onChange });
    this.view = { state: "connecting", cause: null, mime: null, behind: null };
    this.attempt = 0;
    this.stopped = false;
    video.muted = true;
    video.autoplay = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    this.timer = setInterval(() => this.steer(), 200);
    this.connect();
  }

  stop() {
    this.stopped = true;
    clearInterval(this.timer);
    clearTimeout(this.retry);
    this.drop();
    this.video.removeAttribute("src");
    this.video.load();
  }

  change(next) {
    if (Object.keys(next).every((k) => this.view[k] === next[k])) return;
    this.view = { ...this.view, ...next };
    this.onChange(this.view);
  }

  connect() {
    const socket = new WebSocket(`ws://${location.host}/live/${this.camera}/${this.kind}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.lastMessage = performance.now();
    socket.onmessage = (m) => {
      if (this.socket !== socket) return;
      this.lastMessage = performance.now();
      try {
        this.take(new Uint8Array(m.data));
      } catch (e) {
        this.again("connecting", e);
      }
    };
    socket.onclose = (e) => {
      if (this.socket === socket) this.again(e.code === 4404 ? "unknown" : "away", e.reason);
    };
  }

  /** Lets go of socket and buffers; the last picture stays on the screen. */
  drop() {
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.source = this.buffer = null;
    this.queue = [];
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
  }

  /** Starts afresh after a while that grows with each failure, up to 5 s, and is never the same for all tiles. */
  again(state, why) {
    if (this.stopped) return;
    console.debug(`live ${this.camera}/${this.kind}: ${why || state}`);
    this.drop();
    this.change({ state, cause: null, behind: null });
    const wait = Math.min(5000, 250 * 2 ** this.attempt) * (0.75 + Math.random() / 2);
    this.attempt += 1;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.connect(), state === "unknown" ? 10000 : wait);
  }

  take(message) {
    const body = message.subarray(5);
    switch (message[0]) {
      case 0:
        this.begin(JSON.parse(utf8.decode(body)));
        break;
      case 1:
      case 2:
        if (this.init) this.push(message[0] === 1 ? { init: this.init, body } : { body });
        break;
      case 3: {
        const { state, cause } = JSON.parse(utf8.decode(body));
        this.said = state;
        if (state === "running") this.change({ cause: null });
        else this.change({ state, cause, behind: null });
        break;
      }
      default: // a kind of a later version
    }
  }

  begin(init) {
    this.init = init;
    if (!canPlay(init.mime)) {
      this.drop();
      this.change({ state: "unsupported", mime: init.mime, behind: null });
      return;
    }
    this.change({ mime: init.mime });
    const start = init.start / 1e6;
    if (!this.source || start < this.epoch) {
      this.epoch = start;
      this.open();
    }
  }

  open() {
    const source = new Source();
    this.source = source;
    this.buffer = null;
    this.queue = [];
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = URL.createObjectURL(source);
    this.video.src = this.address;
    source.addEventListener(
      "sourceopen",
      () => {
        if (this.source !== source) return;
        try {
          this.buffer = source.addSourceBuffer(this.init.mime);
        } catch (e) {
          this.again("connecting", e);
          return;
        }
        this.mime = this.init.mime;
        this.buffer.addEventListener("updateend", () => this.pump());
        this.buffer.addEventListener("error", () => this.source === source && this.again("connecting", "append failed"));
        this.pump();
      },
      { once: true },
    );
  }

  push(entry) {
    this.queue.push(entry);
    if (this.queue.length > MOST_WAITING) {
      this.again("connecting", "the decoder is too slow");
      return;
    }
    this.pump();
  }

  pump() {
    const buffer = this.buffer;
    if (!buffer || buffer.updating || this.queue.length === 0) return;
    try {
      if (this.trim(buffer)) return;
      const { init, body } = this.queue[0];
      if (init) {
        if (init.mime !== this.mime) buffer.changeType(init.mime);
        this.mime = init.mime;
        buffer.timestampOffset = (init.start / 1e6 - this.epoch) / 1000;
        this.queue.shift();
        buffer.appendBuffer(body);
        return;
      }
      // Chunks that have piled up go in at once.
      const next = this.queue.findIndex((e) => e.init);
      const chunks = this.queue.splice(0, next < 0 ? this.queue.length : next).map((e) => e.body);
      buffer.appendBuffer(chunks.length === 1 ? chunks[0] : join(chunks));
    } catch (e) {
      this.again("connecting", e);
    }
  }

  trim(buffer) {
    const { buffered } = buffer;
    if (buffered.length === 0) return false;
    const until = this.video.currentTime - KEPT;
    if (until - buffered.start(0) < 6) return false;
    buffer.remove(0, until);
    return true;
  }

  /** Keeps the playhead near the newest picture and tells how far behind it is. */
  steer() {
    const { video, buffer } = this;
    const silent = performance.now() - this.lastMessage;
    if (this.view.state === "running" && silent > STALLED) {
      this.change({ state: "stalled", behind: null });
      return;
    }
    if (!buffer || video.buffered.length === 0 || this.said !== "running") return;
    const last = video.buffered.length - 1;
    const end = video.buffered.end(last);
    let behind = end - video.currentTime;
    if (behind > JUMP || video.currentTime < video.buffered.start(last) - 0.05) {
      video.currentTime = Math.max(video.buffered.start(last), end - WANTED);
      behind = end - video.currentTime;
    }
    const rate = behind > 2 * WANTED + 0.2 ? 1.3 : behind > HURRY ? 1.12 : behind < 0.06 ? 0.94 : behind < WANTED || behind < HURRY - 0.1 ? 1 : video.playbackRate;
    if (video.playbackRate !== rate) video.playbackRate = rate;
    if (video.paused) video.play().catch(() => {}); // refused until the browser's policy allows it; tried again in 200 ms
    if (video.readyState < 2 || silent > STALLED) return;
    this.attempt = 0;
    this.change({ state: "running", cause: null, behind: this.measure(behind, silent) });
  }

  /** Seconds behind the camera: by the wall clock where that is plausible, and never less than what waits to be shown. */
  measure(behind, silent) {
    const wall = (serverNow() - this.epoch) / 1000 - this.video.currentTime;
    const arrived = behind + silent / 1000;
    const seconds = Math.abs(wall - arrived) < 2 ? Math.max(wall, arrived) : arrived;
    return Math.round(seconds * 10) / 10;
  }
}

function join(chunks) {
  const whole = new Uint8Array(chunks.reduce((n, c) => n + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
