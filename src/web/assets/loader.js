// Footage of one camera into a SourceBuffer, around the moment that is being watched.
//
// The media time line is wall time since `epoch`. Each run has its own offset from its decode times to that line, taken from a
// fragment's span and taken anew where the mapping has drifted by more than a few milliseconds.

import * as api from "./api.js";
import { sampleTimes, stripInit, stripMedia, tracks } from "./boxes.js";
import { canPlay } from "./live.js";

const Source = window.ManagedMediaSource ?? window.MediaSource;

/** Pictures kept behind the playhead, s. */
const BEHIND = 15;
/** Pictures loaded ahead at 1×, s. */
const AHEAD = 20;
/** Span of one question for fragments, ms. */
const QUESTION = 120e3;
/** Bytes of one request. */
const BATCH = 3 << 20;
/** What is no gap yet, s. */
const SEAM = 0.12;
/** How much the offset may be off, s. */
const DRIFT = 0.02;
/** Footage that ends less than this before now may still grow, ms. */
const GROWING = 15e3;

export class Loader {
  constructor(video, camera) {
    this.video = video;
    this.camera = camera;
    this.stream = camera.streams.includes("main") ? "main" : camera.streams[0];
    this.inits = new Map();
    this.problem = null; // { kind: "unsupported", mime } or { kind: "failed", status }
    this.sub = null; // the codec for whose sake the sub stream is shown
    this.sound = "none"; // "none", "playable", "refused"
    this.speed = 1;
    this.session = null;
  }

  media(ms) {
    return (ms - this.epoch) / 1000;
  }

  wall(media) {
    return this.epoch + media * 1000;
  }

  ahead() {
    return AHEAD * Math.max(1, this.speed / 2) * 1000;
  }

  /** Where to load from now on. Goes on where it was unless the moment lies outside of what is there. */
  want(ms, speed) {
    this.target = ms;
    this.speed = speed;
    const s = this.session;
    if (s && ms >= s.from && (s.edge || ms <= s.plannedTo + 1000) && !this.lost(ms)) return;
    this.begin(ms);
  }

  stop() {
    this.session?.abort.abort();
    this.session = null;
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = this.buffer = this.source = null;
    this.video.removeAttribute("src");
    this.video.load();
  }

  begin(ms) {
    this.session?.abort.abort();
    const session = { from: ms, plannedTo: ms, reached: ms, plan: [], abort: new AbortController(), tries: 0, edge: false };
    this.session = session;
    this.frames = [];
    this.run = null;
    this.fill(session);
  }

  /** Whether what was loaded for `ms` has been let go since. */
  lost(ms) {
    if (this.has(ms)) return false;
    return this.session.plan.some((f) => f.done && f.start + 200 < ms && ms < f.end - 200);
  }

  /** What there is at `ms`: "ready", "gap", "edge", "loading", "unsupported" or "failed". */
  at(ms) {
    const s = this.session;
    if (!s) return "loading";
    if (this.has(ms)) return "ready";
    if (this.problem) return this.problem.kind;
    if (ms < s.from) return "loading";
    if (ms < s.plannedTo - 1) {
      // Between fragments lie moments that belong to none; they are no gaps.
      const covered = s.plan.some((f) => f.start - SEAM * 1000 <= ms && ms < f.end + SEAM * 1000);
      return covered ? "loading" : "gap";
    }
    if (!s.edge) return "loading";
    return api.serverNow() - s.plannedTo < GROWING ? "edge" : "gap";
  }

  has(ms) {
    return this.range(ms) !== null;
  }

  /** The stretch of loaded pictures around `ms`, [start, end] in media time. Its seams to the next stretch belong to it. */
  range(ms) {
    if (!this.buffer) return null;
    const m = this.media(ms);
    const { buffered } = this.buffer;
    let near = null;
    for (let i = 0; i < buffered.length; i += 1) {
      const [start, end] = [buffered.start(i), buffered.end(i)];
      if (start <= m && m < end) return [start, end];
      // A seam between fragments may be a few frames wide; the playhead is carried over it.
      if (start - SEAM <= m && m < end + SEAM) near = [start, end];
    }
    return near;
  }

