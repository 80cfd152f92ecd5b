// containerDisks that cannot be had or hold no disk: what the VM tells, that nothing else suffers, and that it can be deleted.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Census } from '../support/census.ts';
import { waitFor } from '../support/command.ts';
import { type Variant, imageVariant } from '../support/images.ts';
import { Platform } from '../support/platform.ts';
import { Registry } from '../support/registry.ts';
import { waitForNoTraces } from './traces.ts';

interface Bad {
  /** What is pushed and asked for; without it, a name that nothing was ever pushed to. */
  variant?: Variant;
  /** The VMI's Synchronized condition. */
  reason: RegExp;
  message: RegExp;
  event: string;
  /** The VM's one word. */
  word: string;
}

const inPod = { reason: /^VL_STEP_FAILED$/, event: 'SyncFailed', word: 'Starting' };
const BAD: Record<string, Bad> = {
  missing: {
    reason: /^(ErrImagePull|ImagePullBackOff)$/,
    message: /failed to resolve reference "127\.0\.0\.1:\d+\/missing:1": .* not found/,
    event: 'ErrImagePull',
    word: 'ImagePullBackOff',
  },
  'no-disk': { ...inPod, variant: 'noDisk', message: /volume root: .*\/no-disk:1: has no folder \/disk/ },
  'empty-directory': { ...inPod, variant: 'emptyDirectory', message: /has no file in its folder \/disk/ },
  'two-disks': { ...inPod, variant: 'twoDisks', message: /has 2 files in its folder \/disk \("a.qcow2", "b.qcow2"\)/ },
  corrupt: { ...inPod, variant: 'corrupt', message: /corrupt:1: its disk names a backing file/ },
  'empty-file': { ...inPod, variant: 'emptyFile', message: /its disk is empty/ },
  'link-out': { ...inPod, variant: 'symlinkOut', message: /has no "disk\/disk\.img"/ },
  'directory-link-out': { ...inPod, variant: 'directoryLinkOut', message: /has no "disk"/ },
};

const manifest = (name: string, image: string): string =>
  `${JSON.stringify({
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: { name },
    spec: {
      runStrategy: 'Always',
      template: {
        spec: {
          terminationGracePeriodSeconds: 0,
          domain: {
            devices: {
              disks: [{ name: 'root', disk: { bus: 'virtio' } }],
              interfaces: [{ name: 'default', masquerade: {} }],
            },
            memory: { guest: '96Mi' },
          },
          networks: [{ name: 'default', pod: {} }],
          volumes: [{ name: 'root', containerDisk: { image } }],
        },
      },
    },
  })}\n`;

interface Status {
  status?: {
    phase?: string;
    printableStatus?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
  };
}

const layouts = mkdtempSync(join(tmpdir(), 'vl-e2e-bad-images-'));
let platform: Platform;
let registry: Registry;
let before: Census;

beforeAll(async () => {
  platform = await Platform.start();
  registry = await Registry.start({ netns: platform.netns });
  before = await platform.census();
  for (const [name, { variant }] of Object.entries(BAD)) {
    const image = variant
      ? await registry.push(imageVariant(layouts, variant), `${name}:1`)
      : `${registry.host}/${name}:1`;
    await platform.apply(manifest(name, image));
  }
});
afterAll(async () => {
  await platform?.dispose();
  await registry?.stop();
  rmSync(layouts, { recursive: true, force: true });
});

describe.each(Object.entries(BAD))('an image that is bad: %s', (name, { reason, message, event, word }) => {
  it("is told by the VMI's condition, an event and the VM's status", async () => {
    const condition = await waitFor('the VMI is not Synchronized', async () => {
      const conditions = (await platform.get<Status>('vmi', name))?.status?.conditions;
      return conditions?.find(({ type, status }) => type === 'Synchronized' && status === 'False');
    });
    expect(condition.reason).toMatch(reason);
    expect(condition.message).toMatch(message);
    await waitFor(`the VM is ${word}`, async () => {
      const now = (await platform.get<Status>('vm', name))?.status?.printableStatus;
      if (now === word) return true;
      throw new Error(now);
    });
    const events = await platform.kubectl([
      ...['get', 'events', '--field-selector', `involvedObject.name=${name}`],
      ...['-o', 'jsonpath={range .items[*]}{.type} {.reason} {.message}{"\\n"}{end}'],
    ]);
    expect(events).toMatch(new RegExp(`^Warning ${event} .*${message.source}`, 'm'));
  });
});

it('does not keep others from running', async () => {
  await platform.apply('examples/vmi-tiny.yaml');
  expect(await platform.waitForGuest('vmi-tiny', 90_000)).toMatchObject({ hostname: 'vmi-tiny' });
  await platform.kubectl(['delete', 'vmi', 'vmi-tiny', '--timeout=60s']);
});

it('runs once the image is there', async () => {
  await registry.push(imageVariant(layouts, 'qcow2'), 'missing:1');
  expect(await platform.waitForGuest('missing', 120_000)).toMatchObject({ firmware: 'bios' });
});

it('can be deleted, and nothing is left', async () => {
  await platform.kubectl(['delete', 'vm', '--all', '--timeout=90s']);
  await waitFor('no object is left', async () => (await platform.kubectl(['get', 'vm,vmi,pods', '-o', 'name'])) === '');
  await waitForNoTraces(platform, before);
});
