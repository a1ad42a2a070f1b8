// What the pages ask of the server. Times on the wire are nanoseconds; here they are milliseconds (with fractions).

/** A refused or failed request. `status` is 0 when there was no answer. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

let offset = 0;
let down = false;
const listeners = new Set();

/** Calls `listener(true)` when the recorder stops answering and `listener(false)` when it answers again. */
export function onRecorder(listener) {
  listeners.add(listener);
  if (down) listener(true);
}

function setDown(now) {
  if (now === down) return;
  down = now;
  for (const listener of listeners) listener(now);
  if (now) probe();
}

/** The recorder is asked every second while it is away, whatever else the page does. */
function probe() {
  setTimeout(async () => {
    if (!down) return;
    try {
      await getJson("/api/cameras");
    } catch {
      // told to the listeners already
    }
    if (down) probe();
  }, 1000);
}

/** Fetches; a server or recorder that does not answer is told to the listeners. */
export async function get(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (e) {
    if (e.name === "AbortError") throw e;
    setDown(true);
    throw new Refused(0, String(e));
  }
  if (answer.status === 503 || answer.status === 502) setDown(true);
  else if (path.startsWith("/api/")) setDown(false);
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, body.error ?? answer.statusText);
  }
  return answer;
}

async function getJson(path, options) {
  return (await get(path, options)).json();
}

/** The site: { name, timeZone, languages }. Sets the clock of [`serverNow`]. */
export async function site() {
  const asked = Date.now();
  const body = await getJson("/site.json");
  offset = body.now / 1e6 - (asked + Date.now()) / 2;
  return { name: body.name, timeZone: body.time_zone, languages: body.languages };
}

/** The server's wall clock, ms. */
export const serverNow = () => Date.now() + offset;

/** Nanoseconds for a query, from milliseconds. */
export const ns = (ms) => (BigInt(Math.round(ms * 1000)) * 1000n).toString();

const span = (s) => ({ start: s.start / 1e6, end: s.end / 1e6 });

export const cameras = () => getJson("/api/cameras");

/** What is kept of a camera, as the recorder says it (`CameraKept`); null where it does not know yet. */
export const kept = (id) => getJson(`/api/kept?camera=${encodeURIComponent(id)}`);

/** Timelines by camera id: { footage: [{start, end}], gaps: [{start, end|null, cause}], newest|null }. */
export async function timelines(ids, from, to, options) {
  const query = ids.map((id) => `camera=${encodeURIComponent(id)}`).join("&");
  const list = await getJson(`/api/timeline?${query}&from=${ns(from)}&to=${ns(to)}`, options);
  return new Map(
    list.map((line) => [
      line.camera,
      {
        footage: line.footage.map(span),
        gaps: line.gaps.map((g) => ({ start: g.start / 1e6, end: g.end === null ? null : g.end / 1e6, cause: g.cause })),
        newest: line.newest === null ? null : line.newest / 1e6,
      },
    ]),
  );
}

/** Files and byte ranges, times in ms. */
export async function fragments(camera, stream, from, to, options) {
  const query = `camera=${encodeURIComponent(camera)}&stream=${stream}&from=${ns(from)}&to=${ns(to)}`;
  const body = await getJson(`/api/fragments?${query}`, options);
  for (const part of body.segments) {
    for (const f of part.fragments) Object.assign(f, span(f.span));
  }
  return body.segments;
}

/** Bytes `from` to `to` (exclusive) of a segment file. */
export async function bytes(part, from, to, options = {}) {
  const path = `/api/segments/${part.stream}/${part.run}/${part.seq}`;
  const answer = await get(path, { ...options, headers: { Range: `bytes=${from}-${to - 1}` } });
  const body = new Uint8Array(await answer.arrayBuffer());
  // A server that ignores the range sends the whole file.
  return answer.status === 200 ? body.subarray(from, to) : body;
}
