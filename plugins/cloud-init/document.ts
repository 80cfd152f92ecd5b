// The data of a disk as one document that other plugins may rewrite before the disk is made: KubeVirt's CloudInitData, as JSON.
import { type Kind, LAYOUTS } from './types.ts';

/** What rewrites of it are asked for by. */
export const DOCUMENT = 'cloudInit';

interface CloudInitData {
  DataSource: 'noCloud' | 'configDrive';
  NoCloudMetaData?: Record<string, unknown> | null;
  ConfigDriveMetaData?: Record<string, unknown> | null;
  UserData: string;
  NetworkData: string;
  VolumeName: string;
}

const text = (data: Uint8Array | undefined): string => Buffer.from(data ?? []).toString();

export function documentOf(kind: Kind, volume: string, files: ReadonlyMap<string, Uint8Array>): string {
  const { metaData, userData, networkData } = LAYOUTS[kind];
  const meta = text(files.get(metaData));
  const document: CloudInitData = {
    ...(kind === 'cloudInitConfigDrive'
      ? { DataSource: 'configDrive', ConfigDriveMetaData: JSON.parse(meta) as Record<string, unknown> }
      : { DataSource: 'noCloud', NoCloudMetaData: fromLines(meta) }),
    UserData: text(files.get(userData)),
    NetworkData: text(files.get(networkData)),
    VolumeName: volume,
  };
  return JSON.stringify(document);
}

/** The files of a document that came back. Throws an Error that names the volume where it is none. */
export function filesOf(kind: Kind, volume: string, document: string): Map<string, Uint8Array> {
  const { metaData, userData, networkData } = LAYOUTS[kind];
  const wrong = (why: string): Error => new Error(`volume ${volume}: its data came back changed, and ${why}`);
  let given: Partial<CloudInitData>;
  try {
    given = JSON.parse(document) as Partial<CloudInitData>;
  } catch (error) {
    throw wrong(`is no JSON: ${(error as Error).message}`);
  }
  const meta = kind === 'cloudInitConfigDrive' ? given.ConfigDriveMetaData : given.NoCloudMetaData;
  if (typeof meta !== 'object' || meta === null) throw wrong('has no metadata');
  const { UserData, NetworkData = '' } = given;
  if (typeof UserData !== 'string' || typeof NetworkData !== 'string')
    throw wrong('UserData or NetworkData is no text');
  const files = new Map<string, Uint8Array>([
    [metaData, Buffer.from(kind === 'cloudInitConfigDrive' ? JSON.stringify(meta) : toLines(meta))],
    [userData, Buffer.from(UserData)],
  ]);
  if (NetworkData !== '') files.set(networkData, Buffer.from(NetworkData));
  return files;
}

/** YAML, one key a line, each value as JSON. */
function fromLines(lines: string): Record<string, unknown> {
  const entries = lines
    .split('\n')
    .filter(Boolean)
    .map((line): [string, unknown] => [
      line.slice(0, line.indexOf(': ')),
      JSON.parse(line.slice(line.indexOf(': ') + 2)),
    ]);
  return Object.fromEntries(entries);
}

function toLines(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join('');
}
