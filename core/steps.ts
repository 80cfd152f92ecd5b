// Node steps: what touches a machine, as data in the plan and as actions in the plugins.
import type { Logger } from 'pino';
import type { Json, Owner, Vmi } from './types.ts';

/** A step of a plan. Pure data, so that a journal can revert it when the VM's object and its plan are long gone. */
export interface Step {
  /** Full id, unique in the plan: `<plugin>/<subject>/<id>`. */
  readonly id: string;
  readonly plugin: string;
  /** The name of one of the plugin's actions. */
  readonly action: string;
  readonly args: { readonly [key: string]: Json };
  /** `Ignore`: a failure is told and the VM goes on without the step. */
  readonly failurePolicy?: 'Ignore';
}

/** Steps of one disk, NIC or tap: run one after the other. Chains run beside each other. */
export interface Chain {
  /**
   * `disk`, `network`: run side by side, before the domain is defined; `domain`: after those. `started`: once the guest
   * runs; `stopping`: when it is told to end, before it is.
   */
  readonly phase: 'disk' | 'network' | 'domain' | 'started' | 'stopping';
  readonly subject: string;
  readonly steps: readonly Step[];
}

/** A step as a tap writes it down; the plan adds plugin and subject. */
export interface StepDraft {
  readonly id: string;
  readonly action: string;
  readonly args?: { readonly [key: string]: Json };
  /** When: before the guest starts unless told. */
  readonly at?: 'started' | 'stopping';
  /** What a failure does to the VM: `Fail` unless told. */
  readonly failurePolicy?: 'Fail' | 'Ignore';
}

/** What is done to a finished document: one of the plugin's rewrites gets its text, and gives it back. */
export interface Rewrite extends Step {
  /** `domain`: libvirt's XML before it is defined; else what a step hands over by this name. */
  readonly of: string;
  readonly by: Owner;
}

/** A rewrite as a tap writes it down. */
export interface RewriteDraft extends Omit<StepDraft, 'at'> {
  /** `domain` unless told. */
  readonly of?: string;
  /** What of the manifest or of the cluster asks for it; the changes that it makes are signed with it. */
  readonly field?: string;
}

export interface ExecOptions {
  /**
   * `pod`: in the launcher container's mount, network and pid namespaces, as its user, without capabilities.
   * `net`: the agent's own binaries, as root, in the pod's network namespace.
   * `daemon`: as `net`, left running in the background, in the pod's pid namespace, so that it ends with the pod.
   * `agent`: on the agent's side, in no namespace of the pod's.
   */
  readonly in: 'pod' | 'net' | 'daemon' | 'agent';
  readonly stdin?: string | Uint8Array;
  /** Milliseconds; 30,000 unless told. */
  readonly deadlineMs?: number;
}

/** The launcher pod as steps see it. Every path is the container's own, and never leaves the container by a symlink. */
export interface Sandbox {
  /** Process id of the launcher's PID 1 as the host counts. */
  readonly pid: number;
  readonly user: { readonly uid: number; readonly gid: number };
  /**
   * Runs a program by its arguments (no shell). An exit other than 0 is an Error with stderr in its message and a number
   * `exitCode`; an error without one (pod gone, deadline, abort) says nothing about the program's verdict.
   */
  exec(argv: readonly string[], options: ExecOptions): Promise<{ stdout: Buffer; stderr: string }>;
  readFile(path: string): Promise<Buffer>;
  /** Writes a file as the container's user, its folders made as needed. */
  writeFile(path: string, data: string | Uint8Array, mode?: number): Promise<void>;
  /** Removes a file or folder; nothing happens if it is not there. */
  remove(path: string): Promise<void>;
  /** An empty folder on the agent's side, removed after the step. */
  scratch(): Promise<string>;
  /**
   * A path on the agent's side that leads to a unix socket in the container, for connect(2), until the step is over.
   * Rejects for anything but a socket of the container's user.
   */
  socket(path: string): Promise<string>;
}

export interface StepContext {
  readonly vmi: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** The VMI as the agent last saw it; undefined when it is gone. */
  readonly object?: Vmi | undefined;
  readonly sandbox: Sandbox;
  /**
   * Hands a document over to the rewrites that plugins asked for `of` it, and gives what they made of it. Throws
   * VL_REWRITE_FAILED.
   */
  readonly rewrite: (of: string, text: string) => Promise<string>;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/**
 * What a step does. Both ways are idempotent: either may run again after a crash in the middle.
 * What `apply` returns is kept in the journal and becomes `facts.steps[<full id>]` of the next plan. `Args` is what the
 * plugin's taps give it, as a type alias: nothing checks it on the way but JSON.
 */
export interface Action<Args = { readonly [key: string]: Json }> {
  apply(context: StepContext, args: Args): Promise<Json | void>;
  /** `sandbox` is undefined when the pod is gone, and with it all that lived inside. */
  revert?(
    context: Omit<StepContext, 'sandbox' | 'rewrite'> & { sandbox: Sandbox | undefined },
    args: Args,
    result: Json | undefined,
  ): Promise<void>;
}

/** What a rewrite does: gives the text back as it shall be. That of the domain runs again each time that it is defined. */
export type Rewriter = (
  context: Omit<StepContext, 'rewrite'>,
  args: { readonly [key: string]: Json },
  text: string,
) => Promise<string>;

/** A plugin's node side, by the names that its steps and rewrites give. */
export interface NodeSide {
  readonly actions: { readonly [name: string]: Action };
  readonly rewrites?: { readonly [name: string]: Rewriter };
}
