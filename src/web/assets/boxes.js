// The little that pages need to know of MP4 (ISO/IEC 14496-12): taking out tracks that a browser refuses, and the times of pictures.
//
// Browsers refuse a whole file for one track of a codec they do not know, such as the G.711 sound of most cameras. All
// functions throw on what is not well formed; nothing is read beyond the given bytes.

const CONTAINERS = { moov: 8, trak: 8, mdia: 8, minf: 8, stbl: 8, mvex: 8, moof: 8, traf: 8 };

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const name = (data, at) => String.fromCharCode(...[0, 1, 2, 3].map((i) => data.getUint8(at + i)));

/** The boxes between `from` and `to`: { type, start, body, end }. */
export function boxes(bytes, from = 0, to = bytes.length) {
  const data = view(bytes);
  const found = [];
  let at = from;
  while (at + 8 <= to) {
    let size = data.getUint32(at);
    let header = 8;
    if (size === 1 && at + 16 <= to) {
      size = Number(data.getBigUint64(at + 8));
      header = 16;
    } else if (size === 0) {
      size = to - at;
    }
    if (size < header || at + size > to) throw new Error(`a box of ${size} bytes at ${at} of ${to}`);
    found.push({ type: name(data, at + 4), start: at, body: at + header, end: at + size });
    at += size;
  }
  if (at !== to) throw new Error(`${to - at} bytes after the last box`);
  return found;
}

function child(bytes, box, type) {
  const found = boxes(bytes, box.body, box.end).find((b) => b.type === type);
  if (!found) throw new Error(`${box.type} without ${type}`);
  return found;
}

/** The tracks of an initialisation segment: [{ id, format, timescale, duration }], `duration` being trex's default. */
export function tracks(init) {
  const data = view(init);
  const moov = boxes(init).find((b) => b.type === "moov");
  if (!moov) throw new Error("no moov");
  const inside = boxes(init, moov.body, moov.end);
  const defaults = new Map();
  for (const mvex of inside.filter((b) => b.type === "mvex")) {
    for (const trex of boxes(init, mvex.body, mvex.end).filter((b) => b.type === "trex")) {
      defaults.set(data.getUint32(trex.body + 4), data.getUint32(trex.body + 12));
    }
  }
  return inside
    .filter((b) => b.type === "trak")
    .map((trak) => {
      const tkhd = child(init, trak, "tkhd");
      const mdia = child(init, trak, "mdia");
      const mdhd = child(init, mdia, "mdhd");
      const stsd = child(init, child(init, child(init, mdia, "minf"), "stbl"), "stsd");
      const id = data.getUint32(tkhd.body + (data.getUint8(tkhd.body) === 1 ? 20 : 12));
      const timescale = data.getUint32(mdhd.body + (data.getUint8(mdhd.body) === 1 ? 20 : 12));
      // stsd: version and flags, count, then entries, whose type is the format.
      return { id, format: name(data, stsd.body + 12), timescale, duration: defaults.get(id) ?? 0 };
    });
}

/** Rewrites `bytes` without the boxes that `drop(box, bytes)` names, descending into containers; sizes are put right. */
function without(bytes, drop, from = 0, to = bytes.length) {
  const kept = [];
  for (const box of boxes(bytes, from, to)) {
    if (drop(box, bytes)) continue;
    if (!(box.type in CONTAINERS) || box.body - box.start !== 8) {
      kept.push(bytes.subarray(box.start, box.end));
      continue;
    }
    const inside = without(bytes, drop, box.body, box.end);
    const whole = new Uint8Array(inside.length + 8);
    whole.set(bytes.subarray(box.start, box.body));
    whole.set(inside, 8);
    view(whole).setUint32(0, whole.length);
    kept.push(whole);
  }
  return concat(kept);
}

