// What a Plugin object must be like: KubeVirt's rules, and those of its admission policies.
import { posix } from 'node:path';
import type { AdmitInput, Cause, CauseReason, Verdict } from '../../core/index.ts';
import { ADMISSION_REFERENCES, MIGRATION_POINTS, millisecondsOf, PLUGIN, type Plugin } from './kind.ts';
import { sidecarOf, SOCKETS } from './pod.ts';

/** What a unix socket's address can hold. */
const SOCKET_MAX = 108;

export async function admitPlugin({ kind, object, operation }: AdmitInput): Promise<Verdict> {
  if (kind !== PLUGIN.resource.kind || operation === 'DELETE') return {};
  const { compileCondition, compileMutation } = await import('./cel.ts');
  const plugin = object as Plugin;
  const { condition, domainHooks = [], nodeHooks = [] } = plugin.spec;
  const causes: Cause[] = [];
  const refuse = (field: string, message: string, reason: CauseReason = 'FieldValueInvalid'): void => {
    causes.push({ field, reason, message });
  };
  const compile = (field: string, what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      refuse(field, `invalid CEL ${what} expression: ${(error as Error).message}`);
    }
  };
  const common = (field: string, hook: { condition?: string; timeout?: string }, sees: 'vmi' | 'domain'): void => {
    const { condition: own, timeout } = hook;
    if (own) compile(`${field}.condition`, 'condition', () => compileCondition(own, sees));
    if (timeout !== undefined && !((millisecondsOf(timeout) ?? 0) > 0)) {
      refuse(`${field}.timeout`, `"${timeout}" is no duration above zero, such as 30s or 1m30s`);
    }
  };

  const sees = domainHooks.length > 0 && nodeHooks.length === 0 ? 'domain' : 'vmi';
  if (condition) compile('spec.condition', 'condition', () => compileCondition(condition, sees));
  domainHooks.forEach((hook, index) => {
    const field = `spec.domainHooks[${index}]`;
    const { cel, sidecar } = hook;
    if ((cel === undefined) === (sidecar === undefined)) {
      refuse(field, 'exactly one of cel or sidecar must be specified for each domain hook');
    }
    if (cel) compile(`${field}.cel.expression`, 'mutation', () => compileMutation(cel.expression));
    if (sidecar) {
      for (const problem of socketProblems(sidecar.socketPath, plugin.metadata.name ?? '')) {
        refuse(`${field}.sidecar.socketPath`, problem);
      }
    }
    common(field, hook, 'domain');
  });
  const warnings: string[] = [];
  nodeHooks.forEach((hook, index) => {
    const field = `spec.nodeHooks[${index}]`;
    if (posix.normalize(hook.socket) !== hook.socket || !hook.socket.startsWith('/')) {
      refuse(`${field}.socket`, 'socket must be an absolute, clean path of the node');
    }
    common(field, hook, 'vmi');
    for (const point of MIGRATION_POINTS) {
      if (!hook.permittedHooks.includes(point)) continue;
      warnings.push(`${field}.permittedHooks: ${point} is not called: live migration is not built yet`);
    }
  });
  const { cause } = sidecarOf(plugin);
  if (cause) causes.push(cause);
  const references = ADMISSION_REFERENCES.filter((name) => ((plugin.spec[name] ?? []) as unknown[]).length > 0);
  for (const name of references)
    warnings.push(`spec.${name}: the objects named are not looked at; they act by themselves`);
  if (domainHooks.length + nodeHooks.length + references.length === 0) {
    warnings.push('no hooks or admission references are defined; this plugin will have no effect');
  }
  return { causes, warnings };
}

function socketProblems(path: string, plugin: string): string[] {
  const folder = `${SOCKETS}/${plugin}/`;
  return [
    posix.normalize(path) === path ? '' : "socketPath must be a clean path (no '..' segments or redundant separators)",
    path.endsWith('.sock') ? '' : 'sidecar socketPath must end with .sock',
    path.length <= SOCKET_MAX ? '' : `sidecar socketPath must not exceed ${SOCKET_MAX} characters (Unix socket limit)`,
    path.startsWith(folder) ? '' : `sidecar socketPath must start with ${folder}`,
  ].filter(Boolean);
}
