// CustomResourceDefinitions, generated from the kinds and slices of the enabled plugins.
import type { Host } from './host.ts';
import { CRDS, type KubeObject } from './kube/objects.ts';
import type { KindDefinition, Schema } from './plugin.ts';
import { VMI_KIND } from './vmi-kind.ts';

type Node = { [key: string]: unknown };

const TEMPLATE_MARK = 'x-virtloom-vmi-template';
const OPEN: Node = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/**
 * A structural schema in which nothing is pruned below the VMI's spec: an unknown field has to reach the webhook, which
 * refuses it by name, rather than vanish without a word.
 */
function open(node: Node): Node {
  const out: Node = {};
  for (const key in node) {
    if (key === 'properties') {
      out[key] = Object.fromEntries(
        Object.entries(node[key] as Node).map(([name, child]) => [name, open(child as Node)]),
      );
    } else if (key === 'items') out[key] = open(node[key] as Node);
    else if (key !== 'additionalProperties' || typeof node[key] === 'object') out[key] = node[key];
  }
  const isObject = out['type'] === 'object' || out['properties'] !== undefined;
  if (isObject && out['additionalProperties'] === undefined) out['x-kubernetes-preserve-unknown-fields'] = true;
  return out;
}

function vmiTemplate(spec: Node): Node {
  return {
    type: 'object',
    properties: { metadata: { ...OPEN, nullable: true }, spec },
  };
}

function fill(node: unknown, spec: Node): unknown {
  if (Array.isArray(node)) return node.map((one) => fill(one, spec));
  if (typeof node !== 'object' || node === null) return node;
  if ((node as Node)[TEMPLATE_MARK] === true) return vmiTemplate(spec);
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, fill(value, spec)]));
}

function crd(kind: KindDefinition, spec: unknown): KubeObject {
  const { group, plural, kind: name, namespaced } = kind.resource;
  const schema = {
    openAPIV3Schema: {
      type: 'object',
      required: ['spec'],
      properties: {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        metadata: { type: 'object' },
        spec,
        status: kind.status ? open(kind.status as Node) : OPEN,
      },
    },
  };
  const subresources = {
    ...(kind.statusSubresource ? { status: {} } : {}),
    ...(kind.scale ? { scale: kind.scale } : {}),
  };
  return {
    apiVersion: `${CRDS.group}/${CRDS.version}`,
    kind: CRDS.kind,
    metadata: { name: `${plural}.${group}`, labels: { 'app.kubernetes.io/managed-by': 'virtloom' } },
    spec: {
      group,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      names: {
        plural,
        singular: kind.singular,
        kind: name,
        listKind: `${name}List`,
        shortNames: kind.shortNames,
        categories: ['all'],
      },
      versions: kind.versions.map((version, index) => ({
        name: version.name,
        served: true,
        storage: index === 0,
        ...(version.deprecated === undefined ? {} : { deprecated: true, deprecationWarning: version.deprecated }),
        additionalPrinterColumns: kind.columns.map(({ jsonPath, ...column }) => ({ ...column, jsonPath })),
        schema,
        ...(Object.keys(subresources).length > 0 ? { subresources } : {}),
      })),
    },
  };
}

/** The CRDs of the VMI and of every kind that a plugin brings. */
export function crdsOf(host: Host): KubeObject[] {
  const spec = open(host.fields.spec as Node);
  return [VMI_KIND, ...host.kinds].map((kind) =>
    kind === VMI_KIND ? crd(kind, spec) : crd(kind, kind.spec ? fill(kind.spec as Schema, spec) : OPEN),
  );
}
