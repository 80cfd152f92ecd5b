// The conformance kit: what a plugin promises by its contract, tried on random VMIs beside the plugins that it runs with.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { pino } from 'pino';
import { admit, applyDefaults } from '../core/admission.ts';
import { toXml } from '../core/domain/xml.ts';
import { messageOf, VirtloomError } from '../core/errors.ts';
import { createHost, type Host, type PluginEntry } from '../core/host.ts';
import type { KubeObject } from '../core/kube/objects.ts';
import { SHARED_KEYWORDS } from '../core/options.ts';
import { plan, type Plan } from '../core/plan.ts';
import type { ApiSlice, Plugin, Schema } from '../core/plugin.ts';
import type { Facts, Vmi } from '../core/types.ts';
import { randomVmis } from './random-vmi.ts';

export interface Finding {
  readonly check: string;
  /** What is wrong, and what to do; undefined where nothing is. */
  readonly problem?: string;
  /** What was looked at, or why it could not be. */
  readonly detail: string;
}
export interface Trial {
  /** All plugins that run, the one on trial among them. */
  readonly entries: readonly PluginEntry[];
  /** The name of the plugin on trial. */
  readonly name: string;
  /** How many random VMIs. */
  readonly vmis: number;
  /** The same seed gives the same VMIs. */
  readonly seed: number;
}

const USER = { username: 'conformance', groups: ['system:authenticated'] };
const CLUSTER: Facts['cluster'] = { launcherImage: 'virtloom/launcher', virtType: 'qemu', imageVolumes: true };
const node = (name: string, ip: string): Facts => ({
  cluster: CLUSTER,
  steps: {},
  node: { name, arch: 'amd64' },
  pod: { name: `virt-launcher-${name}`, uid: name, ip, ips: [ip] },
});
const OFFLINE: Facts = { cluster: CLUSTER, steps: {} };
/** XML documents that are judged by libvirt's schema. */
const VALIDATED = 12;
/** A throw of these is a mistake in the program, not a verdict on the VMI. */
const MISTAKES = [TypeError, RangeError, ReferenceError, SyntaxError];
const MISTAKEN = new Set(['VL_TAP_ANSWER', 'VL_TAP_TIMEOUT', 'VL_WRITE_UNDECLARED']);

const log = pino({ level: 'silent' });
const host = (entries: readonly PluginEntry[]): Host => createHost(entries, { log });
const text = ({ pod, domain, chains, overhead }: Plan): string =>
  JSON.stringify([pod.value, toXml(domain), chains, overhead]);

/** Tries the plugin; each check is a finding. Throws VirtloomError where the plugins cannot even be set up together. */
export async function conformance(trial: Trial): Promise<Finding[]> {
  const before = resources();
  const entry = trial.entries.find(({ plugin }) => plugin.name === trial.name);
  if (!entry) throw new TypeError(`no plugin "${trial.name}" among ${trial.entries.length}`);
  const options = optionsAreSound(entry.plugin);
  // The host takes no such plugin, so there is nothing more to try.
  if (options.problem !== undefined) return [options];
  const all = host(trial.entries);
  const vmis = await admitted(all, trial);
  const findings = [
    options,
    fieldsAreSound(entry.plugin),
    await survives(all, trial, vmis),
    await isPure(all, trial, vmis),
    await actionsAreThere(all, trial, vmis),
    await isTheSameElsewhere(all, vmis),
    await isValidXml(all, vmis),
    await canBeRemoved(trial, vmis),
  ];
  return [...findings, leaksNothing(before, resources())];
}

/** Random VMIs that every rule likes, as they come out of admission. */
async function admitted(all: Host, { vmis, seed }: Trial): Promise<Vmi[]> {
  const kept: Vmi[] = [];
  for (const vmi of fc.sample(randomVmis(all), { numRuns: vmis, seed })) {
    const request = { operation: 'CREATE' as const, object: vmi as unknown as KubeObject, user: USER };
    try {
      const { object, causes } = await applyDefaults(all, request);
      const verdict = causes.length > 0 ? { causes } : await admit(all, { ...request, object });
      if (verdict.causes.length === 0) kept.push(object as unknown as Vmi);
    } catch {
      // The taps' own mistakes show again below, where they are told by name.
      kept.push(vmi);
    }
  }
  return kept;
}

