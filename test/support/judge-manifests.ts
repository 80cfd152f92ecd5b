// A program for tests: loads the platform of the tree it is given, and says of each manifest what becomes of it, as JSON.
// Arguments: the tree's folder, then files. Prints {plugins, kinds, results: [{file, kind, causes, xml}]}, or {error}.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import type * as Compose from '../../cli/compose.ts';
import type * as Manifests from '../../cli/manifests.ts';
import type * as Admission from '../../core/admission.ts';
import type * as Xml from '../../core/domain/xml.ts';
import type * as PlanOf from '../../core/plan.ts';
import type * as Testing from '../../core/testing.ts';

type Core = typeof Admission & typeof PlanOf & typeof Xml & typeof Testing;
type Cli = typeof Compose & typeof Manifests;

const [root = '', ...files] = process.argv.slice(2);
const load = async <T>(paths: string[]): Promise<T> => {
  const loaded = await Promise.all(paths.map((path) => import(pathToFileURL(join(root, path)).href)));
  return Object.assign({}, ...loaded) as T;
};
const core = await load<Core>(['core/admission.ts', 'core/plan.ts', 'core/domain/xml.ts', 'core/testing.ts']);
const cli = await load<Cli>(['cli/compose.ts', 'cli/manifests.ts']);
const USER = { username: 'test', groups: ['system:authenticated'] };

async function judge(): Promise<object> {
  const { host } = await cli.compose(join(root, 'virtloom.yaml'), pino({ level: 'silent' }));
  const results: object[] = [];
  for (const file of files) {
    for (const given of cli.readManifests(file)) {
      const object = { ...given, metadata: { namespace: 'default', ...given.metadata } };
      const template = core.templateOf(host, object.kind);
      if (template === undefined) continue;
      const request = { operation: 'CREATE' as const, object, user: USER };
      const defaulted = await core.applyDefaults(host, request);
      const { causes } = await core.admit(host, { ...request, object: defaulted.object });
      const vmi = core.vmiIn(defaulted.object, template);
      const result = { file, kind: object.kind, causes: [...defaulted.causes, ...causes] };
      if (result.causes.length > 0 || !vmi) results.push(result);
      else results.push({ ...result, xml: core.toXml((await core.plan(host, vmi, core.TEST_FACTS)).domain) });
    }
  }
  return {
    plugins: host.plugins.map(({ name }) => name),
    kinds: host.kinds.map(({ resource }) => resource.kind),
    results,
  };
}

const answer = await judge().catch((error: unknown) => ({
  error: error instanceof Error ? error.message : String(error),
}));
process.stdout.write(JSON.stringify(answer));
