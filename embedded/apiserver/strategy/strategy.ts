// What a kind adds to the common path: defaults, rules and side conditions of its own. Most kinds add nothing.
import type { KubeObject } from '../../../core/kube/objects.ts';
import type { Store } from '../../store/store.ts';
import type { Registry } from '../kinds/registry.ts';
import type { Cause } from '../status.ts';
import type { User } from '../user.ts';

export interface StrategyContext {
  store: Store;
  registry: Registry;
  user: User;
}

export interface Strategy {
  /** Fills in what the server decides: runs before admission and again after it, so it must be idempotent. */
  prepare?: (object: KubeObject, old: KubeObject | undefined, context: StrategyContext) => KubeObject;
  /** Faults beyond the schema. */
  validate?: (object: KubeObject, old: KubeObject | undefined, context: StrategyContext) => Cause[];
}
