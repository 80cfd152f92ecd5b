// Hook sidecars: containers of the user's own, in any language, that change the domain before it is defined.
import { definePlugin } from '../../core/index.ts';
import type { PrepareTap } from '../../core/index.ts';
import type { Hook } from './actions.ts';
import { ANNOTATION, sidecarsOf } from './annotation.ts';
import { inOrder } from './order.ts';
import { COMPUTE, podOf } from './pod.ts';

const FIELD = `metadata.annotations[${ANNOTATION}]`;

export default definePlugin({
  name: 'hook-sidecars',
  version: '1.0.0',
  core: '^1.0.0',
  summary: 'sidecar containers that change the domain, by annotation hooks.kubevirt.io/hookSidecars',
  writes: { pod: ['spec.volumes', 'spec.initContainers', 'spec.containers[compute].volumeMounts'] },
  options: {
    type: 'object',
    additionalProperties: false,
    properties: {
      shimImage: { type: 'string', description: 'the image of sidecars that name none' },
      timeoutSeconds: {
        type: 'integer',
        minimum: 1,
        default: 60,
        description: 'how long sidecars may take to be there',
      },
    },
  },
  actions: () => import('./actions.ts'),
  setup: (_, { shimImage, timeoutSeconds = 60 }) => ({
    admit({ vmi, at }) {
      const annotation = vmi?.metadata.annotations?.[ANNOTATION];
      return sidecarsOf(annotation, shimImage, at(FIELD)).causes;
    },
    prepareDomain: {
      last: (({ vmi, result }, plan) => {
        const { sidecars, causes } = sidecarsOf(vmi.metadata.annotations?.[ANNOTATION], shimImage, FIELD);
        const [cause] = causes;
        // Admission refuses it; a VMI that is older than the plugin gets here.
        if (cause) throw new Error(cause.message);
        if (sidecars.length === 0) return;
        plan.pod.merge(podOf(sidecars));
        plan.pod.compute(COMPUTE);
        const timeoutMs = timeoutSeconds * 1000;
        const args = { sidecars: sidecars.map(({ name }) => name), timeoutMs };
        plan.rewrite({ id: 'cloud-init', of: 'cloudInit', action: 'preCloudInitIso', args, field: FIELD });
        plan.step({ id: 'collect', action: 'collect', args });
        const hooks = result('collect') as unknown as Hook[] | undefined;
        if (!hooks) {
          // Which of them want to be called, and in which order, they say themselves when they run.
          for (const { name } of sidecars)
            plan.rewrite({ id: name, action: 'onDefineDomain', field: `${FIELD} ${name}` });
          return;
        }
        for (const { sidecar, name, socket, version } of inOrder(hooks, 'OnDefineDomain')) {
          const field = `${FIELD} ${sidecar} "${name}"`;
          plan.rewrite({ id: sidecar, action: 'onDefineDomain', args: { socket, version }, field });
        }
      }) satisfies PrepareTap,
    },
  }),
});
