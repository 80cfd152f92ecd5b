import { describe, expect, it } from 'vitest';
import type { Interface, Network, PodPart } from '../../core/index.ts';
import { KVM, render, renderAsIs, stored, UID, vmi, withDevices } from './fixtures.ts';
import { instanceId } from './pod.ts';

interface Pod {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: PodPart & {
    containers: (PodPart & { resources: { requests: Record<string, string>; limits: Record<string, string> } })[];
  };
}

async function podOf(...given: Parameters<typeof render>) {
  const made = await render(...given);
  const pod = made.pod.value as unknown as Pod;
  const compute = pod.spec.containers[0] as Pod['spec']['containers'][0];
  const overhead = made.overhead.reduce((sum, entry) => sum + entry.mebibytes, 0);
  return { pod, compute, overhead, ledger: made.overhead };
}

describe('pod', () => {
  it('is one container of an ordinary user without privileges', async () => {
    const { pod, compute } = await podOf(vmi());
    expect(pod.spec.containers).toHaveLength(1);
    expect(compute).toMatchObject({
      name: 'compute',
      image: 'virtloom/launcher:test',
      env: [{ name: 'VMI_UID', value: UID }],
      securityContext: {
        runAsUser: 107,
        runAsGroup: 107,
        runAsNonRoot: true,
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      },
    });
    expect(pod.spec).toMatchObject({
      restartPolicy: 'Never',
      enableServiceLinks: false,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 60,
      nodeSelector: { 'kubevirt.io/schedulable': 'true', 'kubernetes.io/arch': 'amd64' },
      securityContext: { fsGroup: 107, seccompProfile: { type: 'RuntimeDefault' } },
    });
  });

  it('mounts every volume once, each from an emptyDir', async () => {
    const { pod, compute } = await podOf(vmi());
    expect(compute['volumeMounts']).toEqual([
      { name: 'private', mountPath: '/var/run/kubevirt-private' },
      { name: 'public', mountPath: '/var/run/kubevirt' },
      { name: 'ephemeral-disks', mountPath: '/var/run/kubevirt-ephemeral-disks' },
      { name: 'libvirt-runtime', mountPath: '/var/run/libvirt' },
      { name: 'tmp', mountPath: '/tmp' },
    ]);
    expect(pod.spec['volumes']).toEqual(
      (compute['volumeMounts'] as { name: string }[]).map(({ name }) => ({ name, emptyDir: {} })),
    );
  });

  it('carries the VMI’s labels and annotations and its own', async () => {
    const given = vmi();
    given.metadata.labels = { app: 'web', 'kubevirt.io': 'mine', 'vm.kubevirt.io/name': 'other' };
    given.metadata.annotations = {
      note: 'x',
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
      'kubevirt.io/memory-overhead-bytes': '1',
    };
    const { pod, overhead } = await podOf(given);
    expect(pod.metadata.labels).toEqual({
      app: 'web',
      'kubevirt.io': 'virt-launcher',
      'kubevirt.io/created-by': UID,
      'vmi.kubevirt.io/id': 'testvmi',
    });
    expect(pod.metadata.annotations).toEqual({
      note: 'x',
      'kubevirt.io/domain': 'testvmi',
      'kubectl.kubernetes.io/default-container': 'compute',
      'kubevirt.io/memory-overhead-bytes': String(overhead * 2 ** 20),
    });
  });

  it('gives the kubelet 30 seconds more than the guest', async () => {
    const given = await stored(vmi());
    const { pod } = await renderAsIs({ ...given, spec: { ...given.spec, terminationGracePeriodSeconds: 0 } });
    expect((pod.value as unknown as Pod).spec['terminationGracePeriodSeconds']).toBe(30);
  });

  it('cuts long names to a label and keeps them apart', () => {
    const long = 'a'.repeat(70);
    expect(instanceId('short')).toBe('short');
    expect(instanceId(long)).toHaveLength(63);
    expect(instanceId(long)).toMatch(/^a{54}-[0-9a-f]{8}$/);
    expect(instanceId(`${long}b`)).not.toBe(instanceId(long));
  });
});

