// Everything wrong that a manifest can be, sent to the real API server with the real webhooks: what is said, and that nothing stays.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject, Resource } from '../core/kube/objects.ts';
import type { Vmi } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';
import { badVm, badVmi, type BadCase, type Expected, vmiWith, vmWith } from './bad-input/case.ts';
import { BAD } from './bad-input/index.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';

const KUBEVIRT = '/apis/kubevirt.io/v1/namespaces/default';
const JSON_TYPE = 'application/json';
const PRESETS: Resource = {
  ...VMIS,
  plural: 'virtualmachineinstancepresets',
  kind: 'VirtualMachineInstancePreset',
};
const VMS: Resource = { ...VMIS, plural: 'virtualmachines', kind: 'VirtualMachine' };

interface Status {
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { field?: string; reason: string; message: string }[] };
}

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane();
});
afterAll(() => plane.stop());

async function send(method: string, path: string, body: unknown, type = JSON_TYPE) {
  const answer = await plane.admin.raw(method, `${KUBEVIRT}/${path}`, body, { 'content-type': type });
  return { code: answer.status, body: JSON.parse(answer.body) as Status & KubeObject };
}

/** Takes each expected cause away from those given; what is left on either side is a fault. */
function compare(status: Status, expected: readonly Expected[]): { missing: Expected[]; unexpected: unknown[] } {
  const unexpected = [...(status.details?.causes ?? [])];
  const missing = expected.filter(([field, reason, part]) => {
    const index = unexpected.findIndex(
      (cause) =>
        cause.field === field &&
        cause.reason === reason &&
        (typeof part === 'string' ? cause.message.includes(part) : part.test(cause.message)),
    );
    if (index >= 0) unexpected.splice(index, 1);
    return index < 0;
  });
  return { missing, unexpected };
}

async function refused({ resource, query = '', body, type, code, causes, message }: BadCase): Promise<void> {
  const answer = await send('POST', `${resource}${query}`, body, type);
  expect(answer.code, answer.body.message).toBe(code);
  expect(compare(answer.body, causes)).toEqual({ missing: [], unexpected: [] });
  if (message !== undefined) expect(answer.body.message).toMatch(message);
}

async function stored(): Promise<string[]> {
  const kinds = [VMIS, VMS, PRESETS];
  const lists = await Promise.all(kinds.map((kind) => plane.admin.list(kind, undefined)));
  return lists.flatMap(({ items }) => items.map((item) => `${item.kind} ${item.metadata.name ?? ''}`));
}

async function remove(resource: Resource, name: string): Promise<void> {
  const gone = { metadata: { finalizers: [] } };
  await plane.admin.patch(resource, 'default', name, gone, { type: 'merge' });
  await plane.admin.delete(resource, 'default', name);
}

describe('a bad manifest', () => {
  it('is in the table at least 60 times, no name twice', () => {
    expect(BAD.length).toBeGreaterThanOrEqual(60);
    expect(new Set(BAD.map(({ name }) => name)).size).toBe(BAD.length);
  });

  it.each(BAD.map((one) => [one.name, one] as const))('is refused: %s', (_, one) => refused(one));

  it('is refused no less in an update, a patch and an apply', async () => {
    const vm = { ...vmWith({}), metadata: { name: 'fine' } };
    expect((await send('POST', 'virtualmachines', vm)).code).toBe(201);
    const bad = { spec: { template: { spec: { domain: { memory: { guest: '0' } } } } } };
    const object = { ...vmWith({ 'spec.template.spec.domain.memory.guest': '0' }), metadata: { name: 'fine' } };
    const path = 'virtualmachines/fine';
    for (const answer of [
      await send('PUT', path, object),
      await send('PATCH', path, bad, 'application/merge-patch+json'),
      await send('PATCH', `${path}?fieldManager=me&force=true`, object, 'application/apply-patch+yaml'),
    ]) {
      expect(answer.code, answer.body.message).toBe(422);
      expect(answer.body.details?.causes).toMatchObject([{ field: 'spec.template.spec.domain.memory.guest' }]);
    }
    const kept = await plane.admin.get(VMS, 'default', 'fine');
    expect(kept.spec).toMatchObject({ template: { spec: { domain: { memory: { guest: '64Mi' } } } } });
    await remove(VMS, 'fine');
  });

  it('is refused by kubectl’s old version of the API in the same words', async () => {
    const body = vmiWith({ apiVersion: 'kubevirt.io/v1alpha3', 'spec.domain.memory.guest': '0' });
    const path = KUBEVIRT.replace('/v1/', '/v1alpha3/');
    const answer = await plane.admin.raw('POST', `${path}/virtualmachineinstances`, body, {
      'content-type': JSON_TYPE,
    });
    expect(answer.status).toBe(422);
    expect(
      compare(
        JSON.parse(answer.body) as Status,
        badVmi('', {}, ['spec.domain.memory.guest', 'FieldValueInvalid', 'greater than 0']).causes,
      ),
    ).toEqual({ missing: [], unexpected: [] });
  });

  it('does not get in as a dry run either, nor does a good one', async () => {
    await refused({
      ...badVm('', { 'spec.runStrategy': 'x' }, ['spec.runStrategy', 'FieldValueInvalid', 'x']),
      query: '?dryRun=All',
    });
    expect((await send('POST', 'virtualmachineinstances?dryRun=All', vmiWith({}))).code).toBe(201);
  });
});

