// A program on a terminal of its own, typed to and read as a person would.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { inNetns, waitFor } from '../support/command.ts';

export class Terminal {
  readonly #child: ChildProcessWithoutNullStreams;
  #seen = '';
  #from = 0;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    child.stdin.on('error', () => undefined);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#seen += text));
  }

  /** Runs argv, none of whose words may need quoting, on a pseudo-terminal. `close` it afterwards. */
  static open(argv: readonly string[], options: { netns: string; env: Record<string, string> }): Terminal {
    const [program = '', ...args] = inNetns(['script', '-qefc', argv.join(' '), '/dev/null'], options.netns);
    return new Terminal(spawn(program, args, { env: { ...process.env, ...options.env }, stdio: 'pipe' }));
  }

  /** All that has been shown. */
  get screen(): string {
    return this.#seen;
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Waits for what has not been waited for before. Types `nudge` now and then until it is there. */
  async expect(pattern: RegExp, options: { deadlineMs?: number; nudge?: string } = {}): Promise<RegExpExecArray> {
    const { deadlineMs = 30_000, nudge } = options;
    let looks = 0;
    const found = await waitFor(
      `${pattern} on the screen`,
      () => {
        const match = pattern.exec(this.#seen.slice(this.#from));
        if (match) return match;
        if (nudge !== undefined && looks++ % 40 === 0) this.type(nudge);
        throw new Error(`it shows:\n${this.#seen.slice(-2000)}`);
      },
      deadlineMs,
    );
    this.#from += found.index + found[0].length;
    return found;
  }

  /** Waits for the program's end and gives its exit status. */
  async ended(deadlineMs = 10_000): Promise<number> {
    if (this.#child.exitCode === null) await once(this.#child, 'exit', { signal: AbortSignal.timeout(deadlineMs) });
    return this.#child.exitCode ?? -1;
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
