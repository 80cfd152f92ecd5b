// The whole plan of a plain VMI, to read and to notice any change. Renew the files with `vitest run -u`.
import { expect, it } from 'vitest';
import { render, vmi } from './fixtures.ts';

it('domain, pod and ledger of a plain VMI', async () => {
  const { xml, pod, overhead } = await render(vmi());
  await expect(xml).toMatchFileSnapshot('./testdata/plain-domain.xml');
  const ledger = overhead.map(({ mebibytes, why }) => `${mebibytes} MiB ${why}`);
  await expect(`${JSON.stringify({ pod: pod.value, ledger }, null, 2)}\n`).toMatchFileSnapshot(
    './testdata/plain-pod.txt',
  );
});
