// Where in pod and domain a plugin may write: the paths that it declares, as a tree to walk beside the writing.

/**
 * What a plugin's hooks may write besides what its attachments are: paths, each with all below it. A write outside of
 * them is refused. `pod`: `spec.volumes`, `spec.containers[compute].resources`, `metadata.annotations`; `domain`: below
 * the domain element, `cpu`, `devices/panic`, `devices/disk/iotune`, `@type` for an attribute.
 */
export interface Writes {
  readonly pod?: readonly string[];
  readonly domain?: readonly string[];
}

/** One place: all of what is below it may be written, or only what `below` leads to. */
export interface Scope {
  readonly whole: boolean;
  readonly below: ReadonlyMap<string, Scope>;
}

export interface Scopes {
  readonly pod: Scope;
  readonly domain: Scope;
}

export const EVERYWHERE: Scope = { whole: true, below: new Map() };

interface Growing {
  whole: boolean;
  readonly below: Map<string, Growing>;
}

/** `spec.containers[compute].resources` is spec, containers, compute, resources; `devices/disk/@type` is split at slashes. */
function scopeOf(paths: readonly string[], segments: RegExp): Scope {
  const root: Growing = { whole: false, below: new Map() };
  for (const path of paths) {
    let at = root;
    for (const [, quoted, plain] of path.matchAll(segments)) {
      const segment = quoted ?? plain ?? '';
      let next = at.below.get(segment);
      if (!next) at.below.set(segment, (next = { whole: false, below: new Map() }));
      at = next;
    }
    at.whole = true;
  }
  return root;
}

export function scopesOf(writes: Writes = {}): Scopes {
  return {
    pod: scopeOf(writes.pod ?? [], /\[([^\]]*)\]|([^.[\]]+)/g),
    domain: scopeOf(writes.domain ?? [], /(?:\[(.*)\])|([^/]+)/g),
  };
}

/** The scope one segment further down; undefined where nothing may be written. */
export function into(scope: Scope, segment: string): Scope | undefined {
  return scope.whole ? scope : scope.below.get(segment);
}
