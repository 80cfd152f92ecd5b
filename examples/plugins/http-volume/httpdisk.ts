// The field `httpDisk`, what a step gets of it, and what is wrong with a URL.

export const HTTP_DISK = {
  type: 'object',
  additionalProperties: false,
  required: ['url'],
  properties: {
    url: { type: 'string', description: 'A raw or qcow2 image; the server must serve ranges.' },
    sha256: {
      type: 'string',
      pattern: '^[0-9a-f]{64}$',
      description: 'Of the whole file, as the server has it. It is read once, before the guest starts.',
    },
    secretRef: {
      type: 'object',
      additionalProperties: false,
      required: ['name'],
      properties: { name: { type: 'string', minLength: 1, maxLength: 253 } },
      description: 'A Secret of type kubernetes.io/basic-auth, for servers that ask for user and password.',
    },
  },
} as const;

/** Arguments of the step. They are kept in the journal: of the secret only where the pod has it. */
export type Served = {
  readonly url: string;
  readonly sha256: string | null;
  /** Folder in the pod with `username` and `password`. */
  readonly secret: string | null;
  /** Folder in the pod for socket and pid file. Its length counts: a socket's path has 107 bytes at most. */
  readonly directory: string;
  /** qcow2 on top of what is served: what the guest writes. */
  readonly overlay: string;
};

export const socketOf = (directory: string): string => `${directory}/socket`;

export function problemOf(url: string): string | undefined {
  const parsed = URL.parse(url);
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol)) return 'must be an http or https URL';
  // It would stand in the VMI, in the pod and in process lists.
  if (parsed.username !== '' || parsed.password !== '') return 'must not hold a user name or password: use secretRef';
  return undefined;
}
