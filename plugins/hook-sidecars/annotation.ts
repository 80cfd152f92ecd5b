// The annotation that asks for sidecars, read and judged.
import type { Cause, CauseReason } from '../../core/index.ts';

export const ANNOTATION = 'hooks.kubevirt.io/hookSidecars';

export interface Sidecar {
  /** Of its container, and of its folder for the socket. */
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** One key of a ConfigMap as a file of the sidecar's. */
  readonly configMap?: { readonly name: string; readonly key: string; readonly hookPath: string };
}

type Fields = { readonly [key: string]: unknown };
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];
const KEYS = ['image', 'imagePullPolicy', 'command', 'args', 'configMap', 'pvc'];

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === 'string');
const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';

/**
 * The sidecars that an annotation asks for, those that are wrong left out. `shimImage` is of those that name no image;
 * `field` is the annotation's path, by which the causes are named.
 */
export function sidecarsOf(
  annotation: string | undefined,
  shimImage: string | undefined,
  field: string,
): { sidecars: Sidecar[]; causes: Cause[] } {
  const causes: Cause[] = [];
  if (annotation === undefined || annotation === '') return { sidecars: [], causes };
  const refuse = (at: string, reason: CauseReason, message: string): void => {
    causes.push({ field: `${field}${at}`, reason, message: `${field}${at}: ${message}` });
  };
  let list: unknown;
  try {
    list = JSON.parse(annotation);
  } catch (error) {
    refuse('', 'FieldValueInvalid', `it is no JSON: ${(error as Error).message}`);
    return { sidecars: [], causes };
  }
  if (!Array.isArray(list)) {
    refuse('', 'FieldValueInvalid', 'it must be a JSON list of sidecars');
    return { sidecars: [], causes };
  }
  const sidecars: Sidecar[] = [];
  list.forEach((entry: unknown, index) => {
    const before = causes.length;
    const wrong = (at: string, reason: CauseReason, message: string): void =>
      refuse(`[${index}]${at}`, reason, message);
    if (!isFields(entry)) return wrong('', 'FieldValueInvalid', 'it must be an object');
    const { image = shimImage, imagePullPolicy, command, args, configMap, pvc } = entry;
    for (const key in entry) {
      if (!KEYS.includes(key))
        wrong(`.${key}`, 'FieldValueNotSupported', `there is no such field; there are ${KEYS.join(', ')}`);
    }
    if (!isText(image)) {
      const why = 'an image is needed: option shimImage of plugin hook-sidecars, which would stand in, is not set';
      wrong('.image', 'FieldValueRequired', why);
    }
    if (imagePullPolicy !== undefined && !PULL_POLICIES.includes(imagePullPolicy as string)) {
      wrong('.imagePullPolicy', 'FieldValueNotSupported', `it must be one of ${PULL_POLICIES.join(', ')}`);
    }
    if (command !== undefined && !isTexts(command))
      wrong('.command', 'FieldValueInvalid', 'it must be a list of strings');
    if (args !== undefined && !isTexts(args)) wrong('.args', 'FieldValueInvalid', 'it must be a list of strings');
    if (pvc !== undefined) {
      wrong('.pvc', 'FieldValueNotSupported', 'PersistentVolumeClaims of sidecars are not built yet');
    }
    if (configMap !== undefined) {
      const { name, key, hookPath } = isFields(configMap) ? configMap : {};
      if (!isText(name)) wrong('.configMap.name', 'FieldValueRequired', 'the name of a ConfigMap is needed');
      if (!isText(key)) wrong('.configMap.key', 'FieldValueRequired', 'a key of the ConfigMap is needed');
      if (typeof hookPath !== 'string' || !hookPath.startsWith('/') || hookPath.split('/').includes('..')) {
        wrong('.configMap.hookPath', 'FieldValueInvalid', 'an absolute path without ".." is needed');
      }
    }
    if (causes.length === before) sidecars.push({ ...entry, image, name: `hook-sidecar-${index}` } as Sidecar);
  });
  return { sidecars, causes };
}
