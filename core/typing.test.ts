// What a plugin declares types what its hooks get. The compiler is the test; a wrong type here does not compile.
import { expectTypeOf, it } from 'vitest';
import { definePlugin } from './plugin.ts';
import type { Vmi } from './types.ts';

it('options have the type of their schema, defaults filled in', () => {
  definePlugin({
    name: 'a',
    version: '1.0.0',
    core: '^1.0.0',
    summary: 'typed options',
    options: {
      type: 'object',
      additionalProperties: false,
      properties: {
        mode: { type: 'string', enum: ['slow', 'quick'], default: 'slow' },
        most: { type: 'integer' },
      },
    },
    setup(_, options) {
      expectTypeOf(options.mode).toEqualTypeOf<'slow' | 'quick'>();
      expectTypeOf(options.most).toEqualTypeOf<number | undefined>();
      // @ts-expect-error: no such option
      void options.least;
      return {};
    },
  });
});

it('fields of the VMI, its disks, volumes and interfaces have the types of their slices', () => {
  definePlugin({
    name: 'b',
    version: '1.0.0',
    core: '^1.0.0',
    summary: 'typed fields',
    api: [
      {
        path: 'spec.volumes[].tape',
        oneOf: 'source',
        schema: { type: 'object', required: ['reel'], properties: { reel: { type: 'integer' } } },
      },
      { path: 'spec.domain.devices.disks[].speed', schema: { type: 'string' } },
      { path: 'spec.domain.devices.interfaces[].wire', oneOf: 'binding', schema: { type: 'object' } },
      { path: 'spec.domain.tapes', schema: { type: 'array', items: { type: 'string' } } },
    ],
    setup: () => ({
      admit({ vmi }) {
        expectTypeOf(vmi?.spec.domain.tapes).toEqualTypeOf<string[] | undefined>();
      },
      attachDisk: {
        tape({ volume, disk }) {
          expectTypeOf(volume.name).toEqualTypeOf<string>();
          expectTypeOf(volume.tape?.reel).toEqualTypeOf<number | undefined>();
          expectTypeOf(disk?.speed).toEqualTypeOf<string | undefined>();
          return {};
        },
      },
      attachNetwork: {
        bindings: {
          wire({ interface: nic }) {
            expectTypeOf(nic.wire).not.toEqualTypeOf<never>();
            return {};
          },
        },
      },
      prepareDomain({ vmi, disks }) {
        for (const disk of vmi.spec.domain.devices?.disks ?? [])
          expectTypeOf(disk.speed).toEqualTypeOf<string | undefined>();
        expectTypeOf(disks[0]?.spec?.speed).toEqualTypeOf<string | undefined>();
        // @ts-expect-error: no slice of this plugin has it
        void vmi.spec.domain.reels;
      },
    }),
  });
});

it('metrics have their labels, and are there by name', () => {
  definePlugin({
    name: 'c',
    version: '1.0.0',
    core: '^1.0.0',
    summary: 'typed metrics',
    metrics: { reels_total: { type: 'counter', help: 'reels that were wound', labels: ['side'] } },
    setup({ metrics }) {
      metrics.reels_total.add(1, { side: 'a' });
      // @ts-expect-error: no such label
      metrics.reels_total.add(1, { colour: 'a' });
      // @ts-expect-error: no such metric
      void metrics.tapes_total;
      return {};
    },
  });
});

it('a plugin that declares no paths gets a plain VMI', () => {
  definePlugin({
    name: 'd',
    version: '1.0.0',
    core: '^1.0.0',
    summary: 'plain',
    setup: () => ({
      prepareDomain({ vmi }) {
        expectTypeOf(vmi).toEqualTypeOf<Vmi>();
      },
    }),
  });
});
