import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { el } from '../core/index.ts';
import type { Action, Json, Rewriter, Step, Vmi } from '../core/index.ts';
import type { Chain, Rewrite } from '../core/steps.ts';
import { Journal } from './journal.ts';
import { StepRunner } from './steps.ts';

const OWNER = { namespace: 'default', name: 'vm', uid: 'uid-1', containerId: 'runc://none-such-container' };
const CONTAINER = { pid: process.pid, startTime: '0', uid: 107, gid: 107 };

let dir: string;
/** What was done, in order. */
let done: string[];
let actions: Record<string, Action>;
let rewrites: Record<string, Rewriter>;
let runner: StepRunner;
const signal = new AbortController().signal;
const journals = () => join(dir, 'journal');
const open = () => Journal.open(journals(), OWNER);

const step = (id: string, action = 'note', args: Record<string, Json> = {}): Step => ({
  id,
  plugin: 'p',
  action,
  args,
});
const chain = (phase: Chain['phase'], ...steps: Step[]): Chain => ({ phase, subject: steps[0]?.id ?? '', steps });

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vl-steps-'));
  done = [];
  actions = {
    note: {
      apply: async (_context, args) => {
        done.push(`+${String(args['n'])}`);
        return { n: args['n'] ?? null };
      },
      revert: async (_context, args, result) =>
        void done.push(`-${String(args['n'])}${result === undefined ? '?' : ''}`),
    },
    fail: {
      apply: async () => {
        done.push('+fail');
        throw new Error('no luck');
      },
      revert: async (_context, _args, result) => void done.push(`-fail${result === undefined ? '?' : ''}`),
    },
  };
  rewrites = {};
  runner = new StepRunner({
    action: async (_plugin, name) => actions[name] as Action,
    rewriter: async (_plugin, name) => rewrites[name] as Rewriter,
    scratchDir: join(dir, 'scratch'),
    log: pino({ level: 'silent' }),
  });
});
afterEach(() => rmSync(dir, { recursive: true }));

const n = (value: string) => step(value, 'note', { n: value });