  async fill(session) {
    const current = () => this.session === session;
    const { signal } = session.abort;
    while (current()) {
      try {
        const busy = (await this.plan(session, signal)) || (current() && (await this.next(session, signal)));
        session.tries = 0;
        if (current() && this.problem?.kind === "failed") this.problem = null;
        if (!busy) await pause(60);
      } catch (e) {
        if (!current() || e.name === "AbortError") return;
        console.debug(`playback ${this.camera.id}:`, e);
        session.tries += 1;
        if (this.problem?.kind !== "unsupported") this.problem = { kind: "failed", status: e.status ?? e.message };
        if (!(e instanceof api.Refused)) this.run = null; // a decoder that has choked begins afresh
        if (e.status === 404) Object.assign(session, { plan: [], plannedTo: Math.max(this.target, session.from) });
        await pause(Math.min(4000, 250 * 2 ** session.tries));
      }
    }
  }

  /** Asks for more fragments where they run short. */
  async plan(session, signal) {
    if (session.plannedTo > this.target + this.ahead() || performance.now() < (session.askAgain ?? 0)) return false;
    // At the live edge nothing may come for long; the question then moves on with the playhead.
    const from = session.edge ? Math.max(session.plannedTo, this.target - 5000) : session.plannedTo;
    const to = from + QUESTION;
    const parts = await api.fragments(this.camera.id, this.stream, from, to, { signal });
    if (this.refuses(parts)) return true;
    const known = new Set(session.plan.map((f) => f.key_));
    for (const part of parts) {
      for (const f of part.fragments) {
        const key_ = `${part.run}/${part.seq}/${f.offset}`;
        if (!known.has(key_)) session.plan.push({ ...f, key_, part, done: false });
      }
    }
    const last = session.plan.at(-1);
    session.edge = to > api.serverNow() - GROWING;
    session.plannedTo = session.edge ? Math.max(from, last?.end ?? from) : to;
    session.askAgain = session.edge ? performance.now() + 700 : 0;
    return true;
  }

  /** Whether the parts are of a codec that this browser does not play; changes to the sub stream where there is one. */
  refuses(parts) {
    const part = parts.find((p) => !canPlay(p.mime));
    if (!part) {
      if (parts.length > 0 && this.problem?.kind === "unsupported") this.problem = null;
      return false;
    }
    if (this.stream === "main" && this.camera.streams.includes("sub")) {
      this.stream = "sub";
      this.sub = part.mime;
      return true;
    }
    this.problem = { kind: "unsupported", mime: this.sub ?? part.mime };
    this.session.askAgain = performance.now() + 5000;
    return true;
  }

  /** Loads and appends the next batch; answers whether there was one. */
  async next(session, signal) {
    const { plan } = session;
    let at = plan.findIndex((f) => !f.done && f.end > this.target);
    if (at < 0 || plan[at].start > this.target + this.ahead()) return this.evict();
    // Decoding needs everything from the key frame on.
    while (at > 0 && !plan[at].key && !plan[at - 1].done && plan[at - 1].part.run === plan[at].part.run) at -= 1;
    const first = plan[at];
    const batch = [first];
    let size = first.len;
    for (const f of plan.slice(at + 1)) {
      const before = batch.at(-1);
      const fits = f.part.seq === first.part.seq && f.part.run === first.part.run && f.offset === before.offset + before.len;
      if (!fits || f.done || size + f.len > BATCH || f.end - first.start > this.batchLength()) break;
      batch.push(f);
      size += f.len;
    }
    const body = await api.bytes(first.part, first.offset, first.offset + size, { signal });
    if (body.length < size) throw new api.Refused(416, "fewer bytes than promised");
    await this.append(session, first, body, signal);
    for (const f of batch) f.done = true;
    session.reached = Math.max(session.reached, batch.at(-1).end);
    await this.evict();
    return true;
  }

  /** Short batches first, so that the picture shows at once; longer ones when there is enough. */
  batchLength() {
    return this.has(this.target) ? 10e3 * Math.max(1, this.speed / 2) : 2500;
  }

