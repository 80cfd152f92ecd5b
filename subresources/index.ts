// The room's public entry.
export { startSubresources } from './server.ts';
export type { Subresources, SubresourcesOptions } from './server.ts';
