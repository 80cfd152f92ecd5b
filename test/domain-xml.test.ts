// With every plugin: whatever is admitted has a domain that libvirt's schema takes and a pod that Kubernetes takes, all of it
// signed, and the same each time.
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readManifests } from '../cli/manifests.ts';
import { ROOT } from '../cli/paths.ts';
import { admit, applyDefaults, templateOf, vmiIn } from '../core/admission.ts';
import type { Element } from '../core/domain/element.ts';
import { toXml } from '../core/domain/xml.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import { plan, podOf, type Plan } from '../core/plan.ts';
import { TEST_FACTS } from '../core/testing.ts';
import type { Cause, Facts, Owner, Vmi } from '../core/types.ts';
import { startControlPlane, type ControlPlane } from './support/control-plane.ts';
import { randomVmis } from '../conformance/random-vmi.ts';

const run = promisify(execFile);
const SCHEMA = '/usr/share/libvirt/schemas/domain.rng';
const RUNS = Number(process.env['FC_RUNS'] ?? 400);
const EXAMPLES = join(ROOT, 'examples');
const FACTS: readonly Facts[] = [
  TEST_FACTS,
  { ...TEST_FACTS, cluster: { ...TEST_FACTS.cluster, virtType: 'kvm', imageVolumes: false } },
];

let plane: ControlPlane;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'vl-domains-'));
  plane = await startControlPlane();
});
afterAll(async () => {
  await plane.stop();
  rmSync(directory, { recursive: true });
});

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}

/** The VMI as it would be stored, or why it would not. */
async function admitted(object: KubeObject): Promise<{ vmi?: Vmi; causes: Cause[] }> {
  const request = { operation: 'CREATE' as const, object, user: { username: 'test', groups: [] } };
  const defaulted = await applyDefaults(plane.host, request);
  const { causes } = await admit(plane.host, { ...request, object: defaulted.object });
  const vmi = vmiIn(defaulted.object, templateOf(plane.host, object.kind));
  return { causes: [...defaulted.causes, ...causes], ...(vmi ? { vmi } : {}) };
}

/** Elements and attributes that no tap has signed. */
function* unsigned(element: Element, path = element.tag): Generator<string> {
  if (!element.by) yield path;
  for (const child of element.children) yield* unsigned(child, `${path}/${child.tag}`);
}

/** Leaves of a pod that no tap has signed; a list's item is known by what identifies it. */
function* ownerless(value: unknown, path: string, owners: ReadonlyMap<string, Owner>): Generator<string> {
  if (owners.has(path)) return;
  if (typeof value !== 'object' || value === null) yield path;
  else if (!Array.isArray(value)) {
    for (const [key, item] of Object.entries(value))
      yield* ownerless(item, path === '' ? key : `${path}.${key}`, owners);
  } else {
    for (const [index, item] of (value as Record<string, unknown>[]).entries()) {
      const key = ['mountPath', 'name', 'devicePath', 'containerPort'].find((one) => item[one] !== undefined);
      yield* ownerless(item, `${path}[${key === undefined ? index : `${key}=${String(item[key])}`}]`, owners);
    }
  }
}

async function planned(vmi: Vmi, facts: Facts): Promise<Plan> {
  const made = await plan(plane.host, freeze(structuredClone(vmi)), freeze(structuredClone(facts)));
  const again = await plan(plane.host, vmi, facts);
  expect(toXml(again.domain)).toBe(toXml(made.domain));
  expect(podOf(again)).toEqual(podOf(made));
  expect(again.chains).toEqual(made.chains);
  expect([...unsigned(made.domain)]).toEqual([]);
  expect([...ownerless(made.pod.value, '', made.pod.owners)]).toEqual([]);
  return made;
}

