// What there is of the chosen cameras: footage and gaps, for the timeline in view and for where playback is.

import * as api from "./api.js";

const HOUR = 3600e3;
const DAY = 24 * HOUR;
/** How far back and on gaps are looked for, step by step. */
const STEPS = [6 * HOUR, 2 * DAY, 40 * DAY, 400 * DAY];
/** Going to a gap shows the last seconds before it. */
export const BEFORE_GAP = 2000;

const WINDOWS = ["view", "play"];

export class Footage {
  constructor(onChange) {
    this.ids = [];
    this.onChange = onChange;
    this.forget();
  }

  choose(ids) {
    this.ids = ids;
    this.forget();
  }

  forget() {
    this.windows = {};
    for (const which of WINDOWS) this.windows[which] = { from: 0, to: 0, at: -Infinity, data: new Map() };
  }

  /** Sees to it that [from, to] is known; asks again for what may have grown. */
  async need(which, from, to) {
    const known = this.windows[which];
    const now = api.serverNow();
    const inside = known.from <= from && to <= known.to;
    const fresh = performance.now() - known.at < 5000 || to < now - 60e3;
    if (this.ids.length === 0 || known.busy || (inside && fresh)) return;
    const margin = Math.max(to - from, 10 * 60e3);
    const asked = { from: from - margin, to: to + margin, at: performance.now(), busy: true, data: known.data };
    known.busy = true;
    const { ids } = this;
    try {
      asked.data = await api.timelines(ids, asked.from, asked.to);
      asked.busy = false;
      if (ids !== this.ids) return;
      this.windows[which] = asked;
      this.onChange();
    } catch (e) {
      console.debug("timeline:", e.message);
      setTimeout(() => (known.busy = false), 1000);
    }
  }

  line(id) {
    return this.windows.view.data.get(id);
  }

  /** The gap of a camera at `ms`, if one is known there. */
  gapAt(id, ms) {
    for (const which of WINDOWS) {
      const gap = this.windows[which].data
        .get(id)
        ?.gaps.find((g) => g.start - 500 <= ms && (g.end === null || ms < g.end + 500));
      if (gap) return gap;
    }
    return undefined;
  }

  /** Whether `ms` is known to be before all that was recorded, or in no gap and no footage. */
  newest() {
    const all = [...this.windows.play.data.values(), ...this.windows.view.data.values()].map((l) => l.newest ?? -Infinity);
    return Math.max(-Infinity, ...all);
  }

  /** Start of the next footage of any camera after `ms`, or null. */
  async nextFootage(ms) {
    const lines = await api.timelines(this.ids, ms, Math.max(api.serverNow(), ms) + 60e3);
    const starts = [...lines.values()].flatMap((l) => l.footage.filter((f) => f.end > ms + 50).map((f) => f.start));
    return starts.length > 0 ? Math.max(ms, Math.min(...starts)) : null;
  }

  /** The first gap of any camera that begins after `ms`: { camera, gap }, or null. */
  async gapAfter(ms) {
    const from = ms + BEFORE_GAP + 500;
    for (const step of STEPS) {
      const best = first(await api.timelines(this.ids, from, ms + step), (g) => g.start > from);
      if (best) return best;
      if (ms + step > api.serverNow()) return null;
    }
    return null;
  }

  /** The last gap that begins before `ms`. */
  async gapBefore(ms) {
    for (const step of STEPS) {
      const from = ms - step;
      // A gap that was cut off by the question begins earlier; a wider question tells when.
      const best = first(await api.timelines(this.ids, from, ms), (g) => g.start < ms && g.start > from + 1, -1);
      if (best) return best;
    }
    return null;
  }
}

function first(lines, fits, sign = 1) {
  let best = null;
  for (const [camera, line] of lines) {
    for (const gap of line.gaps) {
      if (fits(gap) && (best === null || (gap.start - best.gap.start) * sign < 0)) best = { camera, gap };
    }
  }
  return best;
}
