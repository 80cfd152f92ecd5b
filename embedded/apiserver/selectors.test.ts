// Selectors, URLs, ages and printer paths.
import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../core/kube/objects.ts';
import { selectPath } from './json-path.ts';
import { compareVersions } from './kinds/custom.ts';
import { span } from './kinds/age.ts';
import { podStatus } from './kinds/pod-columns.ts';
import { requestInfo } from './request-info.ts';
import { labelSelector, objectSelector } from './selectors.ts';
import { ApiError } from './status.ts';

const labelled = (labels: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'X',
  metadata: { labels },
});

describe('labelSelector', () => {
  it.each([
    ['', true],
    ['a=1', true],
    ['a==1,b!=3', true],
    ['a!=1', false],
    ['a in (1, 2),b', true],
    ['a notin (1,2)', false],
    ['c notin (1)', true],
    ['!c', true],
    ['!a', false],
    ['b>1', true],
    ['x.io/y=z', false],
  ])('%s', (selector, expected) => {
    expect(labelSelector(selector)(labelled({ a: '1', b: '2' }))).toBe(expected);
  });

  it('refuses what it cannot read', () => {
    expect(() => labelSelector('a=b=c')).toThrow(ApiError);
  });

  it('reads selectors in object form', () => {
    const selector = objectSelector({
      matchLabels: { a: '1' },
      matchExpressions: [
        { key: 'b', operator: 'NotIn', values: ['3'] },
        { key: 'c', operator: 'DoesNotExist' },
      ],
    });
    expect(selector({ a: '1', b: '2' })).toBe(true);
    expect(selector({ a: '1', b: '3' })).toBe(false);
    expect(objectSelector(undefined)({})).toBe(true);
  });
});

describe('requestInfo', () => {
  it.each([
    ['GET', '/api/v1/pods?watch=1', { verb: 'watch', namespace: '', resource: 'pods', name: '', subresource: '' }],
    ['GET', '/api/v1/namespaces/a', { verb: 'get', namespace: '', resource: 'namespaces', name: 'a' }],
    [
      'PUT',
      '/api/v1/namespaces/a/finalize',
      { verb: 'update', resource: 'namespaces', name: 'a', subresource: 'finalize' },
    ],
    ['DELETE', '/apis/x.io/v1/namespaces/a/things', { verb: 'deletecollection', group: 'x.io', namespace: 'a' }],
    ['POST', '/api/v1/namespaces/a/pods/p/exec', { verb: 'create', name: 'p', subresource: 'exec', namespace: 'a' }],
  ])('%s %s', (method, path, expected) => {
    expect(requestInfo(method, new URL(path, 'https://x')).resource).toMatchObject(expected);
  });

  it('leaves discovery to the server', () => {
    expect(requestInfo('GET', new URL('https://x/apis/x.io/v1')).resource).toBeUndefined();
  });
});

describe('printing', () => {
  it('shows spans as kubectl does', () => {
    expect([5, 119, 130, 700, 3 * 3600 + 60, 9 * 3600, 3 * 86_400, 400 * 86_400].map(span)).toEqual([
      ...['5s', '119s', '2m10s', '11m', '3h1m', '9h', '3d', '400d'],
    ]);
  });

  it('finds values by path', () => {
    const object = {
      status: {
        conditions: [
          { type: 'A', status: 'x' },
          { type: 'Ready', status: 'True' },
        ],
      },
      'a.b': { c: [1, 2] },
    };
    expect(selectPath(object, '.status.conditions[?(@.type=="Ready")].status')).toEqual(['True']);
    expect(selectPath(object, '.status.conditions[*].type')).toEqual(['A', 'Ready']);
    expect(selectPath(object, String.raw`.a\.b.c[1]`)).toEqual([2]);
    expect(selectPath(object, '.nothing.here')).toEqual([]);
  });

  it('sums up the state of a pod', () => {
    const pod = (status: object, spec: object = { containers: [{}] }): KubeObject => ({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: {}, spec, status },
    });
    const waiting = { containerStatuses: [{ state: { waiting: { reason: 'ImagePullBackOff' } } }], phase: 'Pending' };
    expect(podStatus(pod(waiting))).toBe('ImagePullBackOff');
    const ended = { containerStatuses: [{ state: { terminated: { exitCode: 3 } } }], phase: 'Failed' };
    expect(podStatus(pod(ended))).toBe('ExitCode:3');
    const init = {
      phase: 'Pending',
      initContainerStatuses: [{ state: { terminated: { exitCode: 0 } } }, { state: { running: {} } }],
    };
    expect(podStatus(pod(init, { initContainers: [{}, {}], containers: [{}] }))).toBe('Init:1/2');
  });

  it('orders versions', () => {
    expect(['v1alpha1', 'v2', 'x', 'v1beta2', 'v1', 'v10'].sort(compareVersions)).toEqual([
      ...['v10', 'v2', 'v1', 'v1beta2', 'v1alpha1', 'x'],
    ]);
  });
});
