// The images of one pod: pulled with the pod's secrets, told as events in kubelet's words.
import type { ReadyImage } from '../images/image.ts';
import { loginsOf } from '../images/credentials.ts';
import type { Login } from '../images/credentials.ts';
import { ImageError } from '../images/reference.ts';
import type { Host } from './host.ts';
import type { Pod, PullPolicy } from './pod-types.ts';

export class PodImages {
  private readonly host: Host;
  private readonly pod: () => Pod;

  constructor(host: Host, pod: () => Pod) {
    this.host = host;
    this.pod = pod;
  }

  /** Throws ImageError. */
  async ensure(image: string, policy: PullPolicy | undefined): Promise<ReadyImage> {
    const event = (type: 'Normal' | 'Warning', reason: string, message: string) =>
      this.host.event(this.pod(), type, reason, message);
    try {
      const ensured = await this.host.images.ensure(image, {
        policy,
        logins: await this.logins(),
        onPulling: () => event('Normal', 'Pulling', `Pulling image "${image}"`),
      });
      const { pulled } = ensured;
      const message = pulled
        ? `Successfully pulled image "${image}" in ${Math.round(pulled.ms)}ms. Image size: ${pulled.bytes} bytes.`
        : `Container image "${image}" already present on machine`;
      event('Normal', 'Pulled', message);
      return ensured;
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      const pull = error.reason === 'ErrImagePull';
      event('Warning', 'Failed', pull ? `Failed to pull image "${image}": ${error.message}` : error.message);
      event('Warning', 'Failed', `Error: ${error.reason}`);
      throw error;
    }
  }

  private async logins(): Promise<Map<string, Login>> {
    const { spec, metadata } = this.pod();
    const all = new Map<string, Login>();
    for (const { name } of spec.imagePullSecrets ?? []) {
      const data = name ? await this.host.lookup.secret(metadata.namespace ?? '', name) : undefined;
      const text = Object.fromEntries([...(data ?? [])].map(([key, value]) => [key, value.toString('base64')]));
      for (const [registry, login] of loginsOf(text)) all.set(registry, login);
    }
    return all;
  }
}
