// What taps answer, checked at the hook: a malformed answer is told by name, where it was given, and goes no further.
import { fail } from './errors.ts';
import { isPromise } from './tap.ts';
import type { Owner } from './types.ts';

/** A check gives what is wrong, `undefined` for nothing. */
type Check = (value: unknown) => string | undefined;

type Fields = { readonly [key: string]: unknown };

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const text: Check = (value) => (typeof value === 'string' && value !== '' ? undefined : 'is no text');
const fields: Check = (value) => (isFields(value) ? undefined : 'is no object');
const amount: Check = (value) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? undefined : 'is no number from 0';
const path: Check = (value) =>
  Array.isArray(value) && value.every((key) => typeof key === 'string' || typeof key === 'number')
    ? undefined
    : 'is no list of keys';

/** The checks of an object's fields; a `?` at a name's end lets it be away. */
function shape(checks: { readonly [name: string]: Check }): Check {
  const all = Object.entries(checks).map(([name, check]) => ({
    name: name.replace(/\?$/, ''),
    optional: name.endsWith('?'),
    check,
  }));
  return (value) => {
    if (!isFields(value)) return 'is no object';
    for (const { name, optional, check } of all) {
      const field = value[name];
      if (field === undefined && optional) continue;
      const problem = check(field);
      if (problem !== undefined) return `its ${name} ${problem}`;
    }
    return undefined;
  };
}

function list(check: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) return 'is no list';
    for (let index = 0; index < value.length; index++) {
      const problem = check(value[index]);
      if (problem !== undefined) return `has an entry ${index} that is wrong: ${problem}`;
    }
    return undefined;
  };
}

const element: Check = (value) => {
  if (!isFields(value) || typeof value['tag'] !== 'string' || !isFields(value['attrs'])) return 'is no element of el()';
  return list(element)(value['children']);
};
const migratable: Check = (value) => (value === true ? undefined : shape({ reason: text, message: text })(value));
const attachment = {
  'pod?': fields,
  'compute?': fields,
  'steps?': list(shape({ id: text, action: text, 'args?': fields })),
  'overhead?': list(shape({ mebibytes: amount, why: text })),
  'migratable?': migratable,
};
const string: Check = (value) => (typeof value === 'string' ? undefined : 'is no text');
const causes = list(shape({ field: string, reason: text, message: text }));
const warnings = list(text);

/** What each hook's taps may answer, by hook. */
export const ANSWERS = {
  attachDisk: shape({
    ...attachment,
    'disk?': shape({ type: text, source: element, driver: fields, 'backingStore?': element }),
  }),
  'attachNetwork.source': shape({ ...attachment, podInterface: text }),
  'attachNetwork.binding': shape({
    ...attachment,
    'interface?': shape({ type: text, children: list(element) }),
    'mac?': text,
    'ips?': list(text),
  }),
  admit: shape({ 'causes?': causes, 'warnings?': warnings }),
  defaultPreset: shape({ 'patches?': list(shape({ path })), 'warnings?': warnings, 'causes?': causes }),
  migrate: shape({ 'blockers?': list(shape({ reason: text, message: text })), 'steps?': attachment['steps?'] }),
} as const satisfies Record<string, Check>;

/** `answer` itself, if it has the shape that the hook wants. Throws VL_TAP_ANSWER. */
export function checked<T>(owner: Owner, hook: keyof typeof ANSWERS, answer: T): T {
  const problem = ANSWERS[hook](answer);
  if (problem === undefined) return answer;
  throw fail('VL_TAP_ANSWER', { hook: owner.tap, plugin: owner.plugin, problem });
}

/** The call with its answer passed through `use`: also when it comes later. */
export function andThen<A, B, T, U>(
  call: (a: A, b: B) => T | Promise<T>,
  use: (answer: T, a: A, b: B) => U,
): (a: A, b: B) => U | Promise<U> {
  return (a, b) => {
    const answer = call(a, b);
    return isPromise(answer) ? answer.then((value) => use(value, a, b)) : use(answer, a, b);
  };
}