describe('the step runner', () => {
  it('applies chains side by side, steps in order, and reverts all in reverse', async () => {
    const journal = await open();
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    // One chain waits for the other: only side by side can they end.
    actions['wait'] = { apply: async () => (await gate, void done.push('+waited')) };
    actions['open'] = { apply: async () => (release(), void done.push('+opened')) };
    await runner.apply(
      journal,
      [chain('disk', step('w', 'wait'), n('a')), chain('network', step('o', 'open'), n('b'))],
      CONTAINER,
      signal,
    );
    expect(done.indexOf('+waited')).toBeLessThan(done.indexOf('+a'));
    expect(journal.results).toEqual({ w: null, o: null, a: { n: 'a' }, b: { n: 'b' } });
    const applied = done.filter((each) => /^\+[ab]$/.test(each));
    done = [];
    expect(await runner.revert(journal, signal)).toBe(true);
    expect(done).toEqual(applied.toReversed().map((each) => each.replace('+', '-')));
    expect(journal.toRevert).toEqual([]);
  });

  it('names plugin and step of a failure, lets the other chains end, and applies only the rest later', async () => {
    const journal = await open();
    const chains = [chain('disk', n('a'), step('bad', 'fail'), n('c')), chain('network', n('d'))];
    await expect(runner.apply(journal, chains, CONTAINER, signal)).rejects.toMatchObject({
      code: 'VL_STEP_FAILED',
      message: 'step bad of plugin "p" failed: no luck',
    });
    expect(done.toSorted()).toEqual(['+a', '+d', '+fail']);
    actions['fail'] = { apply: async () => void done.push('+better') };
    done = [];
    await runner.apply(journal, chains, CONTAINER, signal);
    expect(done).toEqual(['+better', '+c']);
  });

  it('reverts from the journal alone, what was begun as well as what was done', async () => {
    const journal = await open();
    const chains = [chain('disk', n('a'), n('b'), step('bad', 'fail'))];
    await runner.apply(journal, chains, CONTAINER, signal).catch(() => undefined);
    done = [];
    // Another life of the agent, with nothing but the file.
    const [again] = await Journal.loadAll(journals());
    expect(again?.owner).toEqual(OWNER);
    expect(await runner.revert(again as Journal, signal)).toBe(true);
    expect(done).toEqual(['-fail?', '-b', '-a']);
    done = [];
    const [third] = await Journal.loadAll(journals());
    expect(await runner.revert(third as Journal, signal)).toBe(true);
    expect(done).toEqual([]);
  });

  it('goes on when a step cannot be reverted, and tries that one again', async () => {
    const journal = await open();
    let stubborn = true;
    actions['stubborn'] = {
      apply: async () => undefined,
      revert: async () => {
        if (stubborn) throw new Error('not now');
        done.push('-stubborn');
      },
    };
    await runner.apply(journal, [chain('disk', n('a'), step('s', 'stubborn'))], CONTAINER, signal);
    done = [];
    expect(await runner.revert(journal, signal)).toBe(false);
    expect(done).toEqual(['-a']);
    stubborn = false;
    expect(await runner.revert(journal, signal)).toBe(true);
    expect(done).toEqual(['-a', '-stubborn']);
  });

  it('removes scratch folders, whatever came of the step', async () => {
    const journal = await open();
    const seen: string[] = [];
    actions['scratch'] = {
      apply: async ({ sandbox }) => {
        seen.push(await sandbox.scratch());
        throw new Error('no luck');
      },
    };
    await runner.apply(journal, [chain('disk', step('s', 'scratch'))], CONTAINER, signal).catch(() => undefined);
    expect(seen).toHaveLength(1);
    expect(readdirSync(join(dir, 'scratch'))).toEqual([]);
  });

  it('goes on without a step that may fail, forwards and back, and does it once', async () => {
    const journal = await open();
    actions['shaky'] = {
      apply: async () => {
        done.push('+shaky');
        throw new Error('no luck');
      },
      revert: async () => {
        throw new Error('no luck either');
      },
    };
    const chains = [chain('disk', { ...step('s', 'shaky'), failurePolicy: 'Ignore' }, n('a'))];
    await runner.apply(journal, chains, CONTAINER, signal);
    await runner.apply(journal, chains, CONTAINER, signal);
    expect(done).toEqual(['+shaky', '+a']);
    expect(await runner.revert(journal, signal)).toBe(true);
    expect(journal.toRevert).toEqual([]);
  });

  it('does nothing once it is told to stop', async () => {
    const aborted = AbortSignal.abort(new Error('stopping'));
    await expect(runner.apply(await open(), [chain('disk', n('a'))], CONTAINER, aborted)).rejects.toThrow('stopping');
    expect(done).toEqual([]);
  });
});

describe('a rewrite', () => {
  const by = { plugin: 'p', tap: 'prepareDomain.main', field: 'Plugin/x' };
  const domain = () => el('domain', { type: 'kvm' }, el('name', {}, 'a'));
  const vmi = { metadata: { name: 'vm' }, spec: { domain: {} } } as Vmi;
  const rewrite = (more: Partial<Rewrite> = {}): Rewrite => ({
    ...step('p/rewrite/r', 'r', { n: 1 }),
    of: 'domain',
    by,
    ...more,
  });
  const run = async (one: Rewrite) => runner.rewrite(await open(), one, domain(), CONTAINER, signal, vmi);

  it('is given the whole domain, and what it changed is signed by it', async () => {
    rewrites['r'] = async ({ object }, args, xml) => {
      expect(object).toBe(vmi);
      expect(args).toEqual({ n: 1 });
      return xml.replace('</name>', '</name><title>t</title>');
    };
    expect(await run(rewrite())).toEqual({
      domain: expect.objectContaining({
        children: [
          expect.objectContaining({ tag: 'name', by: undefined }),
          expect.objectContaining({ tag: 'title', text: 't', by }),
        ],
      }),
      changes: ['title added'],
    });
  });

  it.each([
    ['throws', async () => Promise.reject(new Error('no luck')), 'no luck'],
    ['gives malformed XML', async () => '<domain>', 'not a well-formed document'],
    ['gives something else', async () => '<network/>', 'its root is <network>, not <domain>'],
    ['gives nothing', async () => '', 'not a well-formed document'],
  ] satisfies [string, Rewriter, string][])('that %s is an error that names plugin and hook', async (_, how, cause) => {
    rewrites['r'] = how;
    await expect(run(rewrite())).rejects.toMatchObject({
      code: 'VL_REWRITE_FAILED',
      message: expect.stringMatching(/^rewrite p\/rewrite\/r \(Plugin\/x\) of plugin "p" of the domain failed: /),
    });
    await expect(run(rewrite())).rejects.toThrow(cause);
    // And where it may fail, it is told.
    expect(await run(rewrite({ failurePolicy: 'Ignore' }))).toEqual({
      error: expect.objectContaining({ code: 'VL_REWRITE_FAILED' }),
    });
  });
});