function optionsAreSound({ options, name }: Plugin): Finding {
  const check = 'options are a sound schema';
  if (!options) return { check, detail: 'there are none' };
  try {
    const validate = new Ajv({
      strict: true,
      allowUnionTypes: true,
      useDefaults: true,
      keywords: SHARED_KEYWORDS,
    }).compile(options);
    const empty = {};
    const required = (options['required'] ?? []) as string[];
    if (required.length === 0 && !validate(empty)) {
      return {
        check,
        detail: name,
        problem: `its defaults are not allowed by its own schema: ${JSON.stringify(validate.errors)}`,
      };
    }
    return { check, detail: `${Object.keys((options['properties'] ?? {}) as object).length} options` };
  } catch (error) {
    return { check, detail: name, problem: `${messageOf(error)}: mend the schema in options` };
  }
}

/** As Kubernetes wants it of a CRD: every field has a type. */
function untyped(schema: Schema, path: string): string | undefined {
  if (schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true)
    return undefined;
  if (typeof schema['type'] !== 'string') return path;
  for (const [key, field] of Object.entries((schema['properties'] ?? {}) as Record<string, Schema>)) {
    const found = untyped(field, `${path}.${key}`);
    if (found !== undefined) return found;
  }
  for (const below of [schema['items'], schema['additionalProperties']]) {
    if (typeof below !== 'object' || below === null) continue;
    const found = untyped(below as Schema, `${path}[]`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function fieldsAreSound({ api = [] }: Plugin): Finding {
  const check = 'fields have a structural schema';
  const found = api.map(({ path, schema }: ApiSlice) => untyped(schema, path)).find((path) => path !== undefined);
  const detail = `${api.length} fields`;
  return found === undefined ? { check, detail } : { check, detail, problem: `${found} has no type: a CRD needs one` };
}

function mistakeOf(error: unknown, name: string): string | undefined {
  if (!(error instanceof VirtloomError) || error.facts['plugin'] !== name) return undefined;
  const isMistake = MISTAKEN.has(error.code) || MISTAKES.some((kind) => error.cause instanceof kind);
  return isMistake ? error.message : undefined;
}

async function survives(all: Host, { name, seed, vmis: asked }: Trial, vmis: readonly Vmi[]): Promise<Finding> {
  const check = 'survives random VMIs';
  let refused = 0;
  for (const vmi of vmis) {
    const request = { operation: 'CREATE' as const, object: vmi as unknown as KubeObject, user: USER };
    try {
      await applyDefaults(all, request);
      await admit(all, request);
      await plan(all, vmi, OFFLINE);
    } catch (error) {
      const problem = mistakeOf(error, name);
      if (problem !== undefined)
        return { check, detail: `seed ${seed}`, problem: `${problem} On ${JSON.stringify(vmi.spec)}` };
      refused++;
    }
  }
  const detail = `${asked} made, ${vmis.length} admitted, of them ${refused} refused by a plan; seed ${seed}`;
  return { check, detail };
}

/** Each VMI's plan, in order and again backwards, is the same. */
async function isPure(all: Host, { name }: Trial, vmis: readonly Vmi[]): Promise<Finding> {
  const check = 'is pure: the same VMI and facts give the same plan';
  const first = new Map<Vmi, string>();
  for (const vmi of vmis) {
    const made = await plan(all, vmi, OFFLINE).catch(() => undefined);
    if (made) first.set(vmi, text(made));
  }
  for (const [vmi, before] of [...first].reverse()) {
    const again = await plan(all, vmi, OFFLINE).then(text, messageOf);
    if (again !== before) {
      const where = differenceOf(before, again);
      return {
        check,
        detail: name,
        problem: `a second plan differs: ${where}. Hooks read their input and nothing else.`,
      };
    }
  }
  return { check, detail: `${first.size} plans` };
}

function differenceOf(a: string, b: string): string {
  let index = 0;
  while (index < a.length && a[index] === b[index]) index++;
  const around = (value: string): string => value.slice(Math.max(0, index - 40), index + 40);
  return `...${around(a)}... and ...${around(b)}...`;
}

async function actionsAreThere(all: Host, { name }: Trial, vmis: readonly Vmi[]): Promise<Finding> {
  const check = 'its steps have actions';
  const wanted = new Set<string>();
  for (const vmi of vmis) {
    const made = await plan(all, vmi, OFFLINE).catch(() => undefined);
    for (const { steps } of made?.chains ?? []) {
      for (const step of steps) if (step.plugin === name) wanted.add(step.action);
    }
  }
  for (const action of wanted) {
    try {
      await all.action(name, action);
    } catch (error) {
      return { check, detail: action, problem: messageOf(error) };
    }
  }
  return { check, detail: wanted.size > 0 ? [...wanted].join(', ') : 'there are none' };
}

/** A migration's source and target run the same domain. */
async function isTheSameElsewhere(all: Host, vmis: readonly Vmi[]): Promise<Finding> {
  const check = 'makes the same domain on another node';
  for (const vmi of vmis) {
    const domains = await Promise.all(
      [node('one', '10.0.0.1'), node('two', '10.0.9.9')].map((facts) =>
        plan(all, vmi, facts).then(({ domain }) => toXml(domain), messageOf),
      ),
    );
    const [one = '', two = ''] = domains;
    if (one !== two)
      return {
        check,
        detail: '',
        problem: `the domains differ: ${differenceOf(one, two)}. Leave the node's own facts out.`,
      };
  }
  return { check, detail: `${vmis.length} VMIs` };
}

async function isValidXml(all: Host, vmis: readonly Vmi[]): Promise<Finding> {
  const check = 'makes XML that libvirt’s schema allows';
  const directory = await mkdtemp(join(tmpdir(), 'virtloom-conformance-'));
  try {
    let count = 0;
    for (const vmi of vmis) {
      if (count === VALIDATED) break;
      const made = await plan(all, vmi, node('one', '10.0.0.1')).catch(() => undefined);
      if (!made) continue;
      const file = join(directory, `${count++}.xml`);
      await writeFile(file, toXml(made.domain));
      try {
        await promisify(execFile)('virt-xml-validate', [file, 'domain']);
      } catch (error) {
        const { code, stderr } = error as { code?: unknown; stderr?: string };
        if (code === 'ENOENT') return { check, detail: 'not judged: virt-xml-validate (libvirt-clients) is not here' };
        return { check, detail: file, problem: `${(stderr ?? '').split('\n')[0]}: ${toXml(made.domain)}` };
      }
    }
    return { check, detail: `${count} domains` };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Without it, and what requires it, the rest plans as before whatever has none of its fields. */
async function canBeRemoved({ entries, name }: Trial, vmis: readonly Vmi[]): Promise<Finding> {
  const check = 'leaves nothing when it is removed';
  const away = new Set([name]);
  // Sets grow while they are walked.
  for (const gone of away) {
    for (const { plugin } of entries) if (plugin.requires?.includes(gone)) away.add(plugin.name);
  }
  const rest = host(entries.filter(({ plugin }) => !away.has(plugin.name)));
  let looked = 0;
  for (const vmi of vmis) {
    if (rest.fields.check(vmi).length > 0) continue;
    const made = await plan(rest, vmi, OFFLINE).catch(() => undefined);
    if (!made) continue;
    looked++;
    const left = [...made.pod.owners].find(([, { plugin }]) => away.has(plugin));
    if (left) return { check, detail: '', problem: `${left[0]} of the pod is still made by ${left[1].plugin}` };
  }
  return { check, detail: `without ${[...away].join(', ')}; ${looked} VMIs have none of its fields` };
}

interface Resources {
  readonly listeners: number;
  readonly timers: number;
}

function resources(): Resources {
  const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout' || kind === 'Immediate').length;
  return { listeners, timers };
}

function leaksNothing(before: Resources, after: Resources): Finding {
  const check = 'leaks no listeners and timers';
  const detail = `${after.listeners} listeners of the process, ${after.timers} timers`;
  const more = after.listeners - before.listeners;
  if (more > 0) return { check, detail, problem: `${more} listeners were added to the process: take them off again` };
  if (after.timers > before.timers + 1)
    return { check, detail, problem: `${after.timers - before.timers} timers are left: clear them` };
  return { check, detail };
}
