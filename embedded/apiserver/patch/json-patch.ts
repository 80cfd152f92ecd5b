// JSON patch (RFC 6902), with Kubernetes' answers to patches that do not apply.
import jsonPatch, { type Operation } from 'fast-json-patch';
import { ApiError, badRequest } from '../status.ts';

const OPERATIONS = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);
const MAX_OPERATIONS = 10_000;

export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be an array of operations');
  if (patch.length > MAX_OPERATIONS) {
    const message = `The allowed maximum operations in a JSON patch is ${String(MAX_OPERATIONS)}, got ${String(patch.length)}`;
    throw new ApiError(413, 'RequestEntityTooLarge', message);
  }
  for (const operation of patch as Partial<Operation>[]) {
    if (!OPERATIONS.has(String(operation.op)) || typeof operation.path !== 'string') {
      throw badRequest(`unknown JSON patch operation: ${JSON.stringify(operation)}`);
    }
  }
  try {
    return jsonPatch.applyPatch(target, patch as Operation[], true, false, true).newDocument;
  } catch (error) {
    const { name, operation } = error as { name?: string; operation?: Operation };
    const path = operation?.path ?? '';
    const why =
      name === 'TEST_OPERATION_FAILED'
        ? `testing value ${path} failed: test failed`
        : `${operation?.op ?? ''} operation does not apply: doc is missing path: ${path}: missing value`;
    throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`, {});
  }
}
