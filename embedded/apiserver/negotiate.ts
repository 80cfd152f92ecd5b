// Which shape of answer a client asks for in its Accept header.
import { ApiError } from './status.ts';

export type Shape = 'plain' | 'table' | 'partial';

interface Offer {
  type: string;
  parameters: Map<string, string>;
}

function offers(accept: string): Offer[] {
  return accept.split(',').map((part) => {
    const [type = '', ...rest] = part.split(';').map((piece) => piece.trim());
    return { type, parameters: new Map(rest.map((pair) => pair.split('=', 2) as [string, string])) };
  });
}

const JSON_TYPES = new Set(['application/json', '*/*', 'application/*', '']);

/** The first shape of the header that we can make: JSON only, meta.k8s.io/v1 tables and partial objects. */
export function shapeOf(accept: string): Shape {
  for (const { type, parameters } of offers(accept)) {
    if (!JSON_TYPES.has(type)) continue;
    const as = parameters.get('as');
    if (as === undefined) return 'plain';
    const isMeta = parameters.get('g') === 'meta.k8s.io' && parameters.get('v') === 'v1';
    if (isMeta && as === 'Table') return 'table';
    if (isMeta && (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')) return 'partial';
  }
  // Clients that name only shapes we lack (protobuf, YAML, v1beta1 tables) still read plain JSON, as the type says.
  return 'plain';
}

/** The discovery version that a client prefers, undefined for the plain group list. */
export function aggregatedDiscovery(accept: string): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of offers(accept)) {
    if (type !== 'application/json' || parameters.get('as') !== 'APIGroupDiscoveryList') continue;
    const version = parameters.get('v');
    if (version === 'v2' || version === 'v2beta1') return version;
  }
  return undefined;
}

/** @throws 415 for a body that we cannot read. */
export function bodyType(contentType: string | undefined): string {
  const type = (contentType ?? 'application/json').split(';')[0]?.trim() ?? '';
  if (!/(json|yaml|protobuf)$/.test(type)) {
    const message = `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf`;
    throw new ApiError(415, 'UnsupportedMediaType', message);
  }
  return type;
}
