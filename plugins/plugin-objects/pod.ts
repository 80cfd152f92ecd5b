// The pod's side: where the sockets of Plugin objects' sidecars are, and the sidecar that a Plugin object brings itself.
import type { Cause, PodPart } from '../../core/index.ts';
import type { Plugin } from './kind.ts';

export const SOCKETS = '/var/run/kubevirt-plugin';
const VOLUME = 'kubevirt-plugin-sockets';
/** The launcher's user: its sockets are of the same. */
const QEMU_USER = 107;
/**
 * JSON of the sidecar's container: `image`, `imagePullPolicy`, `command`, `args`. KubeVirt has no such thing: there a
 * mutating admission policy puts the container into the pod, which does here too.
 */
export const SIDECAR = 'virtloom.io/sidecar';

export const VOLUMES: PodPart = { spec: { volumes: [{ name: VOLUME, emptyDir: {} }] } };
export const COMPUTE: PodPart = { volumeMounts: [{ name: VOLUME, mountPath: SOCKETS }] };

interface Container {
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
}

const CHECKS: Record<keyof Container, (value: unknown) => boolean> = {
  image: (value) => typeof value === 'string' && value !== '',
  imagePullPolicy: (value) => ['Always', 'IfNotPresent', 'Never', undefined].includes(value as string | undefined),
  command: (value) => value === undefined || isTexts(value),
  args: (value) => value === undefined || isTexts(value),
};

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === 'string');

/** The container that the annotation asks for, or what is wrong with it; neither where there is none. */
export function sidecarOf({ metadata }: Plugin): { container?: PodPart; cause?: Cause } {
  const text = metadata.annotations?.[SIDECAR];
  if (text === undefined) return {};
  const wrong = (message: string): { cause: Cause } => {
    const field = `metadata.annotations[${SIDECAR}]`;
    return { cause: { field, reason: 'FieldValueInvalid', message: `${field}: ${message}` } };
  };
  let given: Record<string, unknown>;
  try {
    given = JSON.parse(text) as typeof given;
  } catch (error) {
    return wrong(`it is no JSON: ${(error as Error).message}`);
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return wrong('it must be a JSON object');
  const fields = Object.entries(CHECKS).find(([name, check]) => !check(given[name]));
  if (fields) return wrong(`${fields[0]} is missing or malformed`);
  const unknown = Object.keys(given).find((name) => !(name in CHECKS));
  if (unknown !== undefined)
    return wrong(`there is no field "${unknown}"; there are ${Object.keys(CHECKS).join(', ')}`);
  return { container: containerOf(metadata.name ?? '', given as unknown as Container) };
}

function containerOf(plugin: string, container: Container): PodPart {
  return {
    name: `plugin-${plugin.replaceAll('.', '-')}`.slice(0, 63),
    ...container,
    // A native sidecar: up before the launcher, ended when the launcher has ended, so that the pod completes.
    restartPolicy: 'Always',
    volumeMounts: [{ name: VOLUME, mountPath: `${SOCKETS}/${plugin}`, subPath: plugin }],
    securityContext: {
      runAsUser: QEMU_USER,
      runAsGroup: QEMU_USER,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    },
  };
}
