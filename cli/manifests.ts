// Manifests from files: YAML or JSON, several documents a file, `-` for standard input.
import { readFileSync } from 'node:fs';
import { type Document, parseAllDocuments } from 'yaml';
import { messageOf } from '../core/errors.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import { Exit, USAGE } from './exit.ts';

export function readManifests(file: string): KubeObject[] {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Exit(USAGE, `${file}: ${messageOf(error)}`);
  }
  const objects: KubeObject[] = [];
  for (const document of parseAllDocuments(text)) {
    const [problem] = document.errors;
    if (problem) throw new Exit(USAGE, `${file}: ${problem.message}`);
    for (const object of itemsOf(valueOf(document, file))) {
      if (typeof object?.kind !== 'string' || typeof object.metadata !== 'object' || object.metadata === null) {
        throw new Exit(USAGE, `${file}: a document is no Kubernetes object: kind and metadata are needed`);
      }
      objects.push(object);
    }
  }
  if (objects.length === 0) throw new Exit(USAGE, `${file}: holds no object`);
  return objects;
}

/** Throws where aliases unfold without end. */
function valueOf(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new Exit(USAGE, `${file}: ${messageOf(error)}`);
  }
}

function itemsOf(value: unknown): KubeObject[] {
  if (value === null || value === undefined) return [];
  const object = value as KubeObject & { items?: KubeObject[] };
  return object.kind === 'List' && Array.isArray(object.items) ? object.items : [object];
}
