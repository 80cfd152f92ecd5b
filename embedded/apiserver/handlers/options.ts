// The query of a write: dry run, field validation, field manager.
import type { Call } from '../environment.ts';
import type { FieldValidation } from '../decode.ts';
import type { JsonObject } from '../json.ts';
import { invalid } from '../status.ts';
import { unsupportedValue } from '../schema/validate.ts';

export interface WriteOptions {
  dryRun: boolean;
  fieldValidation: FieldValidation;
  fieldManager: string;
}

const VALIDATIONS: FieldValidation[] = ['Ignore', 'Warn', 'Strict'];

/** @param kind of the options as refusals name it: CreateOptions, PatchOptions. */
export function writeOptions(call: Call, kind: string): WriteOptions {
  const { query } = call;
  const dryRun = query.getAll('dryRun');
  if (dryRun.some((value) => value !== 'All')) {
    throw invalid('meta.k8s.io', kind, '', [unsupportedValue('dryRun', dryRun, ['All'])]);
  }
  const asked = query.get('fieldValidation') ?? '';
  const fieldValidation = asked === '' ? 'Warn' : VALIDATIONS.find((each) => each === asked);
  if (fieldValidation === undefined) {
    throw invalid('meta.k8s.io', kind, '', [unsupportedValue('fieldValidation', asked, VALIDATIONS)]);
  }
  const agent = (call.request.headers['user-agent'] ?? 'unknown').split('/')[0] ?? 'unknown';
  return { dryRun: dryRun.length > 0, fieldValidation, fieldManager: query.get('fieldManager') || agent };
}

/** The options object that admission webhooks get to see. */
export function optionsObject(kind: string, options: WriteOptions): JsonObject {
  return {
    ...{ kind, apiVersion: 'meta.k8s.io/v1', fieldManager: options.fieldManager },
    fieldValidation: options.fieldValidation,
    ...(options.dryRun ? { dryRun: ['All'] } : {}),
  };
}
