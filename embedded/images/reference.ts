// Reads image references: registry, repository, tag and digest, with the defaults every client has.

export interface ImageReference {
  registry: string;
  repository: string;
  tag?: string;
  digest?: string;
}

export class ImageError extends Error {
  override name = 'ImageError';
  /** The waiting reason Kubernetes shows. */
  reason: 'InvalidImageName' | 'ErrImagePull' | 'ErrImageNeverPull' | 'ImagePullBackOff';

  constructor(reason: ImageError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const REGISTRY = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;

/** Throws ImageError InvalidImageName. */
export function parseReference(text: string): ImageReference {
  const invalid = () =>
    new ImageError(
      'InvalidImageName',
      `Failed to apply default image tag "${text}": couldn't parse image name "${text}": invalid reference format`,
    );
  const [beforeDigest = '', digest, ...rest] = text.split('@');
  if (rest.length > 0 || (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest))) throw invalid();
  const colon = beforeDigest.lastIndexOf(':');
  const hasTag = colon > beforeDigest.lastIndexOf('/');
  const tag = hasTag ? beforeDigest.slice(colon + 1) : undefined;
  const name = hasTag ? beforeDigest.slice(0, colon) : beforeDigest;
  if (tag !== undefined && !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(tag)) throw invalid();
  const [first = '', ...others] = name.split('/');
  const named = others.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const registry = named ? first : 'docker.io';
  const path = named ? others.join('/') : name;
  const repository = registry === 'docker.io' && !path.includes('/') ? `library/${path}` : path;
  if (!REGISTRY.test(registry) || !NAME.test(repository)) throw invalid();
  return {
    registry,
    repository,
    ...(digest !== undefined ? { digest } : { tag: tag ?? 'latest' }),
    ...(digest !== undefined && tag !== undefined && { tag }),
  };
}

/** "registry/repository", without tag or digest. */
export function repositoryName(ref: ImageReference): string {
  return `${ref.registry}/${ref.repository}`;
}

/** Kubernetes' default: Always for :latest and for no tag, IfNotPresent else. */
export function defaultPullPolicy(text: string): 'Always' | 'IfNotPresent' {
  try {
    const ref = parseReference(text);
    return ref.digest === undefined && ref.tag === 'latest' ? 'Always' : 'IfNotPresent';
  } catch {
    return 'IfNotPresent';
  }
}
