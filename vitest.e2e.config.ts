import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/e2e/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // Guests boot under emulation, beside each other and on few processors.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // Real processes on a machine that others may load: in CI a failure counts when it repeats.
    retry: process.env['CI'] ? 2 : 0,
    pool: 'forks',
    maxWorkers: 2,
  },
});
