// RestartRequired: a running VM keeps what it was started with, and says so when that is no longer what it would be started with.
import { conditionOf, RESTART_REQUIRED, type Condition, type Vmi } from '../../core/index.ts';
import type { VirtualMachine } from './kind.ts';

/** On the VMI: the template that it was made from, as JSON. */
export const TEMPLATE_ANNOTATION = 'virtloom.io/template';
/** As many changed fields as a message names. */
const NAMED = 5;

export function templateAnnotation({ spec }: VirtualMachine): Record<string, string> {
  return { [TEMPLATE_ANNOTATION]: JSON.stringify(spec.template) };
}

/** Paths of leaves to their values; lists whole where they hold no objects. */
function leavesOf(value: unknown, path: string, leaves: Map<string, string>): Map<string, string> {
  if (Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null)) {
    value.forEach((item, index) => leavesOf(item, `${path}[${nameOf(item) ?? index}]`, leaves));
    if (value.length === 0) leaves.set(path, '[]');
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [key, item] of Object.entries(value)) leavesOf(item, path === '' ? key : `${path}.${key}`, leaves);
    if (Object.keys(value).length === 0) leaves.set(path, '{}');
  } else leaves.set(path, JSON.stringify(value));
  return leaves;
}

function nameOf(item: unknown): string | undefined {
  const { name } = item as { name?: unknown };
  return typeof name === 'string' ? name : undefined;
}

/** Fields of the template that are not what the VMI was made from. */
function changedFields(vm: VirtualMachine, vmi: Vmi): string[] {
  const recorded = parsed(vmi.metadata.annotations?.[TEMPLATE_ANNOTATION]);
  if (recorded === undefined) return [];
  const before = leavesOf(recorded, '', new Map());
  const now = leavesOf(vm.spec.template, '', new Map());
  const paths = new Set([...before.keys(), ...now.keys()]);
  return [...paths].filter((path) => before.get(path) !== now.get(path)).map((path) => `spec.template.${path}`);
}

/** What an annotation says; undefined where it is not there, or somebody wrote something else into it. */
function parsed(text: string | undefined): object | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The condition of a VM whose VMI runs; undefined where a restart would change nothing that is known. */
export function restartRequired(vm: VirtualMachine, vmi: Vmi): Condition | undefined {
  const fields = changedFields(vm, vmi);
  const shown = fields.slice(0, NAMED).join(', ');
  const more = fields.length > NAMED ? ` and ${fields.length - NAMED} more` : '';
  // What plugins would make other of it today its own condition tells.
  const today = conditionOf(vmi.status?.conditions, RESTART_REQUIRED)?.message;
  const why = [...(fields.length > 0 ? [`changed: ${shown}${more}`] : []), ...(today === undefined ? [] : [today])];
  if (why.length === 0) return undefined;
  const message = `the running VM keeps what it was started with until it is restarted; ${why.join('; ')}`;
  return { type: RESTART_REQUIRED, status: 'True', reason: RESTART_REQUIRED, message };
}
