// After `npm ci`: the project finds itself as `virtloom`, so that plugins in folders of their own here import what third
// parties import.
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const modules = fileURLToPath(new URL('../node_modules/', import.meta.url));
if (!existsSync(`${modules}virtloom`)) {
  mkdirSync(modules, { recursive: true });
  symlinkSync('..', `${modules}virtloom`, 'dir');
}
