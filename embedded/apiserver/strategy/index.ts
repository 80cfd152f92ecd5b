// Which kinds have a strategy of their own.
import { storageKey } from '../kinds/kind.ts';
import {
  apiServiceStrategy,
  claimStrategy,
  configMapStrategy,
  namespaceStrategy,
  secretStrategy,
  serviceStrategy,
  volumeStrategy,
  webhookStrategy,
} from './core.ts';
import { crdStrategy } from './crds.ts';
import { podStrategy } from './pods.ts';
import { roleBindingStrategy, roleStrategy } from './rbac.ts';
import type { Strategy } from './strategy.ts';

const RBAC = 'rbac.authorization.k8s.io';
const WEBHOOKS = 'admissionregistration.k8s.io';

const STRATEGIES = new Map<string, Strategy>([
  [storageKey('', 'namespaces'), namespaceStrategy],
  [storageKey('', 'pods'), podStrategy],
  [storageKey('', 'services'), serviceStrategy],
  [storageKey('', 'secrets'), secretStrategy],
  [storageKey('', 'configmaps'), configMapStrategy],
  [storageKey('', 'persistentvolumeclaims'), claimStrategy],
  [storageKey('', 'persistentvolumes'), volumeStrategy],
  [storageKey('apiextensions.k8s.io', 'customresourcedefinitions'), crdStrategy],
  [storageKey('apiregistration.k8s.io', 'apiservices'), apiServiceStrategy],
  [storageKey(WEBHOOKS, 'mutatingwebhookconfigurations'), webhookStrategy],
  [storageKey(WEBHOOKS, 'validatingwebhookconfigurations'), webhookStrategy],
  [storageKey(RBAC, 'roles'), roleStrategy],
  [storageKey(RBAC, 'clusterroles'), roleStrategy],
  [storageKey(RBAC, 'rolebindings'), roleBindingStrategy],
  [storageKey(RBAC, 'clusterrolebindings'), roleBindingStrategy],
]);

const NONE: Strategy = {};

export function strategyOf(storage: string): Strategy {
  return STRATEGIES.get(storage) ?? NONE;
}
