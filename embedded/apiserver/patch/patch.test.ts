// The four kinds of patch.
import { describe, expect, it } from 'vitest';
import { resolveDefinition } from '../kinds/built-in.ts';
import type { JsonObject } from '../json.ts';
import type { Schema } from '../schema/schema.ts';
import { noReferences } from '../schema/schema.ts';
import { ApiError } from '../status.ts';
import { serverSideApply, trackUpdate } from './apply.ts';
import { applyJsonPatch } from './json-patch.ts';
import { mergePatch } from './merge.ts';
import { strategicMerge } from './strategic.ts';

describe('mergePatch', () => {
  it('merges objects, replaces lists, removes by null', () => {
    expect(mergePatch({ a: { b: 1, c: 2 }, l: [1, 2] }, { a: { b: null, d: 3 }, l: [3] })).toEqual({
      ...{ a: { c: 2, d: 3 }, l: [3] },
    });
  });

  it('does not reach into prototypes', () => {
    mergePatch({}, JSON.parse('{"__proto__":{"polluted":1}}'));
    expect(({} as JsonObject)['polluted']).toBeUndefined();
  });
});

describe('applyJsonPatch', () => {
  it('leaves its input alone and refuses what does not apply', () => {
    const target = { a: [1, 2] };
    expect(applyJsonPatch(target, [{ op: 'add', path: '/a/-', value: 3 }])).toEqual({ a: [1, 2, 3] });
    expect(target).toEqual({ a: [1, 2] });
    expect(() => applyJsonPatch(target, [{ op: 'test', path: '/a/0', value: 9 }])).toThrow(ApiError);
    expect(() => applyJsonPatch(target, [{ op: 'remove', path: '/b/c' }])).toThrow(/does not apply/);
    expect(() => applyJsonPatch(target, [{ op: 'explode', path: '/a' }])).toThrow(/unknown JSON patch operation/);
  });
});

describe('strategicMerge', () => {
  const merge = (target: JsonObject, patch: JsonObject): JsonObject =>
    strategicMerge(target, patch, { $ref: 'V1PodSpec' }, resolveDefinition);
  const base = {
    containers: [
      { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
      { name: 'b', image: '1' },
    ],
  };

  it('merges lists by their keys', () => {
    const patch = {
      containers: [
        { name: 'a', env: [{ name: 'Y', value: '2' }] },
        { name: 'c', image: '3' },
      ],
    };
    expect(merge(base, patch)['containers']).toEqual([
      {
        name: 'a',
        image: '1',
        env: [
          { name: 'X', value: '1' },
          { name: 'Y', value: '2' },
        ],
      },
      { name: 'b', image: '1' },
      { name: 'c', image: '3' },
    ]);
  });

  it('deletes and replaces by directive', () => {
    expect(merge(base, { containers: [{ name: 'a', $patch: 'delete' }] })['containers']).toEqual([
      { name: 'b', image: '1' },
    ]);
    expect(merge(base, { containers: [{ $patch: 'replace' }, { name: 'z' }] })['containers']).toEqual([{ name: 'z' }]);
    expect(merge({ nodeSelector: { a: '1' } }, { nodeSelector: { $patch: 'replace', b: '2' } })).toEqual({
      nodeSelector: { b: '2' },
    });
  });

  it('keeps the order that the patch asks for', () => {
    const patch = {
      '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }],
      containers: [{ name: 'b', image: '2' }],
    };
    const result = merge(base, patch)['containers'] as JsonObject[];
    expect(result.map((each) => each['name'])).toEqual(['b', 'a']);
  });

  it('replaces volume sources by retainKeys, and lists without a key', () => {
    const volumes = [{ name: 'v', emptyDir: {} }];
    const patch = { volumes: [{ name: 'v', $retainKeys: ['name', 'configMap'], configMap: { name: 'c' } }] };
    expect(merge({ volumes }, patch)['volumes']).toEqual([{ name: 'v', configMap: { name: 'c' } }]);
    expect(merge({ tolerations: [{ key: 'a' }] }, { tolerations: [{ key: 'b' }] })['tolerations']).toEqual([
      { key: 'b' },
    ]);
  });
});

describe('serverSideApply', () => {
  const schema: Schema = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          ports: {
            ...{ type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] },
            items: { type: 'object', properties: { name: { type: 'string' }, port: { type: 'integer' } } },
          },
          args: { type: 'array', items: { type: 'string' } },
        },
      },
    },
  };
  const apply = (live: JsonObject, manager: string, spec: JsonObject, force = false): JsonObject =>
    serverSideApply(live, { spec }, schema, noReferences, { manager, force, subresource: '', apiVersion: 'x/v1' });
  const spec = (object: JsonObject): unknown => object['spec'];

  it('lets two managers own different items of a keyed list, and drops what a manager stops naming', () => {
    let live = apply({ metadata: { uid: 'u' } }, 'a', { size: 1, ports: [{ name: 'x', port: 1 }] });
    live = apply(live, 'b', { ports: [{ name: 'y', port: 2 }] });
    expect(spec(live)).toEqual({
      size: 1,
      ports: [
        { name: 'x', port: 1 },
        { name: 'y', port: 2 },
      ],
    });
    live = apply(live, 'a', { size: 1 });
    expect(spec(live)).toEqual({ size: 1, ports: [{ name: 'y', port: 2 }] });
    live = apply(live, 'b', {});
    expect(spec(live)).toEqual({ size: 1 });
  });

  it('refuses to change what another manager owns, shares equal values, and yields to force', () => {
    let live = apply({ metadata: { uid: 'u' } }, 'a', { size: 1, args: ['x'] });
    expect(() => apply(live, 'b', { size: 2 })).toThrow(/conflict with "a": .spec.size/);
    live = apply(live, 'b', { size: 1 });
    live = apply(live, 'a', { args: ['x'] });
    expect(spec(live)).toEqual({ size: 1, args: ['x'] });
    live = apply(live, 'c', { args: ['y'], size: 5 }, true);
    expect(spec(live)).toEqual({ size: 5, args: ['y'] });
    live = apply(live, 'a', {}, false);
    expect(spec(live)).toEqual({ size: 5, args: ['y'] });
  });

  it('books ordinary updates once somebody has applied', () => {
    const live = apply({ metadata: { uid: 'u' } }, 'a', { size: 1, args: ['x'] });
    const request = { manager: 'edit', subresource: '', apiVersion: 'x/v1' };
    const edited = trackUpdate(live, { ...live, spec: { size: 7, args: ['x'] } }, schema, noReferences, request);
    expect(() => apply(edited, 'a', { size: 1, args: ['x'] })).toThrow(/conflict with "edit" using x\/v1: .spec.size/);
    const plain = { metadata: { uid: 'u' }, spec: { size: 1 } };
    expect(trackUpdate(plain, { ...plain, spec: { size: 2 } }, schema, noReferences, request)).toEqual({
      ...plain,
      spec: { size: 2 },
    });
    expect(() => apply(plain, 'a', { size: 2 })).toThrow(/conflict with "before-first-apply"/);
  });
});
