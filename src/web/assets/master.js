// One clock for all pictures: it moves on while every camera that has footage has it loaded, waits while one has not, and
// leaps over time that no camera recorded.

/** How far the slowest picture may fall behind before the clock waits for it, s at 1×. */
const PATIENCE = 0.15;
/** A leap over less is not worth a note, ms. */
const SHORT = 1000;

export class Master {
  /** `onTick(view)` gets { t, playing, holding }; `onSkip(from, to)` is told of leaps. */
  constructor(footage, onTick, onSkip) {
    Object.assign(this, { footage, onTick, onSkip });
    this.players = [];
    this.t = 0;
    this.speed = 1;
    this.playing = false;
    this.last = performance.now();
    this.ended = false;
    const frame = () => {
      this.tick();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    setInterval(() => this.tick(), 250); // hidden tabs get no frames
  }

  seek(ms) {
    this.t = ms;
    this.leap = null;
    this.ended = false;
    this.tick();
  }

  play(on) {
    this.playing = on;
    this.ended = false;
    this.tick();
  }

  tick() {
    const now = performance.now();
    const passed = Math.min(500, now - this.last);
    this.last = now;
    if (this.players.length === 0) return;
    const states = this.players.map((p) => p.look(this.t, this.speed));
    const go = this.playing && this.decide(states);
    const drifts = this.players.map((p) => p.drift(this.t)).filter((d) => d !== null);
    const slowest = Math.min(0, ...drifts);
    if (go && slowest > -PATIENCE * this.speed) this.t += passed * this.speed;
    for (const p of this.players) p.follow(this.t, this.speed, go);
    this.onTick({ t: this.t, playing: this.playing, holding: this.playing && !go, ended: this.ended });
  }

  /** Whether the clock may move. */
  decide(states) {
    if (states.includes("loading")) return false;
    if (states.includes("edge")) {
      this.ended = true;
      return false;
    }
    if (states.includes("ready")) {
      this.ended = false;
      return true;
    }
    this.skip();
    return false;
  }

  /** Nobody has footage here: on to where somebody has. */
  async skip() {
    const from = this.t;
    if (this.leap && performance.now() < this.leap) return;
    this.leap = performance.now() + 2000;
    try {
      const next = await this.footage.nextFootage(from);
      if (this.t !== from || !this.playing) return;
      if (next === null) {
        this.ended = true;
        return;
      }
      if (next <= from + 1) {
        // Footage that cannot be played: the pictures say why. Where they only disagree about an edge, a step helps.
        if (this.players.some((p) => p.state === "gap")) this.t += 250;
        return;
      }
      if (next - from > SHORT) this.onSkip(from, next);
      this.seek(next + 1);
    } catch (e) {
      console.debug("skip:", e.message);
    }
  }

  /** One picture on or back, of the first camera that has one. */
  step(direction) {
    this.playing = false;
    for (const p of this.players) {
      const at = p.state === "ready" ? p.neighbour(this.t, direction) : null;
      if (at !== null) {
        this.seek(at);
        return;
      }
    }
    this.seek(this.t + direction * 40);
  }
}
