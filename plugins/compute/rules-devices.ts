// Rules on the devices of this plugin.
import { items, type Rule } from './rules.ts';

const DEVICES = 'spec.domain.devices';
const VIDEO_TYPES = new Set(['vga', 'cirrus', 'virtio', 'ramfb', 'bochs']);

const inputs: Rule = (review) => {
  for (const [index, input] of items(review.domain.devices?.inputs)) {
    const path = `${DEVICES}.inputs[${index}]`;
    if (input.bus && input.bus !== 'virtio' && input.bus !== 'usb') {
      review.refuse(`${path}.bus`, 'FieldValueInvalid', 'Input device can have only virtio or usb bus.');
    }
    if (input.type && input.type !== 'tablet') {
      review.refuse(`${path}.type`, 'FieldValueInvalid', 'Input device can have only tablet type.');
    }
  }
};

/** libvirt names devices by these, and wants each name once. */
const uniqueNames: Rule = (review) => {
  const { disks, interfaces, inputs, watchdog } = review.domain.devices ?? {};
  const seen = new Map<string, string>();
  const claim = (path: string, name: unknown, ours: boolean): void => {
    if (typeof name !== 'string') return;
    const first = seen.get(name);
    if (first === undefined) seen.set(name, path);
    else if (ours) {
      review.refuse(
        `${path}.name`,
        'FieldValueDuplicate',
        `${review.at(path)} and ${review.at(first)} must not have the same name '${name}'`,
      );
    }
  };
  for (const [index, disk] of items(disks)) claim(`${DEVICES}.disks[${index}]`, disk.name, false);
  for (const [index, nic] of items(interfaces)) claim(`${DEVICES}.interfaces[${index}]`, nic.name, false);
  for (const [index, input] of items(inputs)) claim(`${DEVICES}.inputs[${index}]`, input.name, true);
  claim(`${DEVICES}.watchdog`, watchdog?.name, true);
};

const watchdog: Rule = (review) => {
  const asked = review.domain.devices?.watchdog;
  if (!asked || (asked.i6300esb && !asked.diag288)) return;
  const message = 'amd64 only supports I6300ESB watchdog device';
  review.refuse(`${DEVICES}.watchdog`, 'FieldValueNotSupported', message);
};

const video: Rule = (review) => {
  const { video: asked, autoattachGraphicsDevice } = review.domain.devices ?? {};
  if (!asked) return;
  if (autoattachGraphicsDevice === false) {
    const message = 'Video configuration is not allowed when autoattachGraphicsDevice is set to false';
    review.refuse(`${DEVICES}.video`, 'FieldValueInvalid', message);
  }
  if (asked.type && !VIDEO_TYPES.has(asked.type)) {
    const message = `video model '${asked.type}' is not supported on amd64 architecture`;
    review.refuse(`${DEVICES}.video.type`, 'FieldValueNotSupported', message);
  }
};

export const deviceRules: readonly Rule[] = [inputs, uniqueNames, watchdog, video];
