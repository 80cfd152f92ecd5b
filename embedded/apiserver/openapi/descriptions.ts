// What the fields of the built-in kinds mean, for `kubectl explain`: read from the Kubernetes client's type files when asked.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface Descriptions {
  own: string;
  fields: Map<string, string>;
}

const NONE: Descriptions = { own: '', fields: new Map() };

let folder: string | undefined;

function modelFolder(): string {
  folder ??= join(dirname(createRequire(import.meta.url).resolve('@kubernetes/client-node')), 'gen/models');
  return folder;
}

/** @param model a name of schemas.json: V1Pod. */
export function descriptionsOf(model: string): Descriptions {
  const file = join(modelFolder(), `${model}.d.ts`);
  if (!/^\w+$/.test(model) || !existsSync(file)) return NONE;
  const text = readFileSync(file, 'utf8');
  const own = /\/\*\*\s*\* ([^\n]*)\s*\*\/\s*export declare class/.exec(text)?.[1] ?? '';
  const fields = [...text.matchAll(/\/\*\*\s*\* ([^\n]*)\s*\*\/\s*'_?(\w+)'\??:/g)];
  return { own: plain(own), fields: new Map(fields.map(([, told = '', name = '']) => [name, plain(told)])) };
}

function plain(text: string): string {
  return text.replaceAll(/\\(['"`])/g, '$1').trim();
}
