// `virtloom version`.
import { KubeClient } from '../core/kube/client.ts';
import { Exit, REFUSED } from './exit.ts';
import { messageIn, SUBRESOURCES } from './power.ts';

export async function printVersion(own: string, options: { readonly kubeconfig: string }): Promise<void> {
  process.stdout.write(`Client Version: ${own}\n`);
  const client = KubeClient.fromKubeconfig(options.kubeconfig);
  try {
    const answer = await client.raw('GET', `${SUBRESOURCES}/version`);
    if (answer.status !== 200) throw new Exit(REFUSED, messageIn(answer.body));
    process.stdout.write(
      `Server Version: ${String((JSON.parse(answer.body) as { gitVersion?: unknown }).gitVersion)}\n`,
    );
  } finally {
    client.close();
  }
}
