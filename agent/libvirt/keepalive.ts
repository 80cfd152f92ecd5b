// Notices a daemon that hangs: when nothing comes for a while it asks, and after so many unanswered asks gives up.

const PING = 1;
const PONG = 2;

export interface KeepAliveOptions {
  /** How long silence may last before we ask, in ms. */
  intervalMs: number;
  /** How many asks may stay unanswered. */
  count: number;
}

export class KeepAlive {
  readonly #options: KeepAliveOptions;
  readonly #send: (procedure: number) => void;
  readonly #dead: () => void;
  readonly #timer: NodeJS.Timeout;
  #heard = true;
  #unanswered = 0;
  #paused = false;

  constructor(options: KeepAliveOptions, send: (procedure: number) => void, dead: () => void) {
    this.#options = options;
    this.#send = send;
    this.#dead = dead;
    this.#timer = setInterval(() => this.#tick(), options.intervalMs);
    this.#timer.unref();
  }

  /** Any byte from the daemon is a sign of life. */
  heard(): void {
    this.#heard = true;
    this.#unanswered = 0;
  }

  /** While we ourselves do not read, silence says nothing. */
  pause(paused: boolean): void {
    this.#paused = paused;
  }

  /** A keepalive packet came: answers the daemon's own asks. */
  packet(procedure: number): void {
    if (procedure === PING) this.#send(PONG);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    if (this.#paused || this.#heard) {
      this.#heard = false;
      return;
    }
    if (this.#unanswered >= this.#options.count) {
      this.stop();
      this.#dead();
      return;
    }
    this.#unanswered++;
    this.#send(PING);
  }
}
