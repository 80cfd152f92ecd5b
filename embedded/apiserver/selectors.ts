// Label and field selectors: read from a query, asked of an object.
import type { KubeObject } from '../../core/kube/objects.ts';
import { asObject, asString, asStrings, asArray, at } from './json.ts';
import type { Kind, Version } from './kinds/kind.ts';
import { badRequest } from './status.ts';

export type Predicate = (object: KubeObject) => boolean;

/** `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`. Empty selects everything. */
export function labelSelector(text: string): Predicate {
  const requirements = splitTop(text).map(requirement);
  return (object) => requirements.every((matches) => matches(object.metadata.labels ?? {}));
}

type Labels = Record<string, string>;

function requirement(text: string): (labels: Labels) => boolean {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(text);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    if (operator === 'in') return (labels) => labels[key] !== undefined && values.has(labels[key]);
    return (labels) => labels[key] === undefined || !values.has(labels[key]);
  }
  const compared = /^([^=!<>\s]+)\s*(==|=|!=|>|<)\s*([^=!<>\s]*)$/.exec(text);
  if (compared) {
    const [, key = '', operator, value = ''] = compared;
    if (operator === '!=') return (labels) => labels[key] !== value;
    if (operator === '>') return (labels) => Number(labels[key]) > Number(value);
    if (operator === '<') return (labels) => Number(labels[key]) < Number(value);
    return (labels) => labels[key] === value;
  }
  const bare = /^(!?)\s*([A-Za-z0-9./_-]+)$/.exec(text);
  if (bare === null) {
    throw badRequest(`unable to parse requirement: found '${text}', expected: a label selector such as key=value`);
  }
  const [, not, key = ''] = bare;
  return (labels) => (labels[key] === undefined) === (not === '!');
}

/** Splits at commas outside parentheses. */
function splitTop(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** A LabelSelector object, as webhooks and disruption budgets hold it. Absent selects everything. */
export function objectSelector(selector: unknown): (labels: Labels) => boolean {
  const wanted = Object.entries(asObject(asObject(selector)['matchLabels']));
  const expressions = asArray(asObject(selector)['matchExpressions']).map(asObject);
  return (labels) =>
    wanted.every(([key, value]) => labels[key] === value) &&
    expressions.every((expression) => {
      const value = labels[asString(expression['key'])];
      const values = asStrings(expression['values']);
      switch (expression['operator']) {
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        case 'Exists':
          return value !== undefined;
        default:
          return value === undefined;
      }
    });
}

/** `metadata.name=x,status.phase!=Failed`: only fields that the kind declares. */
export function fieldSelector(text: string, kind: Kind, version: Version): Predicate {
  const terms = splitTop(text).map((term) => {
    const match = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/.exec(term);
    if (match === null) throw badRequest(`invalid field selector ${text}; can't understand '${term}'`);
    const [, field = '', operator, value = ''] = match;
    const known = field === 'metadata.name' || (field === 'metadata.namespace' && kind.namespaced);
    if (!known && !version.selectable.includes(field)) {
      throw badRequest(`field label not supported: ${field}`);
    }
    return { field, equals: operator !== '!=', value };
  });
  return (object) => terms.every(({ field, equals, value }) => (fieldOf(object, field) === value) === equals);
}

function fieldOf(object: KubeObject, field: string): string {
  if (field === 'source') return asString(at(object, 'source.component')) || asString(object['reportingComponent']);
  const value = at(object, field);
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The one name that a field selector asks for, so that a list of one object need not look at all. */
export function selectedName(text: string): string | undefined {
  return /(?:^|,)metadata\.name==?([^,]+)/.exec(text)?.[1];
}
