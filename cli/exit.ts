// How the command ends: 0 done, 1 refused or failed, 2 used wrongly.
import { KubeError } from '../core/kube/client.ts';
import { messageOf } from '../core/errors.ts';

export const DONE = 0;
export const REFUSED = 1;
export const USAGE = 2;

/** An end with a message for stderr and an exit code. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'Exit';
    this.code = code;
  }
}

/** Writes why on stderr, one cause a line, and returns the exit code. */
export function report(error: unknown): number {
  if (error instanceof Exit) {
    if (error.message !== '') process.stderr.write(`${error.message}\n`);
    return error.code;
  }
  if (error instanceof KubeError && error.details.causes?.length) {
    for (const { field = '', reason = '', message = '' } of error.details.causes) {
      process.stderr.write(`${field}: ${reason}: ${message}\n`);
    }
    return REFUSED;
  }
  process.stderr.write(`${messageOf(error)}\n`);
  return REFUSED;
}
