// What of a census must be as it was before, once all VMs are gone.
import type { Census } from '../support/census.ts';
import { waitFor } from '../support/command.ts';
import type { Platform } from '../support/platform.ts';

/** Directories that the first VM makes and that stay, and what the CNI plugins remember of addresses no longer in use. */
const STAYS = /^agent\/(journal|scratch)$|^kubelet\/cni\/ipam\/[^/]+(\/(lock|last_reserved_ip\.\d+))?$/;

/** The traces of VMs. */
function traces(census: Census, bridge: string): Census {
  return {
    ...census,
    links: census.links.filter((link) => link !== bridge),
    files: census.files.filter((file) => !STAYS.test(file)),
  };
}

/** Waits until nothing on the machine tells that there have been VMs since `before`. Throws what still does. */
export async function waitForNoTraces(platform: Platform, before: Census, deadlineMs = 30_000): Promise<void> {
  const was = traces(before, platform.bridge);
  await waitFor(
    'the machine is as it was',
    async () => {
      const more = added(was, traces(await platform.census(), platform.bridge));
      if (more.length > 0) throw new Error(`left over:\n${more.join('\n')}`);
      return true;
    },
    deadlineMs,
    250,
  );
}

/** What is there and was not, one line each. */
function added(was: Census, is: Census): string[] {
  return (Object.keys(is) as (keyof Census)[]).flatMap((what) => {
    const old = [...was[what]];
    return is[what]
      .filter((one) => {
        const at = old.indexOf(one);
        if (at >= 0) old.splice(at, 1);
        return at < 0;
      })
      .map((one) => `${what}: ${one}`);
  });
}