async function validate(documents: ReadonlyMap<string, string>): Promise<void> {
  const files = [...documents].map(([name, xml]) => {
    const file = join(directory, `${name}.xml`);
    writeFileSync(file, xml);
    return file;
  });
  await run('xmllint', ['--noout', '--relaxng', SCHEMA, ...files], { maxBuffer: 2 ** 26 }).catch((error: unknown) => {
    const lines = (error as { stderr: string }).stderr.split('\n').filter((line) => !line.endsWith(' validates'));
    throw new Error(`not valid: ${lines.join('\n').slice(0, 3000)}`);
  });
}

/** What the API server says of the pod: nothing, where it takes it. */
async function refusalOf(pod: KubeObject): Promise<string | undefined> {
  const path = '/api/v1/namespaces/default/pods?dryRun=All&fieldValidation=Strict';
  const { status, body } = await plane.admin.raw('POST', path, pod, { 'content-type': 'application/json' });
  return status === 201 ? undefined : (JSON.parse(body) as { message: string }).message;
}

describe('every example', () => {
  const files = readdirSync(EXAMPLES).filter((file) => file.endsWith('.yaml'));

  it('makes a valid domain and a valid pod', async () => {
    const documents = new Map<string, string>();
    for (const file of files) {
      for (const [index, object] of readManifests(join(EXAMPLES, file)).entries()) {
        if (templateOf(plane.host, object.kind) === undefined) continue;
        const { vmi, causes } = await admitted({ ...object, metadata: { namespace: 'default', ...object.metadata } });
        expect(causes, file).toEqual([]);
        // The VMI of a VirtualMachine is judged and filled in once more when it is made.
        const own = vmi && (await admitted(vmi as unknown as KubeObject)).vmi;
        if (!own) throw new Error(`${file} holds no VMI`);
        for (const [which, facts] of FACTS.entries()) {
          const made = await planned({ ...own, metadata: { ...own.metadata, uid: 'u-1' } }, facts);
          documents.set(`${file}-${index}-${which}`, toXml(made.domain));
          expect(await refusalOf(podOf(made)), file).toBeUndefined();
        }
      }
    }
    expect(documents.size).toBeGreaterThanOrEqual(files.length);
    await validate(documents);
  });

  it('passes virt-xml-validate itself', async () => {
    const [object] = readManifests(join(EXAMPLES, 'vmi-tiny.yaml'));
    if (!object) throw new Error('the example is empty');
    const { vmi } = await admitted({ ...object, metadata: { namespace: 'default', ...object.metadata } });
    const file = join(directory, 'tiny.xml');
    writeFileSync(file, toXml((await planned(vmi as Vmi, TEST_FACTS)).domain));
    await run('virt-xml-validate', [file, 'domain']);
  });
});

describe('every VMI that is admitted', () => {
  it('makes a valid domain and a valid pod, the same each time, all of it signed', async () => {
    const seed = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31);
    const documents = new Map<string, string>();
    const seen = new Set<string>();
    for (const [index, given] of fc.sample(randomVmis(plane.host), { seed, numRuns: RUNS }).entries()) {
      const { vmi, causes } = await admitted(given as unknown as KubeObject);
      if (causes.length > 0 || !vmi) continue;
      const facts = FACTS[index % FACTS.length] as Facts;
      const told = `seed ${seed}, VMI ${index}: ${JSON.stringify(given)}`;
      const made = await planned(vmi, facts).catch((error: unknown) => {
        if (facts.cluster.virtType === 'qemu' && String(error).includes('needs KVM')) return undefined;
        throw new Error(`${told}: ${String(error)}`, { cause: error });
      });
      if (!made) continue;
      documents.set(`random-${index}`, toXml(made.domain));
      expect(await refusalOf(podOf(made)), told).toBeUndefined();
      for (const key of Object.keys(vmi.spec.domain.devices ?? {})) seen.add(key);
    }
    expect(documents.size, `seed ${seed}`).toBeGreaterThan(RUNS / 10);
    expect(seen.size).toBeGreaterThan(8);
    await validate(documents).catch((error: unknown) => {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    });
  }, 60_000);
});
