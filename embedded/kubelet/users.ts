// Who a container runs as: the pod's wishes, else the image's USER, looked up in the image's own passwd and group files.
import { readIfThere } from './files.ts';
import { openInRoot } from './root-path.ts';
import type { PodSecurityContext, SecurityContext } from './pod-types.ts';

export interface ContainerUser {
  uid: number;
  gid: number;
  additionalGids: number[];
}

export class UserError extends Error {
  override name = 'UserError';
}

/** `imageUser` is the image's USER: name or number, optionally ":group". Throws UserError with kubelet's wording. */
export async function resolveUser(
  rootfs: string,
  imageUser: string | undefined,
  pod: PodSecurityContext = {},
  container: SecurityContext = {},
): Promise<ContainerUser> {
  const [passwd, group] = await Promise.all([table(rootfs, 'etc/passwd'), table(rootfs, 'etc/group')]);
  const [imageName = '', imageGroup = ''] = (imageUser ?? '').split(':');
  const wished = container.runAsUser ?? pod.runAsUser;
  const name = wished !== undefined ? String(wished) : imageName || '0';
  const entry = passwd.find((row) => row[0] === name) ?? passwd.find((row) => row[2] === name);
  const uid = numeric(name) ?? numeric(entry?.[2]);
  if (uid === undefined) throw new UserError(`unable to find user ${name}: no matching entries in passwd file`);
  const nonRoot = container.runAsNonRoot ?? pod.runAsNonRoot ?? false;
  if (nonRoot && uid === 0) {
    throw new UserError(
      wished === 0
        ? "container's runAsUser breaks non-root policy"
        : 'container has runAsNonRoot and image will run as root',
    );
  }
  const groupRow = group.find((row) => row[0] === imageGroup);
  const wishedGid = container.runAsGroup ?? pod.runAsGroup;
  const imageGid =
    wished === undefined && imageGroup !== '' ? (numeric(imageGroup) ?? numeric(groupRow?.[2])) : undefined;
  if (wished === undefined && imageGroup !== '' && imageGid === undefined) {
    throw new UserError(`unable to find group ${imageGroup}: no matching entries in group file`);
  }
  const gid = wishedGid ?? imageGid ?? numeric(entry?.[3]) ?? 0;
  const memberOf = entry?.[0]
    ? group.filter((row) => (row[3] ?? '').split(',').includes(entry[0] ?? '')).map((row) => numeric(row[2]) ?? 0)
    : [];
  const additionalGids = new Set([...memberOf, ...(pod.supplementalGroups ?? [])]);
  if (pod.fsGroup !== undefined) additionalGids.add(pod.fsGroup);
  additionalGids.delete(gid);
  return { uid, gid, additionalGids: [...additionalGids] };
}

async function table(rootfs: string, file: string): Promise<string[][]> {
  const resolved = await openInRoot(rootfs, file);
  const text = resolved === undefined ? undefined : await readIfThere(resolved);
  return (text ?? '')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(':'));
}

function numeric(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : undefined;
}
