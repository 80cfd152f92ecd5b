// For tests: a plugin that makes a whole guest, with steps on the node, in the pod and in its network namespace.
import { appendFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { definePlugin } from '../core/index.ts';
import type { Action, Plugin, Rewriter } from '../core/index.ts';
import { parseXml } from '../core/domain/xml.ts';
import { testDisk, testDomain } from './testing.ts';

/**
 * The step `mark` leaves a file `mark-<name of the VMI>` in `dir`, which must be gone when the VMI is; it fails while there
 * is a file `obstacle`. Its later steps add a line to `notes-<name>`, and fail while there is a file `obstacle-<step>`. Its
 * rewrite gives the domain a title that says how often it was rewritten.
 */
export function testPlugin(dir: string): Plugin {
  const mark: Action = {
    async apply({ vmi }) {
      if (existsSync(join(dir, 'obstacle'))) throw new Error('an obstacle is in the way');
      writeFileSync(join(dir, `mark-${vmi.name}`), '');
      return { at: `mark-${vmi.name}` };
    },
    async revert({ vmi }) {
      rmSync(join(dir, `mark-${vmi.name}`), { force: true });
    },
  };
  const disk: Action = {
    async apply({ sandbox }) {
      await sandbox.writeFile('/var/run/kubevirt/disk.raw', testDisk());
    },
  };
  const tap: Action = {
    async apply({ sandbox }) {
      const user = String(sandbox.user.uid);
      await sandbox.exec(['ip', 'link', 'del', 'tap0'], { in: 'net' }).catch(() => undefined);
      await sandbox.exec(['ip', 'tuntap', 'add', 'tap0', 'mode', 'tap', 'user', user], { in: 'net' });
    },
  };
  const note: Action = {
    async apply({ vmi, object }, { what }) {
      if (existsSync(join(dir, `obstacle-${String(what)}`))) throw new Error(`${String(what)} is in the way`);
      appendFileSync(join(dir, `notes-${vmi.name}`), `${String(what)} ${object?.status?.phase ?? 'none'}\n`);
    },
  };
  const title: Rewriter = async ({ object }, _, xml) =>
    xml.replace('</name>', `</name><title>${object?.metadata.name ?? ''}</title>`);
  return definePlugin({
    name: 'test',
    version: '1.0.0',
    core: '^1.0.0',
    summary: 'a whole guest',
    writes: { pod: [''], domain: [''] },
    actions: async () => ({ actions: { mark, disk, tap, note }, rewrites: { title } }),
    setup: () => ({
      prepareDomain({ vmi, result }, plan) {
        for (const id of ['mark', 'disk', 'tap']) plan.step({ id, action: id });
        for (const at of ['started', 'stopping'] as const)
          plan.step({ id: at, action: 'note', args: { what: at }, at });
        plan.rewrite({ id: 'title', action: 'title' });
        // A domain that needs what a step found out: only the last plan has it.
        const found = result('mark') as { at: string } | undefined;
        const at = `/var/run/kubevirt-private/${vmi.metadata.uid}`;
        const devices = `<serial type='unix'><source mode='bind' path='${at}/virt-serial0'/><target port='0'/></serial>
        <graphics type='vnc'><listen type='socket' socket='${at}/virt-vnc'/></graphics>
        <interface type='ethernet'><target dev='tap0' managed='no'/><model type='virtio'/></interface>`;
        const name = `${vmi.metadata.namespace}_${found?.at}`;
        const tree = parseXml(testDomain(name, '/var/run/kubevirt/disk.raw', devices));
        plan.domain.set(tree.attrs);
        for (const child of tree.children) {
          if (child.tag !== 'devices') plan.domain.merge(child);
          else for (const one of child.children) plan.domain.device(one);
        }
        plan.migratable({ reason: 'DisksNotLiveMigratable', message: 'the disk is of this node' });
      },
    }),
  });
}
