// Once before all tests: what they share and what must not be made by two at once.
import { buildTiny } from '../../examples/images/tiny/build.ts';
import { unpackRegistry } from './registry.ts';

export default async function setup(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Error('the tests make namespaces and need root: run "npm test", which asks for it');
  buildTiny();
  await unpackRegistry();
}
