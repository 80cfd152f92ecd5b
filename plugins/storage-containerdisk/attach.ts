// One container disk: what the pod needs, the step that prepares it, the domain's disk.
import { el } from '../../core/index.ts';
import type { AttachDiskInput, DiskAttachment } from '../../core/index.ts';
import { podParts } from './pod.ts';
import { type ContainerDiskSource, imageLink, imageRoot, type Overlay, overlayPath } from './types.ts';

export function attachContainerDisk({ volume, volumeIndex, facts, result }: AttachDiskInput): DiskAttachment {
  const source = volume.containerDisk as ContainerDiskSource;
  const link = imageLink(volumeIndex);
  const overlay = overlayPath(volume.name);
  // Until the image was looked at: what most images are.
  const found = (result('overlay') as Overlay | undefined) ?? { format: 'qcow2', cache: 'none' };
  return {
    ...podParts(volume.name, volumeIndex, source, facts.cluster),
    steps: [
      {
        id: 'overlay',
        action: 'overlay',
        args: {
          volume: volume.name,
          image: source.image,
          ...(source.path ? { path: source.path } : {}),
          root: imageRoot(volumeIndex),
          link,
          overlay,
        },
      },
    ],
    migratable: true,
    disk: {
      type: 'file',
      source: el('source', { file: overlay }),
      driver: { type: 'qcow2', cache: found.cache },
      backingStore: el(
        'backingStore',
        { type: 'file' },
        el('format', { type: found.format }),
        el('source', { file: link }),
      ),
    },
  };
}
