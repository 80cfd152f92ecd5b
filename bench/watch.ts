// Waits for states of VMIs, seen by watch: the moment counts, not the next look.
import type { KubeClient } from '../core/kube/client.ts';
import { Informer } from '../core/kube/informer.ts';
import type { Vmi } from '../core/types.ts';
import { VMIS } from '../core/vmi-kind.ts';

const DEADLINE_MS = 120_000;

export class VmiWatch {
  readonly #informer: Informer<Vmi>;

  private constructor(informer: Informer<Vmi>) {
    this.#informer = informer;
  }

  static async start(client: KubeClient): Promise<VmiWatch> {
    const informer = new Informer<Vmi>(client, VMIS);
    informer.start();
    await informer.synced();
    return new VmiWatch(informer);
  }

  /** The moment (performance.now()) at which the VMI is in `phase`, or gone. */
  until(name: string, phase: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        off();
        reject(new Error(`${name} is not ${phase} after ${DEADLINE_MS / 1000} s: ${this.#phase(name)}`));
      }, DEADLINE_MS);
      const look = (): void => {
        if (this.#phase(name) !== phase) return;
        clearTimeout(timer);
        off();
        resolve(performance.now());
      };
      const off = this.#informer.on(look);
      look();
    });
  }

  #phase(name: string): string {
    const vmi = this.#informer.get('default', name);
    return vmi ? (vmi.status?.phase ?? '') : 'gone';
  }

  stop(): Promise<void> {
    return this.#informer.stop();
  }
}
