// Judges an expression before it runs: names of variables, functions, types and fields, and what a message's fields are set to.
import type { CelEnv, parse } from '@bufbuild/cel';
import { NAMESPACE } from './domain-message.ts';
import { FIELDS, type Field } from './domain-types.ts';

type Expr = ReturnType<typeof parse>['expr'];
/** A type of the domain's, a scalar, a list; undefined where only the evaluation can tell. */
type Type = { readonly message: string } | { readonly scalar: string } | 'list' | undefined;
type Scope = ReadonlyMap<string, Type>;

/** What every environment has: types' names, and true, false and null are constants. */
const TYPES = ['bool', 'bytes', 'double', 'int', 'list', 'map', 'null_type', 'string', 'type', 'uint'];
const BOOLEAN = /^(_(&&|\|\||==|!=|<|<=|>|>=)_|!_|@in|_in_|has|startsWith|endsWith|contains|matches)$/;
/** Done by the evaluator itself, not by a function. */
const BUILT_IN = /^(_|!|-_|@|not_strictly_false)/;

/** Throws an Error that says what is wrong; gives the type of what the expression yields, as far as it can be told. */
export function checked(env: CelEnv, expr: Expr, variables: Scope): Type {
  const kind = expr.exprKind;
  const sub = (one: Expr | undefined, scope = variables): Type => (one ? checked(env, one, scope) : undefined);
  switch (kind.case) {
    case 'constExpr':
      return { scalar: (kind.value.constantKind.case ?? '').replace(/(64)?Value$/, '') };
    case 'identExpr': {
      const { name } = kind.value;
      if (!variables.has(name) && !TYPES.includes(name)) throw new Error(`undeclared reference to "${name}"`);
      return variables.get(name);
    }
    case 'selectExpr': {
      const of = sub(kind.value.operand);
      const field =
        of !== undefined && of !== 'list' && 'message' in of ? fieldOf(of.message, kind.value.field) : undefined;
      return kind.value.testOnly ? { scalar: 'bool' } : field && typeOfField(field);
    }
    case 'callExpr': {
      const { function: name, target, args } = kind.value;
      sub(target);
      const given = args.map((arg) => sub(arg));
      if (!BUILT_IN.test(name) && env.funcs.find(name) === undefined) throw new Error(`undeclared function "${name}"`);
      if (BOOLEAN.test(name)) return { scalar: 'bool' };
      return name === '_?_:_' && same(given[1], given[2]) ? given[1] : undefined;
    }
    case 'listExpr':
      for (const element of kind.value.elements) sub(element);
      return 'list';
    case 'structExpr': {
      const { messageName, entries } = kind.value;
      if (messageName === '') {
        for (const { keyKind, value } of entries) {
          if (keyKind.case === 'mapKey') sub(keyKind.value);
          sub(value);
        }
        return undefined;
      }
      const message = messageName.replace(new RegExp(`^\\.?${NAMESPACE}\\.`), '');
      if (!FIELDS.has(message)) throw new Error(`no type "${messageName}" is known of the domain`);
      for (const { keyKind, value } of entries) {
        const name = keyKind.case === 'fieldKey' ? keyKind.value : '';
        const wanted = typeOfField(fieldOf(message, name));
        const given = sub(value);
        if (!fits(wanted, given)) throw new Error(`${message}.${name} is ${nameOf(wanted)}, not ${nameOf(given)}`);
      }
      return { message };
    }
    case 'comprehensionExpr': {
      const { iterVar, iterVar2, accuVar, iterRange, accuInit, loopCondition, loopStep, result } = kind.value;
      sub(iterRange);
      sub(accuInit);
      const inner = new Map<string, Type>([
        ...variables,
        [iterVar, undefined],
        [iterVar2, undefined],
        [accuVar, undefined],
      ]);
      for (const one of [loopCondition, loopStep, result]) sub(one, inner);
      return undefined;
    }
    default:
      return undefined;
  }
}

export function nameOf(type: Type): string {
  if (type === undefined) return 'of any type';
  if (type === 'list') return 'a list';
  return 'message' in type ? type.message : type.scalar;
}

function same(a: Type, b: Type): boolean {
  return nameOf(a) === nameOf(b);
}

function fits(wanted: Type, given: Type): boolean {
  if (given === undefined || same(wanted, given)) return true;
  if (wanted === 'list' || given === 'list' || wanted === undefined) return false;
  // A number that fits is taken for either kind.
  const numbers = ['int', 'uint'];
  return 'scalar' in wanted && 'scalar' in given && numbers.includes(wanted.scalar) && numbers.includes(given.scalar);
}

function fieldOf(message: string, name: string): Field {
  const field = FIELDS.get(message)?.get(name);
  if (!field) throw new Error(`no field "${name}" is known of ${message}`);
  return field;
}

function typeOfField({ isList, of }: Field): Type {
  if (isList) return 'list';
  return 'type' in of ? { message: of.type } : of;
}
