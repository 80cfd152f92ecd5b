import { expect, it } from 'vitest';
import { bootsUnder, detectVirtualization } from './virtualization.ts';

it('decides within its deadline whether a guest runs under KVM, and says why not', async () => {
  const begin = Date.now();
  const found = await detectVirtualization();
  expect(Date.now() - begin).toBeLessThan(15_000);
  if (found.works) expect(found.why).toBe('');
  else expect(found.why).not.toBe('');
});

it('takes the sign of a guest that does run', async () => {
  expect(await bootsUnder('tcg')).toEqual({ works: true, why: '' });
});