  async append(session, first, body, signal) {
    const { part } = first;
    const init = await this.init(part, signal);
    const current = () => this.session === session;
    if (!current()) return;
    const media = stripMedia(body, init.dropped);
    await this.open(part.mime, first.start);
    if (!current()) return;
    const { buffer } = this;
    await idle(buffer);
    if (this.run === null) {
      // A new start: what was there before is of no use, and might lie in the way.
      buffer.abort();
      if (buffer.buffered.length > 0) {
        buffer.remove(0, Infinity);
        await idle(buffer);
      }
    }
    if (!current()) return;
    if (this.run !== part.run) {
      if (this.mime !== part.mime) buffer.changeType(part.mime);
      this.mime = part.mime;
      buffer.appendBuffer(init.bytes);
      await done(buffer);
      this.run = part.run;
      this.offset = NaN;
    }
    const offset = this.media(first.start) - first.dts / part.timescale;
    if (!(Math.abs(offset - this.offset) < DRIFT)) {
      this.offset = offset;
      buffer.timestampOffset = offset;
    }
    buffer.appendBuffer(media);
    await done(buffer);
    const times = sampleTimes(media, init.video).map((ticks) => ticks / init.video.timescale + this.offset);
    this.frames = merge(this.frames, times, this.media(this.target));
  }

  async init(part, signal) {
    const known = this.inits.get(part.run);
    if (known) return known;
    const whole = await api.bytes(part, 0, part.init_len, { signal });
    const all = tracks(whole);
    const refused = all.filter((track) => !part.mime.includes(track.format));
    const dropped = new Set(refused.map((track) => track.id));
    const kept = all.filter((track) => !dropped.has(track.id));
    if (kept.length === 0) throw new Error(`none of ${all.map((track) => track.format)} is in ${part.mime}`);
    const init = { bytes: dropped.size > 0 ? stripInit(whole, dropped) : whole, dropped, video: kept[0] };
    this.sound = kept.length > 1 ? "playable" : dropped.size > 0 ? "refused" : "none";
    if (this.inits.size > 50) this.inits.clear();
    this.inits.set(part.run, init);
    return init;
  }

  /** Opens the source; its time line begins a day before what is shown first, so that going back is possible. */
  async open(mime, ms) {
    const usable = this.buffer && this.source.readyState === "open" && !this.video.error;
    if (usable && ms > this.epoch && ms < this.epoch + 48 * 3600e3) return;
    if (this.address) URL.revokeObjectURL(this.address);
    this.buffer = null;
    this.run = null;
    this.epoch = Math.floor(ms / 3600e3 - 24) * 3600e3;
    this.source = new Source();
    this.address = URL.createObjectURL(this.source);
    const opened = new Promise((open) => this.source.addEventListener("sourceopen", open, { once: true }));
    this.video.src = this.address;
    await opened;
    this.buffer = this.source.addSourceBuffer(mime);
    this.mime = mime;
    this.video.currentTime = this.media(this.target);
  }

  /** Lets go of what lies far behind or far ahead. Answers false: there is nothing else to do at once. */
  async evict() {
    const { buffer } = this;
    if (!buffer || buffer.updating || buffer.buffered.length === 0) return false;
    const behind = this.media(this.target) - BEHIND * Math.max(1, this.speed / 4);
    if (buffer.buffered.start(0) < behind - 10) {
      buffer.remove(0, behind);
      await done(buffer);
      const s = this.session;
      if (s) {
        s.from = Math.max(s.from, Math.min(this.target, this.wall(behind)));
        s.plan = s.plan.filter((f) => f.end > s.from);
      }
    }
    return false;
  }
}

const pause = (ms) => new Promise((go) => setTimeout(go, ms));

function done(buffer) {
  return new Promise((ok, bad) => {
    const end = () => {
      buffer.removeEventListener("error", fail);
      ok();
    };
    const fail = () => {
      buffer.removeEventListener("updateend", end);
      bad(new Error("the browser refuses the data"));
    };
    buffer.addEventListener("updateend", end, { once: true });
    buffer.addEventListener("error", fail, { once: true });
  });
}

const idle = (buffer) => (buffer.updating ? done(buffer) : Promise.resolve());

/** Times of pictures, ascending, each once, of about a minute around `at`. */
function merge(old, more, at) {
  const all = [...old.filter((x) => Math.abs(x - at) < 60), ...more].sort((a, b) => a - b);
  return all.filter((x, i) => i === 0 || x - all[i - 1] > 0.001);
}