describe('a VMI that is there', () => {
  const NAME = 'there';
  const path = `virtualmachineinstances/${NAME}`;
  beforeEach(async () => {
    expect((await send('POST', 'virtualmachineinstances', vmiWith({ 'metadata.name': NAME }))).code).toBe(201);
    return () => remove(VMIS, NAME);
  });

  it('keeps its spec', async () => {
    const change = { spec: { domain: { memory: { guest: '1Gi' } } } };
    const answer = await send('PATCH', path, change, 'application/merge-patch+json');
    expect(answer.code).toBe(422);
    expect(answer.body.details?.causes).toMatchObject([
      { field: 'spec', reason: 'FieldValueNotSupported', message: 'update of VMI object is restricted' },
    ]);
  });

  it('keeps its status against its user, without a word', async () => {
    const before = await plane.admin.get<Vmi>(VMIS, 'default', NAME);
    const faked = { metadata: { labels: { mine: 'yes' } }, status: { phase: 'Running', nodeName: 'elsewhere' } };
    for (const subresource of ['', '/status']) {
      const answer = await send('PATCH', `${path}${subresource}`, faked, 'application/merge-patch+json');
      expect([200, 404]).toContain(answer.code);
    }
    const after = await plane.admin.get<Vmi>(VMIS, 'default', NAME);
    expect(after.status).toEqual(before.status);
    expect(after.metadata.labels).toEqual({ mine: 'yes' });
    const replaced = await send('PUT', path, { ...after, status: { phase: 'Failed' } });
    expect(replaced.code).toBe(200);
    expect(replaced.body.status).toEqual(before.status);
  });

  it('is born Pending whatever its maker says', async () => {
    const born = vmiWith({ 'metadata.name': 'born', status: { phase: 'Succeeded', activePods: { x: 'y' } } });
    const { body } = await send('POST', 'virtualmachineinstances', born);
    expect(body.status).toMatchObject({ phase: 'Pending' });
    expect(body.status).not.toHaveProperty('activePods');
    await remove(VMIS, 'born');
  });

  it('is not the place to grow a patch without end', async () => {
    const name = '/metadata/annotations';
    const seed = { op: 'add', path: name, value: { a: 'x'.repeat(1000) } };
    const copies = Array.from({ length: 40 }, (_, index) => ({
      op: 'copy',
      from: '/metadata',
      path: `${name}/${index}`,
    }));
    const answer = await send('PATCH', path, [seed, ...copies], 'application/json-patch+json');
    expect(answer.code, answer.body.message).toBe(413);
  });

  it.each([[[null]], [[1]], [[{ op: 'melt', path: '/spec' }]], [[{ op: 'add' }]], [{}], ['x']])(
    'takes no patch that is none: %j',
    async (patch) => {
      const answer = await send('PATCH', path, JSON.stringify(patch), 'application/json-patch+json');
      expect(answer.code, answer.body.message).toBe(400);
    },
  );

  it('takes no reserved label later', async () => {
    const change = { metadata: { labels: { 'kubevirt.io/nodeName': 'mine' } } };
    const answer = await send('PATCH', path, change, 'application/merge-patch+json');
    expect(answer.code).toBe(422);
    expect(answer.body.details?.causes).toMatchObject([{ field: 'metadata.labels' }]);
  });
});

describe('presets', () => {
  const preset = (name: string, domain: object): KubeObject => ({
    apiVersion: 'kubevirt.io/v1',
    kind: PRESETS.kind,
    metadata: { name },
    spec: { selector: { matchLabels: { size: 'small' } }, domain },
  });
  const small = vmiWith({ 'metadata.labels': { size: 'small' } });

  it('that disagree refuse the VMI that both match, and name both', async () => {
    await plane.admin.create(PRESETS, 'default', preset('one', { cpu: { cores: 1 } }));
    await plane.admin.create(PRESETS, 'default', preset('two', { cpu: { cores: 2 } }));
    const answer = await send('POST', 'virtualmachineinstances', small);
    expect(answer.code).toBe(422);
    expect(answer.body.details?.causes).toMatchObject([
      { field: 'spec.domain.cpu', message: expect.stringContaining("presets 'two' and 'one' conflict") as string },
    ]);
    await Promise.all(['one', 'two'].map((name) => plane.admin.delete(PRESETS, 'default', name)));
  });

  it.each([
    [
      'clock',
      { clock: JSON.parse('{"constructor": {"prototype": {"x": 1}}}') as object },
      'spec.domain.clock.constructor',
    ],
    ['cpu', { cpu: { coers: 2 } }, 'spec.domain.cpu.coers'],
  ])('bring in no unknown field by way of %s', async (_, domain, field) => {
    await plane.admin.create(PRESETS, 'default', preset('odd', domain));
    const answer = await send('POST', 'virtualmachineinstances', small);
    expect(answer.code, answer.body.message).toBe(422);
    expect(answer.body.details?.causes).toMatchObject([{ field }]);
    await plane.admin.delete(PRESETS, 'default', 'odd');
  });
});

describe('after all that', () => {
  it('nothing of it is stored, and a good VMI is still taken', async () => {
    expect(await stored()).toEqual([]);
    // A volume that the guest sees as no disk is fine.
    const good = vmiWith({
      'metadata.name': 'good',
      'spec.volumes[1]': { name: 'spare', emptyDisk: { capacity: '1Gi' } },
    });
    expect((await send('POST', 'virtualmachineinstances', good)).code).toBe(201);
    expect(await stored()).toEqual(['VirtualMachineInstance good']);
    await remove(VMIS, 'good');
  });

  it('no prototype is the worse for it', () => {
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });
});
