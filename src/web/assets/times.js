// Wall times in the site's time zone, wherever the browser is.

import { language, t } from "./i18n.js";

const two = (n) => String(n).padStart(2, "0");

export class Zone {
  constructor(name) {
    try {
      this.parts = formatter(name);
      this.name = name;
    } catch {
      this.parts = formatter("UTC"); // a zone that this browser does not know
      this.name = "UTC";
    }
    this.formats = new Map();
  }

  /** [year, month 1–12, day, hour, minute, second] at `ms`. */
  fields(ms) {
    const found = Object.fromEntries(this.parts.formatToParts(ms).map((p) => [p.type, Number(p.value)]));
    return [found.year, found.month, found.day, found.hour, found.minute, found.second];
  }

  /** The instant of a local date and time; of one that a clock change skips, the instant as if it had not. */
  at(year, month, day, hour = 0, minute = 0, second = 0) {
    const local = Date.UTC(year, month - 1, day, hour, minute, second);
    const once = local - this.offset(local);
    return local - this.offset(once);
  }

  offset(ms) {
    const whole = Math.floor(ms / 1000) * 1000;
    const [year, month, ...rest] = this.fields(whole);
    return Date.UTC(year, month - 1, ...rest) - whole;
  }

  /** Midnight of the day of `ms`, moved by `days`. */
  midnight(ms, days = 0) {
    const [year, month, day] = this.fields(ms);
    return this.at(year, month, day + days);
  }

  /** The same time of day, `days` later. */
  moved(ms, days) {
    const [year, month, day, ...time] = this.fields(ms);
    return this.at(year, month, day + days, ...time) + (ms % 1000);
  }

  /** As an input of type datetime-local has it. */
  input(ms) {
    const [year, month, day, hour, minute, second] = this.fields(ms);
    return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`;
  }

  /** The instant that such an input has, or null. */
  parse(value) {
    const m = /^(\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?$/.exec(value);
    return m ? this.at(...m.slice(1).map((n) => Number(n ?? 0))) : null;
  }

  /** 14:05:09, or 14:05 without seconds. */
  time(ms, seconds = true) {
    const [, , , hour, minute, second] = this.fields(ms);
    return seconds ? `${two(hour)}:${two(minute)}:${two(second)}` : `${two(hour)}:${two(minute)}`;
  }

  /** The day in the words of the page's language. */
  day(ms) {
    const key = language();
    if (!this.formats.has(key)) {
      const shape = { timeZone: this.name, weekday: "short", year: "numeric", month: "2-digit", day: "2-digit" };
      this.formats.set(key, new Intl.DateTimeFormat(key === "en" ? "en-GB" : key, shape));
    }
    return this.formats.get(key).format(ms);
  }

  /** Day and time. */
  full(ms) {
    return `${this.day(ms)} ${this.time(ms)}`;
  }
}

function formatter(timeZone) {
  const digits = "2-digit";
  return new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: digits,
    day: digits,
    hour: digits,
    minute: digits,
    second: digits,
  });
}

/** A length of time in words. */
export function length(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return t("seconds", { n: s });
  if (s < 3600) return t("minutes", { n: Math.floor(s / 60), s: s % 60 });
  return t("hours", { n: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
}
