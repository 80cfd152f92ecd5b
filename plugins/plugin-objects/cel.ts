// The expressions of Plugin objects: compiled, checked, evaluated.
import { CelScalar, celEnv, isCelError, objectType, parse, plan } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { isReflectMessage } from '@bufbuild/protobuf/reflect';
import { parseXml, toXml, type Vmi } from '../../core/index.ts';
import { checked, nameOf } from './check.ts';
import { DomainMessages, NAMESPACE, REGISTRY, typeOf } from './domain-message.ts';
import { viewOf } from './vmi-view.ts';

/** What an expression may look at: the VMI; in domain hooks also the domain. */
export type Sees = 'vmi' | 'domain';

const VMI = { vmi: CelScalar.DYN };
const BASE = { namespace: NAMESPACE, registry: REGISTRY, funcs: strings };
const ENVS = {
  vmi: celEnv({ ...BASE, variables: VMI }),
  domain: celEnv({ ...BASE, variables: { ...VMI, domainSpec: objectType(typeOf('Domain')) } }),
};
const VARIABLES = {
  vmi: new Map([['vmi', undefined]]),
  domain: new Map([
    ['vmi', undefined],
    ['domainSpec', { message: 'Domain' }],
  ]),
};
/** Longer ones cannot be meant. */
const LENGTH_MAX = 20_000;

function compiled(expression: string, sees: Sees) {
  if (expression.length > LENGTH_MAX) throw new Error(`it has more than ${LENGTH_MAX} characters`);
  const parsed = parse(expression);
  const type = checked(ENVS[sees], parsed.expr, VARIABLES[sees]);
  return { type, run: plan(ENVS[sees], parsed) as (bindings: object) => unknown };
}

/** Throws an Error that says why the expression is no condition. */
export function compileCondition(expression: string, sees: Sees): void {
  const { type } = compiled(expression, sees);
  if (type !== undefined && nameOf(type) !== 'bool')
    throw new Error(`a condition must yield bool, not ${nameOf(type)}`);
}

/** Throws an Error that says why the expression yields no Domain. */
export function compileMutation(expression: string): void {
  const { type } = compiled(expression, 'domain');
  if (type !== undefined && nameOf(type) !== 'Domain') throw new Error(`it must yield Domain, not ${nameOf(type)}`);
}

function evaluate(expression: string, sees: Sees, bindings: object): unknown {
  const value = compiled(expression, sees).run(bindings);
  if (isCelError(value)) throw value;
  return value;
}

/** Whether all conditions hold. `xml`: the domain, for conditions that may look at it. */
export function holds(conditions: readonly string[], vmi: Vmi, xml?: string): boolean {
  const bindings = {
    vmi: viewOf(vmi),
    ...(xml === undefined ? {} : { domainSpec: new DomainMessages().read(parseXml(xml)) }),
  };
  return conditions.every((condition) => {
    const value = evaluate(condition, xml === undefined ? 'vmi' : 'domain', bindings);
    if (typeof value !== 'boolean') throw new Error(`condition ${JSON.stringify(condition)} yields no bool`);
    return value;
  });
}

/** The domain's XML with what the expression yields merged in. */
export function mutated(expression: string, vmi: Vmi, xml: string): string {
  const domain = parseXml(xml);
  const messages = new DomainMessages();
  const value = evaluate(expression, 'domain', { vmi: viewOf(vmi), domainSpec: messages.read(domain) });
  if (!isReflectMessage(value, typeOf('Domain'))) throw new Error('the expression yields no Domain');
  return toXml(messages.write(domain, value.message));
}
