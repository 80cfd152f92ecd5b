// One VMI on this node: its container, its connection to libvirt, its journal, and what is being done to it.
import { setTimeout as sleep } from 'node:timers/promises';
import { connectIn } from './container-path.ts';
import { isAlive } from './container.ts';
import type { ContainerProcess } from './container.ts';
import { Guest } from './guest.ts';
import type { Journal } from './journal.ts';
import { ReconnectingConnection } from './libvirt/index.ts';
import type { Connection } from './libvirt/index.ts';

const LIBVIRT_SOCKET = '/var/run/libvirt/libvirt-sock';
const LIBVIRT_URI = 'qemu:///session';
/** How long the launcher may take to end once it has nothing left to do, in ms. */
const LAUNCHER_END_MS = 10_000;
/** How long a libvirtd may be away before that is an error, and how often its container is looked at meanwhile, in ms. */
const LIBVIRT_MS = 15_000;
const LOOK_MS = 250;
/** How long a libvirtd takes to find its guests again, in ms; generously. */
const SETTLE_MS = 10_000;
/** How often the guest's agent is asked, in ms. Only what the guest alone knows is polled. */
const AGENT_POLL_MS = 60_000;

export class Instance {
  readonly container: ContainerProcess;
  readonly journal: Journal;
  readonly #libvirt: ReconnectingConnection;
  readonly #wake: () => void;
  #agentPoll: NodeJS.Timeout | undefined;
  #upAt = 0;
  /** Whether what the guest's agent knows is to be asked for (again). */
  agentDue = true;
  /** When the power button was last pressed, by Date.now(). */
  pressedAt: number | undefined;

  /** `wake` is called whenever something happened that the reconciler should look at. */
  constructor(container: ContainerProcess, journal: Journal, wake: () => void) {
    this.container = container;
    this.journal = journal;
    this.#wake = wake;
    this.#libvirt = new ReconnectingConnection({
      path: LIBVIRT_SOCKET,
      dial: () => connectIn(container, LIBVIRT_SOCKET),
      uri: LIBVIRT_URI,
      events: ['lifecycle', 'agentLifecycle'],
      onUp: () => {
        this.#upAt = Date.now();
        wake();
      },
      onDown: wake,
    });
    this.#libvirt.events.on('lifecycle', wake);
    this.#libvirt.events.on('agentLifecycle', () => {
      this.agentDue = true;
      wake();
    });
  }

  /** Waits for a libvirtd that (re)starts, not for one whose container has ended. Rejects with ConnectionClosedError. */
  async connection(signal?: AbortSignal): Promise<Connection> {
    for (const deadline = Date.now() + LIBVIRT_MS; ;) {
      try {
        return await this.#libvirt.connection({ timeoutMs: LOOK_MS, ...(signal ? { signal } : {}) });
      } catch (error) {
        if (signal?.aborted === true || Date.now() > deadline || !(await this.isAlive())) throw error;
      }
    }
  }

  /** The guest, if libvirt has one. Rejects as connection() does. */
  async guest(signal?: AbortSignal): Promise<Guest | undefined> {
    return Guest.find(await this.connection(signal));
  }

  /**
   * True for a while after libvirtd came up: it is still finding its guest again, and tells no event of one that ends
   * meanwhile.
   */
  get isSettling(): boolean {
    return Date.now() - this.#upAt < SETTLE_MS;
  }

  /** Asks the guest's agent again from time to time while it is there. */
  pollAgent(connected: boolean): void {
    if (connected === (this.#agentPoll !== undefined)) return;
    clearInterval(this.#agentPoll);
    this.#agentPoll = connected
      ? setInterval(() => {
          this.agentDue = true;
          this.#wake();
        }, AGENT_POLL_MS)
      : undefined;
  }

  isAlive(): Promise<boolean> {
    return isAlive(this.container);
  }

  /** Ends the launcher, whose guest has ended, so that its pod completes. Kills what will not go. */
  async endLauncher(signal: AbortSignal): Promise<void> {
    const deadline = Date.now() + LAUNCHER_END_MS;
    let sent: NodeJS.Signals | undefined;
    while (await this.isAlive()) {
      const wanted = Date.now() < deadline ? 'SIGTERM' : 'SIGKILL';
      if (wanted !== sent) kill(this.container.pid, wanted);
      sent = wanted;
      await sleep(20, undefined, { signal });
    }
  }

  /** Kills the container with all that is in it: for a guest that cannot be stopped in a better way. */
  async kill(): Promise<void> {
    if (await this.isAlive()) kill(this.container.pid, 'SIGKILL');
  }

  /** Stops a guest that nobody wants any more, as well as that can be done. */
  async destroyGuest(signal: AbortSignal): Promise<void> {
    if (!(await this.isAlive())) return;
    const guest = await this.guest(signal).catch(() => undefined);
    await guest?.destroy();
  }

  async close(): Promise<void> {
    clearInterval(this.#agentPoll);
    await this.#libvirt.close();
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
