// What we say we are: KubeVirt's API at this level, served by this version of ours.
import { readFileSync } from 'node:fs';

/** The KubeVirt release whose API this is; clients compare it with their own. */
const KUBEVIRT = 'v1.9.0';

export interface VersionInfo {
  gitVersion: string;
  gitCommit: string;
  gitTreeState: string;
  buildDate: string;
  goVersion: string;
  compiler: string;
  platform: string;
}

export function versionInfo(): VersionInfo {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return {
    gitVersion: `${KUBEVIRT}+virtloom.${manifest.version}`,
    gitCommit: '',
    gitTreeState: '',
    buildDate: '',
    goVersion: '',
    compiler: 'node',
    platform: `${process.platform}/${process.arch}`,
  };
}