export function concat(list) {
  const whole = new Uint8Array(list.reduce((n, b) => n + b.length, 0));
  let at = 0;
  for (const bytes of list) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

/** An initialisation segment without the tracks `ids` (a Set). */
export function stripInit(init, ids) {
  const data = view(init);
  return without(init, (box) => {
    if (box.type === "trex") return ids.has(data.getUint32(box.body + 4));
    if (box.type !== "trak") return false;
    const tkhd = child(init, box, "tkhd");
    return ids.has(data.getUint32(tkhd.body + (data.getUint8(tkhd.body) === 1 ? 20 : 12)));
  });
}

/**
 * Media segments without the tracks `ids`, and without boxes that no browser needs (prft, uuid). The samples stay in mdat,
 * where nothing points to them any more.
 */
export function stripMedia(bytes, ids) {
  const kept = [];
  for (const box of boxes(bytes)) {
    const whole = bytes.subarray(box.start, box.end);
    if (box.type === "mdat") kept.push(whole);
    if (box.type === "moof") kept.push(ids.size === 0 ? whole : stripMoof(whole, ids));
  }
  return concat(kept);
}

const track = (data, traf, bytes) => data.getUint32(child(bytes, traf, "tfhd").body + 4);

function stripMoof(moof, ids) {
  const data = view(moof);
  const slim = without(moof, (box) => box.type === "traf" && ids.has(track(data, box, moof)));
  const shorter = moof.length - slim.length;
  if (shorter === 0) return slim;
  // Samples are found by their distance from the start of moof (default-base-is-moof): they have come nearer.
  const out = view(slim);
  const [top] = boxes(slim);
  for (const traf of boxes(slim, top.body, top.end).filter((b) => b.type === "traf")) {
    for (const trun of boxes(slim, traf.body, traf.end).filter((b) => b.type === "trun")) {
      if (out.getUint32(trun.body) & 1) out.setInt32(trun.body + 8, out.getInt32(trun.body + 8) - shorter);
    }
  }
  return slim;
}

/** Presentation times of a track's samples in media segments, in ticks, ascending. `info` is one of [`tracks`]. */
export function sampleTimes(bytes, info) {
  const data = view(bytes);
  const times = [];
  for (const moof of boxes(bytes).filter((b) => b.type === "moof")) {
    for (const traf of boxes(bytes, moof.body, moof.end).filter((b) => b.type === "traf")) {
      if (track(data, traf, bytes) === info.id) collect(bytes, data, traf, info, times);
    }
  }
  return times.sort((a, b) => a - b);
}

function collect(bytes, data, traf, info, times) {
  const tfhd = child(bytes, traf, "tfhd");
  const has = data.getUint32(tfhd.body) & 0xffffff;
  let at = tfhd.body + 8 + (has & 1 ? 8 : 0) + (has & 2 ? 4 : 0);
  const usual = has & 8 ? data.getUint32(at) : info.duration;
  const tfdt = child(bytes, traf, "tfdt");
  let time = data.getUint8(tfdt.body) === 1 ? Number(data.getBigUint64(tfdt.body + 4)) : data.getUint32(tfdt.body + 4);
  for (const trun of boxes(bytes, traf.body, traf.end).filter((b) => b.type === "trun")) {
    const version = data.getUint8(trun.body);
    const flags = data.getUint32(trun.body) & 0xffffff;
    const count = data.getUint32(trun.body + 4);
    at = trun.body + 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
    const size = [0x100, 0x200, 0x400, 0x800].reduce((n, flag) => n + (flags & flag ? 4 : 0), 0);
    if (at + count * size > trun.end) throw new Error("trun is shorter than its samples");
    for (let i = 0; i < count; i += 1, at += size) {
      const duration = flags & 0x100 ? data.getUint32(at) : usual;
      const last = at + size - 4;
      const shift = flags & 0x800 ? (version === 0 ? data.getUint32(last) : data.getInt32(last)) : 0;
      times.push(time + shift);
      time += duration;
    }
  }
}
