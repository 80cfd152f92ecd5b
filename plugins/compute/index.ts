// The machine itself: CPU, memory, firmware, clock, features, basic devices, and the launcher pod around them.
import { definePlugin } from '../../core/index.ts';
import { admit } from './admit.ts';
import { clock } from './clock.ts';
import { controllers } from './controllers.ts';
import { cpu } from './cpu.ts';
import { defaults } from './defaults.ts';
import { devices } from './devices.ts';
import { features } from './features.ts';
import { firmware } from './firmware.ts';
import { identity } from './identity.ts';
import { ledger } from './ledger.ts';
import { memory } from './memory.ts';
import { pod, POD_WRITES } from './pod.ts';
import { resources } from './resources.ts';
import { api } from './schema.ts';

export default definePlugin({
  name: 'compute',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'CPU, memory, firmware, clock, features, console, VNC and the launcher pod around them',
  writes: {
    pod: POD_WRITES,
    domain: [
      '@type',
      'name',
      'metadata',
      'memory',
      'maxMemory',
      'vcpu',
      'vcpus',
      'cpu',
      'os',
      'sysinfo',
      'features',
      'clock',
      'devices',
    ],
  },
  api,
  setup: () => ({
    admit,
    defaultPreset: defaults,
    prepareDomain: {
      first({ vmi, facts }, plan) {
        const spec = vmi.spec.domain;
        plan.domain.set({ type: facts.cluster.virtType });
        identity(vmi, plan.domain);
        cpu(spec, facts, plan.domain);
        memory(spec, plan.domain);
        firmware(vmi, plan.domain);
        features(spec, facts, plan.domain);
        clock(spec, plan.domain);
        pod(vmi, facts, plan);
      },
      main({ vmi, facts }, plan) {
        devices(vmi, plan.domain);
        ledger(vmi, facts, plan);
      },
      last({ vmi, facts, nics }, plan) {
        controllers(vmi, plan.domain);
        resources(vmi, facts, nics.length > 0, plan);
      },
    },
  }),
});
