// JSON patch (RFC 6902), with Kubernetes' answers to patches that do not apply.
import jsonPatch, { type Operation } from 'fast-json-patch';
import { asObject } from '../json.ts';
import { ApiError, badRequest } from '../status.ts';

const OPERATIONS = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);
const MAX_OPERATIONS = 10_000;
/** Copies of copies would grow without end. */
const MAX_COPIED = 3 * 1024 * 1024;

export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be an array of operations');
  if (patch.length > MAX_OPERATIONS) {
    const message = `The allowed maximum operations in a JSON patch is ${String(MAX_OPERATIONS)}, got ${String(patch.length)}`;
    throw new ApiError(413, 'RequestEntityTooLarge', message);
  }
  for (const operation of patch as unknown[]) {
    const { op, path } = asObject(operation);
    if (!OPERATIONS.has(String(op)) || typeof path !== 'string') {
      throw badRequest(`unknown JSON patch operation: ${JSON.stringify(operation)}`);
    }
  }
  try {
    let document: unknown = structuredClone(target);
    let copied = 0;
    for (const operation of patch as Operation[]) {
      if (operation.op === 'copy') copied += sizeAt(document, operation.from);
      if (copied > MAX_COPIED) break;
      document = jsonPatch.applyOperation(document, operation, true, true, true).newDocument;
    }
    if (copied <= MAX_COPIED) return document;
  } catch (error) {
    const { name, operation } = error as { name?: string; operation?: Operation };
    const path = operation?.path ?? '';
    const why =
      name === 'TEST_OPERATION_FAILED'
        ? `testing value ${path} failed: test failed`
        : `${operation?.op ?? ''} operation does not apply: doc is missing path: ${path}: missing value`;
    throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`, {});
  }
  const message = `a JSON patch may copy ${String(MAX_COPIED)} bytes in all`;
  throw new ApiError(413, 'RequestEntityTooLarge', message);
}

function sizeAt(document: unknown, pointer: string): number {
  const value: unknown = jsonPatch.getValueByPointer(document, pointer);
  return JSON.stringify(value)?.length ?? 0;
}
