// Fields of features that are not enabled: each refusal names the plugin to enable.
import { badVm, badVmi, type BadCase, type Changes, INVALID, UNSUPPORTED } from './case.ts';

const absent = (field: string, value: unknown, plugin: string, rest: Changes = {}): BadCase =>
  badVmi(`${field} without plugin ${plugin}`, { ...rest, [field]: value }, [
    field,
    UNSUPPORTED,
    `${field} belongs to plugin "${plugin}", which is not enabled here: enable plugin "${plugin}" or leave the field out`,
  ]);
const data = (source: string, value: unknown, plugin: string): BadCase =>
  absent(`spec.volumes[1].${source}`, value, plugin, { 'spec.volumes[1]': { name: 'data' } });
const nic = (binding: string, plugin: string): BadCase =>
  absent(`spec.domain.devices.interfaces[0].${binding}`, {}, plugin, {
    'spec.domain.devices.interfaces[0].masquerade': undefined,
  });
const absentInVm = (field: string, value: unknown, plugin: string): BadCase =>
  badVm(`${field} without plugin ${plugin}`, { [field]: value }, [
    field,
    UNSUPPORTED,
    `enable plugin "${plugin}" or leave the field out`,
  ]);

export const absentPlugins: readonly BadCase[] = [
  absent('spec.domain.devices.tpm', {}, 'tpm'),
  absent('spec.domain.devices.gpus', [{ name: 'g', deviceName: 'x/y' }], 'host-devices'),
  absent('spec.domain.devices.filesystems', [{ name: 'f', virtiofs: {} }], 'virtiofs'),
  absent('spec.domain.devices.sound', { name: 's' }, 'sound'),
  absent('spec.domain.memory.hugepages', { pageSize: '2Mi' }, 'hugepages'),
  absent('spec.domain.cpu.dedicatedCpuPlacement', true, 'dedicated-cpu'),
  absent('spec.domain.launchSecurity', { sev: {} }, 'launch-security'),
  absent('spec.livenessProbe', { exec: { command: ['true'] } }, 'probes'),
  absent('spec.evictionStrategy', 'LiveMigrate', 'migration'),
  absent('spec.accessCredentials', [], 'access-credentials'),
  data('hostDisk', { path: '/a.img', type: 'Disk' }, 'storage-hostdisk'),
  data('persistentVolumeClaim', { claimName: 'a' }, 'storage-pvc'),
  data('dataVolume', { name: 'a' }, 'cdi'),
  data('configMap', { name: 'a' }, 'storage-config'),
  nic('sriov', 'sriov'),
  nic('slirp', 'network-slirp'),
  nic('passt', 'network-passt'),
  badVmi(
    'a multus network without plugin multus',
    { 'spec.networks[0]': { name: 'default', multus: { networkName: 'a' } } },
    ['spec.networks[0].multus', UNSUPPORTED, 'enable plugin "multus" or leave the field out'],
    ['spec.domain.devices.interfaces[0].name', INVALID, 'only implemented with pod network'],
  ),
  absentInVm('spec.dataVolumeTemplates', [], 'cdi'),
  absentInVm('spec.instancetype', { name: 'small' }, 'instancetype'),
  absentInVm('spec.preference', { name: 'linux' }, 'instancetype'),
  absentInVm('spec.template.spec.domain.devices.tpm', {}, 'tpm'),
];
