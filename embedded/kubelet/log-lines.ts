// Turns CRI log lines ("<time> stdout F text", P for a part) into what a reader asked for.

export interface LogOptions {
  timestamps: boolean;
  /** Milliseconds since 1970: earlier lines are left out. */
  since: number | undefined;
  /** Only so many of the lines there are at first. */
  tail: number | undefined;
  limitBytes: number | undefined;
}

export class LogLines {
  private readonly options: LogOptions;
  private rest: Buffer = Buffer.alloc(0);
  /** Held back until release() when only a tail is wanted. */
  private held: string[] | undefined;
  private bytes = 0;

  constructor(options: LogOptions) {
    this.options = options;
    if (options.tail !== undefined) this.held = [];
  }

  get isFull(): boolean {
    return this.options.limitBytes !== undefined && this.bytes >= this.options.limitBytes;
  }

  /** What may be sent after these bytes of the log file. */
  take(chunk: Buffer): string {
    const all = Buffer.concat([this.rest, chunk]);
    const end = all.lastIndexOf(10) + 1;
    this.rest = all.subarray(end);
    const lines = all.subarray(0, end).toString().split('\n').slice(0, -1);
    let out = '';
    for (const line of lines) {
      const text = this.render(line);
      if (text === undefined) continue;
      if (this.held) {
        this.held.push(text);
        // Memory stays small on a long log; twice the tail, as parts of one line count each.
        if (this.held.length > 2 * (this.options.tail ?? 0) + 1000) this.held = this.lastLines();
      } else out += text;
    }
    return this.limited(out);
  }

  /** Ends the first reading: gives the tail that was held back. */
  release(): string {
    const out = this.held ? this.lastLines().join('') : '';
    this.held = undefined;
    return this.limited(out);
  }

  private lastLines(): string[] {
    let left = this.options.tail ?? 0;
    const held = this.held ?? [];
    let from = held.length;
    while (from > 0 && left > 0) {
      from--;
      // A part without its end of line belongs to the line after it.
      if (from === 0 || held[from - 1]?.endsWith('\n')) left--;
    }
    return held.slice(from);
  }

  private render(line: string): string | undefined {
    const match = /^(\S+) (?:stdout|stderr) ([FP]) ?([^]*)$/.exec(line);
    if (!match) return undefined;
    const [, time = '', tag, text = ''] = match;
    if (this.options.since !== undefined && Date.parse(time) < this.options.since) return undefined;
    const stamp = this.options.timestamps ? `${time.replace('+00:00', 'Z')} ` : '';
    return `${stamp}${text}${tag === 'F' ? '\n' : ''}`;
  }

  private limited(text: string): string {
    const { limitBytes } = this.options;
    if (limitBytes === undefined) return text;
    const bytes = Buffer.from(text).subarray(0, Math.max(0, limitBytes - this.bytes));
    this.bytes += bytes.length;
    return bytes.toString();
  }
}
