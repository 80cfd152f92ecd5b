// The JSONPath subset that printer columns, scale paths and selectable fields use.
import { asArray, isObject } from './json.ts';

type Step = { name: string } | { index: number } | { all: true } | { path: Step[]; value: string };

const parsed = new Map<string, Step[]>();

/** Every value that a path (`.a.b[0].c`, `.conditions[?(@.type=="Ready")].status`, `.items[*].x`) selects. */
export function selectPath(root: unknown, path: string): unknown[] {
  let steps = parsed.get(path);
  if (steps === undefined) {
    steps = parse(path);
    parsed.set(path, steps);
  }
  return walk(root, steps);
}

function walk(root: unknown, steps: Step[]): unknown[] {
  let found = [root];
  for (const step of steps) found = found.flatMap((value) => take(value, step));
  return found.filter((value) => value !== undefined);
}

function take(value: unknown, step: Step): unknown[] {
  if ('name' in step) return isObject(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : [];
  if ('index' in step) return [asArray(value).at(step.index)];
  if ('all' in step) return isObject(value) ? Object.values(value) : asArray(value);
  return asArray(value).filter((item) => walk(item, step.path).some((left) => String(left) === step.value));
}

function parse(path: string): Step[] {
  const steps: Step[] = [];
  let rest = path.replace(/^\{(.*)\}$/s, '$1').replace(/^\$/, '');
  while (rest !== '') {
    const name = /^\.?((?:[^.[\]\\]|\\.)+)/.exec(rest);
    const quoted = /^\[(['"])(.*?)\1\]/.exec(rest);
    const index = /^\[(-?\d+)\]/.exec(rest);
    const all = /^(\[\*\]|\.\*)/.exec(rest);
    const filter = /^\[\?\(\s*@(.*?)\s*==\s*(?:'([^']*)'|"([^"]*)"|([^)\s]+))\s*\)\]/.exec(rest);
    const match = all ?? filter ?? index ?? quoted ?? name;
    if (match === null) return [{ name: path }];
    if (match === all) steps.push({ all: true });
    else if (match === filter) {
      steps.push({ path: parse(filter[1] ?? ''), value: filter[2] ?? filter[3] ?? filter[4] ?? '' });
    } else if (match === index) steps.push({ index: Number(index[1]) });
    else if (match === quoted) steps.push({ name: quoted[2] ?? '' });
    else steps.push({ name: (name?.[1] ?? '').replaceAll(/\\(.)/g, '$1') });
    rest = rest.slice(match[0].length);
  }
  return steps;
}
