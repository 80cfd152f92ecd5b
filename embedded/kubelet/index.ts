// The public entry of the kubelet.
export { removeEverything } from './down.ts';
export { startKubelet } from './kubelet.ts';
export type { Kubelet, KubeletOptions } from './kubelet.ts';
export type { ServerTls } from './server.ts';
export type { HostImage } from '../images/image.ts';
