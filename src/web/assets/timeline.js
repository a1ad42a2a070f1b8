// The timeline: a row a camera, footage and gaps over time; zoomed by wheel, dragged, and used by keys.

import { serverNow } from "./api.js";
import { causeText, onLanguage, t } from "./i18n.js";
import { el } from "./dom.js";
import { styleOf } from "./gaps.js";
import { length } from "./times.js";

const MINUTE = 60e3;
const DAY = 24 * 60 * MINUTE;
const AXIS = 24;
const ROW = 36;
const BAR = 15;
/** Distances of marks on the axis, ms. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600].map((s) => s * 1000);

export class Timeline {
  /** `use.seek(ms)`, `use.viewed(from, to)` after the view has moved, `use.key(name)` for keys that are not about the view. */
  constructor(zone, footage, use) {
    Object.assign(this, { zone, footage, use, cameras: [], cursor: 0, from: 0, to: DAY, following: true });
    this.canvas = el("canvas", { class: "lines" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.root = el(
      "div",
      { class: "timeline", tabIndex: 0, role: "slider", "aria-orientation": "horizontal", "aria-describedby": "timeline-help" },
      this.canvas,
      this.tip,
    );
    this.pointers = new Map();
    const on = (name, f, options) => this.root.addEventListener(name, f.bind(this), options);
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.up);
    on("pointerleave", () => (this.tip.hidden = true));
    on("wheel", this.wheel, { passive: false });
    on("keydown", this.keydown);
    new ResizeObserver(() => this.draw()).observe(this.root);
    onLanguage(() => this.draw());
  }

  show(cameras) {
    this.cameras = cameras;
    this.root.style.height = `${AXIS + Math.max(1, cameras.length) * ROW + 4}px`;
    this.draw();
  }

  /** Moves the view; its length stays between a minute and a day. */
  view(from, to) {
    const span = Math.max(MINUTE, Math.min(DAY, to - from));
    this.from = from;
    this.to = from + span;
    this.use.viewed(this.from, this.to);
    this.draw();
  }

  /** Where playback is. The view goes along unless it was moved away by hand. */
  at(ms, moved) {
    if (moved) this.following = true;
    if (ms === this.cursor && !moved) return;
    this.cursor = ms;
    const span = this.to - this.from;
    if (this.following && this.pointers.size === 0 && (ms < this.from || ms > this.to - span * 0.04)) {
      // With room ahead, but not with the future, where there is nothing.
      const from = Math.min(ms - span * (moved ? 0.5 : 0.15), Math.max(ms, serverNow()) - span * 0.95);
      this.view(from, from + span);
    } else {
      this.draw();
    }
  }

  zoom(factor, around = this.cursor) {
    const inside = around >= this.from && around <= this.to ? around : (this.from + this.to) / 2;
    const span = Math.max(MINUTE, Math.min(DAY, (this.to - this.from) * factor));
    const share = (inside - this.from) / (this.to - this.from);
    this.view(inside - share * span, inside - share * span + span);
  }

  x(ms) {
    return ((ms - this.from) / (this.to - this.from)) * this.root.clientWidth;
  }

  time(x) {
    return this.from + (x / this.root.clientWidth) * (this.to - this.from);
  }

  down(e) {
    if (e.button > 0) return;
    this.root.setPointerCapture(e.pointerId);
    this.pointers.set(e.pointerId, { x: e.offsetX, first: e.offsetX });
    this.dragged = false;
  }

  move(e) {
    const held = this.pointers.get(e.pointerId);
    if (!held) {
      this.hover(e.offsetX, e.offsetY);
      return;
    }
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== e.pointerId)[1];
      const before = Math.abs(held.x - other.x);
      const after = Math.abs(e.offsetX - other.x);
      if (before > 10 && after > 10) this.zoom(before / after, this.time((e.offsetX + other.x) / 2));
      this.dragged = true;
    } else if (this.dragged || Math.abs(e.offsetX - held.first) > 4) {
      const by = this.time(held.x) - this.time(e.offsetX);
      this.dragged = true;
      this.following = false;
      this.tip.hidden = true;
      this.view(this.from + by, this.to + by);
    }
    held.x = e.offsetX;
  }

  up(e) {
    if (!this.pointers.delete(e.pointerId)) return;
    if (!this.dragged && e.type === "pointerup") this.use.seek(this.time(e.offsetX));
  }

  wheel(e) {
    e.preventDefault();
    if (Math.abs(e.deltaX) > Math.abs(e.deltaY) || e.shiftKey) {
      const by = (((e.deltaX || e.deltaY) / 600) * (this.to - this.from));
      this.following = false;
      this.view(this.from + by, this.to + by);
    } else {
      this.zoom(1.0018 ** e.deltaY, this.time(e.offsetX));
    }
  }

  keydown(e) {
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    const by = { ArrowLeft: -1000, ArrowRight: 1000, ArrowDown: -1000, ArrowUp: 1000, PageUp: MINUTE, PageDown: -MINUTE }[e.key];
    if (by) this.use.seek(this.cursor + by * (e.shiftKey ? 10 : 1));
    else if (e.key === "Home") this.use.seek(this.from);
    else if (e.key === "End") this.use.seek(this.to);
    else if (e.key === "+" || e.key === "=") this.zoom(0.5);
    else if (e.key === "-") this.zoom(2);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  hover(x, y) {
    const ms = this.time(x);
    const camera = this.cameras[Math.floor((y - AXIS) / ROW)];
    const gap = camera && this.footage.line(camera.id)?.gaps.find((g) => g.start <= ms && ms < (g.end ?? Infinity));
    const lines = [this.zone.full(ms)];
    if (gap) {
      const end = gap.end === null ? t("gap_open") : length(gap.end - gap.start);
      lines.push(`${causeText(gap.cause)} · ${end}`);
      lines.push(`${this.zone.time(gap.start)} – ${gap.end === null ? "…" : this.zone.time(gap.end)}`);
      if (gap.cause.detail) lines.push(gap.cause.detail);
    }
    this.tip.replaceChildren(...lines.map((text) => el("div", { textContent: text })));
    this.tip.hidden = false;
    const half = this.tip.offsetWidth / 2;
    const left = Math.max(half + 4, Math.min(this.root.clientWidth - half - 4, x));
    this.tip.style.left = `${left}px`;
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  paint() {
    const { canvas, root } = this;
    const width = root.clientWidth;
    const height = root.clientHeight;
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.textBaseline = "middle";
    pen.font = `12px ${getComputedStyle(root).fontFamily}`;
    this.axis(pen, width, height);
    for (const [row, camera] of this.cameras.entries()) this.row(pen, width, AXIS + row * ROW, camera);
    const x = this.x(this.cursor);
    pen.fillStyle = "#ffffff";
    pen.fillRect(x - 1, 14, 2, height - 14);
    pen.beginPath();
    pen.moveTo(x - 6, 10);
    pen.lineTo(x + 6, 10);
    pen.lineTo(x, 18);
    pen.fill();
    root.setAttribute("aria-valuemin", Math.round(this.from / 1000));
    root.setAttribute("aria-valuemax", Math.round(this.to / 1000));
    root.setAttribute("aria-valuenow", Math.round(this.cursor / 1000));
    root.setAttribute("aria-valuetext", this.zone.full(this.cursor));
  }

  axis(pen, width, height) {
    const span = this.to - this.from;
    const step = STEPS.find((s) => (s / span) * width > 64) ?? STEPS.at(-1);
    const origin = this.zone.midnight(this.from);
    const first = origin + Math.floor((this.from - origin) / step) * step;
    for (let ms = first; ms < this.to; ms += step) {
      const x = Math.round(this.x(ms)) + 0.5;
      pen.fillStyle = "#2b3a47";
      pen.fillRect(x, AXIS - 4, 1, height - AXIS + 4);
      if (x < 22 || x > width - 22) continue; // half a label would hide a whole one
      pen.fillStyle = "#a9b8c5";
      pen.textAlign = "center";
      pen.fillText(this.zone.time(ms, step < MINUTE), x, 8);
    }
  }

  row(pen, width, top, camera) {
    const bar = top + ROW - BAR - 3;
    pen.fillStyle = "#1a242d";
    pen.fillRect(0, bar, width, BAR);
    const line = this.footage.line(camera.id);
    const box = (start, end) => {
      const x = Math.max(-2, this.x(start));
      return [x, Math.max(1.5, Math.min(width + 2, this.x(end)) - x)];
    };
    for (const f of line?.footage ?? []) {
      if (f.end < this.from || f.start > this.to) continue;
      const [x, w] = box(f.start, f.end);
      pen.fillStyle = "#3f8f6b";
      pen.fillRect(x, bar, w, BAR);
    }
    for (const gap of line?.gaps ?? []) {
      const end = gap.end ?? Math.max(line.newest ?? gap.start, serverNow());
      if (end < this.from || gap.start > this.to) continue;
      const [x, w] = box(gap.start, end);
      const { colour, stripes } = styleOf(gap.cause);
      pen.fillStyle = colour;
      pen.fillRect(x, bar, w, BAR);
      if (stripes > 0 && w > 6) hatch(pen, x, bar, w, stripes);
    }
    pen.fillStyle = "#e6edf3";
    pen.textAlign = "left";
    pen.fillText(camera.name, 4, top + 9, width - 8);
  }
}

function hatch(pen, x, y, w, stripes) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, w, BAR);
  pen.clip();
  pen.strokeStyle = "rgb(14 21 27 / 70%)";
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (let at = Math.max(x, 0) - BAR; at < Math.min(x + w, 8000); at += 7) {
    pen.moveTo(at, y + BAR);
    pen.lineTo(at + BAR, y);
    if (stripes > 1) {
      pen.moveTo(at, y);
      pen.lineTo(at + BAR, y + BAR);
    }
  }
  pen.stroke();
  pen.restore();
}