describe('resources', () => {
  const mebibytes = (text: string | undefined): number => Number(/^(\d+)Mi$/.exec(text ?? '')?.[1]);

  it('asks for the guest’s memory and the ledger, and a tenth of each vCPU', async () => {
    const { compute, overhead } = await podOf(vmi({ cpu: { cores: 3 } }));
    expect(compute.resources.requests).toEqual({
      cpu: '300m',
      memory: `${128 + overhead}Mi`,
      'ephemeral-storage': '50M',
    });
    expect(compute.resources.limits).toEqual({});
  });

  it('asks for devices: KVM where guests run on it, TUN where there is a NIC', async () => {
    expect((await podOf(vmi(), KVM)).compute.resources.limits).toEqual({ 'devices.kubevirt.io/kvm': '1' });
    expect((await podOf(vmi())).compute.resources.limits).toEqual({});
    const wired = vmi({}, { interfaces: [{ name: 'default', test: {} } as Interface] });
    wired.spec.networks = [{ name: 'default', test: {} } as Network];
    expect((await podOf(wired)).compute.resources.limits).toEqual({ 'devices.kubevirt.io/tun': '1' });
  });

  it('takes requests and limits from the manifest, the ledger added to memory', async () => {
    const asked = {
      requests: { cpu: '250m', memory: '64Mi', 'example.com/card': '1' },
      limits: { cpu: '2', memory: '256Mi', 'ephemeral-storage': '1G', 'example.com/card': '1' },
    };
    const { compute, overhead } = await podOf(vmi({ resources: asked }));
    expect(compute.resources.requests).toEqual({
      cpu: '250m',
      memory: `${64 + overhead}Mi`,
      'ephemeral-storage': '50M',
      'example.com/card': '1',
    });
    expect(compute.resources.limits).toEqual({
      cpu: '2',
      memory: `${256 + overhead}Mi`,
      'ephemeral-storage': '1050M',
      'example.com/card': '1',
    });
  });

  it('requests what is limited', async () => {
    const { compute, overhead } = await podOf(vmi({ resources: { limits: { cpu: '2', memory: '256Mi' } } }));
    expect(compute.resources.requests).toMatchObject({ cpu: '2', memory: `${256 + overhead}Mi` });
  });

  it('leaves the ledger out of the request where the manifest says so', async () => {
    const { compute } = await podOf(vmi({ resources: { overcommitGuestOverhead: true } }));
    expect(compute.resources.requests['memory']).toBe('128Mi');
  });

  it('is exact where memory is no whole number of MiB', async () => {
    const { compute, overhead } = await podOf(vmi({ memory: { guest: '100M' } }));
    expect(compute.resources.requests['memory']).toBe(String(100e6 + overhead * 2 ** 20));
  });

  it('gives a reason for every MiB', async () => {
    const { ledger, overhead, compute } = await podOf(withDevices(vmi({ memory: { guest: '1Gi' } }), 'disk:virtio'));
    expect(ledger.every((entry) => entry.mebibytes > 0 && entry.why !== '' && entry.by.plugin === 'compute')).toBe(
      true,
    );
    expect(mebibytes(compute.resources.requests['memory'])).toBe(1024 + overhead);
    expect(ledger.map(({ mebibytes: size, why }) => `${size} ${why.split(/[,:]/)[0]}`)).toEqual([
      '2 the shell that is PID 1',
      '32 libvirtd with one domain',
      '56 QEMU',
      '2 page tables',
      '8 threads',
      '8 threads for disk I/O',
      '24 video memory of 16',
      '32 cache of translated code under emulation',
    ]);
  });

  it('stays well below what KubeVirt adds for the same guest', async () => {
    expect((await podOf(vmi(), KVM)).overhead).toBeLessThan(288 / 2);
  });

  it('knows what a guest can leave out', async () => {
    const headless = (await podOf(vmi({}, { autoattachGraphicsDevice: false }))).overhead;
    const efi = { firmware: { bootloader: { efi: { secureBoot: false } } } };
    expect((await podOf(vmi())).overhead - headless).toBe(24);
    expect((await podOf(vmi(efi))).overhead - (await podOf(vmi())).overhead).toBe(8);
    expect((await podOf(vmi({ cpu: { cores: 4 } }))).overhead - (await podOf(vmi())).overhead).toBe(24);
  });
});
