// A plugin in a process of its own: a plugin like any other to the host, whose taps are calls to that process.
import { fork, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fail } from '../errors.ts';
import type {
  AdmitInput,
  Contribution,
  DefaultInput,
  KindDefinition,
  Plugin,
  PrepareInput,
  PlanDraft,
  Stage,
} from '../plugin.ts';
import type { Call, Declaration, Message, PrepareData, Start, Write } from './protocol.ts';
import { replay } from './recorder.ts';

const CHILD = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url));
/** What a plugin may keep in memory, in MiB. */
const MEMORY = 128;
/** The part of a tap's time after which its process is killed. */
const HEAD_START = 0.95;
/** How long the process may take to load the plugin, in ms. */
const START_MS = 10_000;

export interface IsolatedOptions extends Start {
  /** The plugin's name in the configuration. */
  readonly name: string;
  /** Folders that it may read, its own code among them. Nothing else of the file system, and nothing may be written. */
  readonly readable: readonly string[];
  readonly timeoutMs: number;
}

/** Starts the process and gives the plugin. Throws VL_PLUGIN_LOAD. */
export async function isolated(options: IsolatedOptions): Promise<Plugin> {
  const box = new Box(options);
  const { plugin, ...taps } = await box.declaration();
  return { ...plugin, setup: () => contributionOf(box, taps) };
}

function contributionOf(box: Box, taps: Omit<Declaration, 'plugin'>): Contribution {
  const keyed = <Input extends object>(hook: 'attachDisk' | 'sources' | 'bindings', keys: readonly string[]) =>
    Object.fromEntries(
      keys.map((key) => [
        key,
        ({ result: _, ...input }: Input & { result: unknown }) =>
          box.call({ hook, key, input, subject: subjectOf(hook, input) }) as Promise<never>,
      ]),
    );
  const reviewed = (hook: 'admit' | 'defaultPreset') => (input: AdmitInput | DefaultInput) => {
    const { at, ...data } = input;
    return box.call({ hook, key: '', input: data, at: at('x').slice(0, -1) }) as Promise<never>;
  };
  return {
    kinds: taps.kinds as KindDefinition[],
    ...(taps.admit ? { admit: reviewed('admit') } : {}),
    ...(taps.defaultPreset ? { defaultPreset: reviewed('defaultPreset') } : {}),
    attachDisk: keyed('attachDisk', taps.attachDisk),
    attachNetwork: { sources: keyed('sources', taps.sources), bindings: keyed('bindings', taps.bindings) },
    prepareDomain: Object.fromEntries(
      taps.prepareDomain.map((stage) => [
        stage as Stage,
        async ({ vmi, facts, disks, nics }: PrepareInput, plan: PlanDraft) => {
          const domain = plan.domain.root as PrepareData['domain'];
          const input: PrepareData = { vmi, facts, disks, nics, domain, overheadSoFar: plan.overheadSoFar() };
          const writes = await box.call({ hook: 'prepareDomain', key: stage, input, subject: 'domain' });
          if (!Array.isArray(writes)) throw new TypeError('its process gives no list of writes');
          replay(writes as Write[], plan);
        },
      ]),
    ),
  };
}

function subjectOf(hook: string, input: object): string {
  const { volume, interface: nic } = input as { volume?: { name: string }; interface?: { name: string } };
  return hook === 'attachDisk' ? `disk/${volume?.name ?? ''}` : `nic/${nic?.name ?? ''}`;
}

/** The tap's name, as the host has it. */
function hookOf({ hook, key }: Omit<Call, 'id'>): string {
  if (hook === 'sources' || hook === 'bindings') return `attachNetwork.${hook.slice(0, -1)}.${key}`;
  return key === '' ? hook : `${hook}.${key}`;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

/** The process, started again when it has ended, and the calls that wait for it. */
class Box {
  readonly #o: IsolatedOptions;
  readonly #waiting = new Map<number, Waiting>();
  #child: { readonly process: ChildProcess; readonly ready: Promise<Declaration> } | undefined;
  #calls = 0;

  constructor(options: IsolatedOptions) {
    this.#o = options;
  }

  declaration(): Promise<Declaration> {
    return (this.#child ??= this.#start()).ready;
  }

  /** The answer of a tap. Rejects when it is late (the process is killed then), failed, or its process ended. */
  call(call: Omit<Call, 'id'>): Promise<unknown> {
    const child = (this.#child ??= this.#start());
    const id = ++this.#calls;
    const { name, timeoutMs } = this.#o;
    return new Promise((resolve, reject) => {
      // Before the host gives up, whose next call would come to a process that is stuck.
      const late = (): void =>
        this.#end(child.process, fail('VL_TAP_TIMEOUT', { hook: hookOf(call), plugin: name, ms: timeoutMs }));
      const timer = setTimeout(late, timeoutMs * HEAD_START);
      this.#waiting.set(id, { resolve, reject, timer });
      const failed = (error: Error): void => this.#settle(id, (waiting) => waiting.reject(error));
      child.ready.then(() => child.process.send({ id, ...call }, (error) => error && failed(error)), failed);
    });
  }

  #start(): { process: ChildProcess; ready: Promise<Declaration> } {
    const { url, options, readable, name } = this.#o;
    const child = fork(CHILD, [], {
      execArgv: [
        '--permission',
        ...readable.map((folder) => `--allow-fs-read=${folder}`),
        `--max-old-space-size=${MEMORY}`,
        '--disable-warning=ExperimentalWarning',
      ],
      // Neither the platform's environment nor its streams are the plugin's.
      env: {},
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
    });
    // The platform ends when it is told to, whatever plugins do.
    child.unref();
    child.channel?.unref();
    const ready = new Promise<Declaration>((resolve, reject) => {
      const unusable = (cause: string): void => {
        reject(fail('VL_PLUGIN_LOAD', { plugin: name, module: url, cause }));
        this.#end(child, new Error(cause));
      };
      const timer = setTimeout(() => unusable(`its process was not ready in ${START_MS} ms`), START_MS);
      child.on('message', (message: Message) => {
        if (message.is === 'ready') resolve(message.declaration);
        else if (message.is === 'unusable') unusable(message.problem);
        else if (message.is === 'answer') this.#settle(message.id, ({ resolve }) => resolve(message.value));
        else if (message.is === 'failure') this.#settle(message.id, ({ reject }) => reject(new Error(message.problem)));
        if (message.is === 'ready' || message.is === 'unusable') clearTimeout(timer);
      });
      child.once('error', (error) => unusable(error.message));
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        unusable(`its process ended (${signal ?? `exit code ${code}`})`);
      });
    });
    ready.catch(() => undefined);
    const start: Start = { url, options };
    child.send(start);
    return { process: child, ready };
  }

  #settle(id: number, use: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    use(waiting);
  }

  /** The process is done with: what waits for it fails, and the next call starts another. */
  #end(child: ChildProcess, error: Error): void {
    if (this.#child?.process !== child) return;
    this.#child = undefined;
    child.kill('SIGKILL');
    for (const id of [...this.#waiting.keys()]) this.#settle(id, ({ reject }) => reject(error));
  }
}