describe('a document of a step', () => {
  it('goes through the rewrites of its name, in order; one that may fail is passed by', async () => {
    const by = { plugin: 'q', tap: 'prepareDomain.main' };
    const journal = await open();
    const made: string[] = [];
    actions['make'] = { apply: async (context) => void made.push(await context.rewrite('letter', 'a')) };
    rewrites['add'] = async (_, { n: what }, text) => text + String(what);
    rewrites['fail'] = async () => Promise.reject(new Error('no luck'));
    const rewrite = (id: string, action: string, of: string, more: Partial<Rewrite> = {}): Rewrite => ({
      ...{ ...step(id, action, { n: id }), of, by, ...more },
    });
    const asked = [
      rewrite('b', 'add', 'letter'),
      rewrite('x', 'add', 'domain'),
      rewrite('f', 'fail', 'letter', { failurePolicy: 'Ignore' }),
      rewrite('c', 'add', 'letter'),
    ];
    await runner.apply(journal, [chain('disk', step('m', 'make'))], CONTAINER, signal, undefined, asked);
    expect(made).toEqual(['abc']);
    const bad = [rewrite('f', 'fail', 'letter')];
    await expect(
      runner.apply(journal, [chain('disk', step('m2', 'make'))], CONTAINER, signal, undefined, bad),
    ).rejects.toThrow('step m2 of plugin "p" failed: rewrite f of plugin "p" of the letter failed: no luck');
  });
});

describe('a journal', () => {
  it("keeps the steps of the guest's later moments, the last plan's", async () => {
    const journal = await open();
    await journal.keepForLater([]);
    expect(readFileSync(join(journals(), 'uid-1.jsonl'), 'utf8')).not.toContain('later');
    await journal.keepForLater([chain('started', n('a')), chain('stopping', n('b'))]);
    await journal.keepForLater([chain('stopping', n('c'))]);
    const [again] = await Journal.loadAll(journals());
    expect(again?.later('started')).toEqual([]);
    expect(again?.later('stopping')).toEqual([chain('stopping', n('c'))]);
  });

  it('survives a line that was cut off', async () => {
    const journal = await open();
    await runner.apply(journal, [chain('disk', n('a'))], CONTAINER, signal);
    await journal.guestIs('starting');
    await journal.end({ phase: 'Failed', message: 'because' });
    const file = join(journals(), 'uid-1.jsonl');
    appendFileSync(file, '{"begun":{"id":"x","plu');
    const [again] = await Journal.loadAll(journals());
    expect(again?.results).toEqual({ a: { n: 'a' } });
    expect(again?.guest).toBe('starting');
    expect(again?.ended).toEqual({ phase: 'Failed', message: 'because' });
    expect(again?.toRevert.map((each) => each.step.id)).toEqual(['a']);
    // And what is written after it can be read.
    await again?.reverted('a');
    const [third] = await Journal.loadAll(journals());
    expect(third?.toRevert).toEqual([]);
  });

  it('is for the agent alone, and goes with remove()', async () => {
    const journal = await open();
    const file = join(journals(), 'uid-1.jsonl');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(journals()).mode & 0o777).toBe(0o700);
    expect(readFileSync(file, 'utf8')).toBe(`${JSON.stringify({ owner: OWNER })}\n`);
    await journal.remove();
    await journal.remove();
    expect(await Journal.loadAll(journals())).toEqual([]);
  });

  it('takes no name that leads elsewhere', async () => {
    await expect(Journal.open(journals(), { ...OWNER, uid: '../x' })).rejects.toThrow('is not a uid');
  });
});
