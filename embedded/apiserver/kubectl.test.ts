// The real kubectl against the server: what its users do every day.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, MACHINE, MACHINE_CRD, startTestServer, type TestServer } from './testing/server.ts';

let test: TestServer;
const ok = async (args: string[], input?: string, env?: Record<string, string>): Promise<string> => {
  const { code, stdout, stderr } = await test.kubectl(args, input, env);
  expect(code, `kubectl ${args.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
};
const refused = async (args: string[], input?: string): Promise<string> => {
  const { code, stderr } = await test.kubectl(args, input);
  expect(code).not.toBe(0);
  return stderr;
};

const POD = `
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: x}}
spec:
  containers:
  - {name: a, image: "busybox:1", env: [{name: A, value: b}, {name: B, value: c}]}
  - {name: b, image: busybox, resources: {requests: {cpu: 1}}}
`;

beforeAll(async () => {
  test = await startTestServer();
  await ok(['apply', '-f', '-'], MACHINE_CRD);
  await ok(['wait', '--for=condition=established', 'crd/machines.example.io', '--timeout=5s']);
}, 30_000);
afterAll(() => test.close());

describe('discovery', () => {
  it('lists resources, versions and fields', async () => {
    const resources = await ok(['api-resources']);
    expect(resources).toMatch(/machines\s+mc\s+example.io\/v1\s+true\s+Machine/);
    expect(resources).toMatch(/pods\s+po\s+v1\s+true\s+Pod/);
    expect(await ok(['api-versions'])).toContain('example.io/v1alpha1');
    expect(await ok(['explain', 'machine.spec.cpu'])).toMatch(/cores\s+<integer>\s+How many/);
    expect(await ok(['explain', 'pod.spec.containers'])).toMatch(/image\s+<string>/);
    expect(await ok(['explain', 'pod.spec.containers.image'])).toContain('Container image name');
    const accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    expect((await test.http('GET', '/openapi/v2', undefined, { accept })).code).toBe(200);
    expect(await ok(['version'])).toContain('Server Version: v1.32');
    expect(await ok(['get', '--raw', '/readyz'])).toBe('ok');
  });
});

describe('built-in kinds', () => {
  it('creates by typed generators, which send protobuf', async () => {
    await ok(['create', 'namespace', 'team']);
    await ok(['-n', 'team', 'create', 'configmap', 'c', '--from-literal=a=b']);
    await ok(['-n', 'team', 'create', 'secret', 'generic', 's', '--from-literal=x=y']);
    await ok(['-n', 'team', 'create', 'service', 'clusterip', 'web', '--tcp=80:8080']);
    expect(await ok(['-n', 'team', 'get', 'secret', 's', '-o', 'jsonpath={.data.x}'])).toBe('eQ==');
    expect(await ok(['-n', 'team', 'get', 'svc', 'web', '-o', 'jsonpath={.spec.ports[0].targetPort}'])).toBe('8080');
    expect(await ok(['-n', 'team', 'get', 'cm'])).toMatch(/NAME\s+DATA\s+AGE\nc\s+1\s+\d+s/);
  });

  it('empties a namespace that is deleted', async () => {
    await ok(['create', 'namespace', 'gone']);
    await ok(['-n', 'gone', 'create', 'configmap', 'c']);
    await ok(['delete', 'namespace', 'gone', '--timeout=10s']);
    expect(await refused(['-n', 'gone', 'create', 'configmap', 'c'])).toContain('namespaces "gone" not found');
    expect((await test.http('GET', '/api/v1/namespaces/gone/configmaps')).body['items']).toEqual([]);
  });

  it('gives pods their defaults and prints them', async () => {
    await ok(['apply', '-f', '-'], POD);
    expect(await ok(['get', 'pods', '-o', 'wide'])).toMatch(/NAME\s+READY\s+STATUS\s+RESTARTS\s+AGE\s+IP\s+NODE/);
    expect(await ok(['get', 'pods'])).toMatch(/p\s+0\/2\s+Pending\s+0\s+\d+s/);
    expect(await ok(['describe', 'pod', 'p'])).toMatch(/QoS Class:\s+Burstable/);
    const path =
      'jsonpath={.spec.restartPolicy} {.spec.terminationGracePeriodSeconds} {.status.phase} {.metadata.generation}';
    expect(await ok(['get', 'pod', 'p', '-o', path])).toBe('Always 30 Pending ');
  });

  it('patches in three ways, and merges containers by name', async () => {
    await ok(['label', 'pod', 'p', 'tier=front']);
    await ok(['annotate', 'pod', 'p', 'note=1']);
    await ok(['patch', 'pod', 'p', '-p', '{"spec":{"containers":[{"name":"a","image":"busybox:3"}]}}']);
    await ok(['patch', 'pod', 'p', '--type=json', '-p', '[{"op":"add","path":"/metadata/labels/j","value":"1"}]']);
    await ok(['patch', 'pod', 'p', '--type=merge', '-p', '{"metadata":{"labels":{"tier":null}}}']);
    expect(await ok(['get', 'pod', 'p', '-o', 'jsonpath={.spec.containers[*].image} {.metadata.labels}'])).toBe(
      'busybox:3 busybox {"app":"x","j":"1"}',
    );
    const failing = '[{"op":"test","path":"/metadata/labels/j","value":"2"}]';
    expect(await refused(['patch', 'pod', 'p', '--type=json', '-p', failing])).toContain('test');
    expect(await refused(['patch', 'pod', 'p', '-p', '{"spec":{"hostNetwork":true}}'])).toContain(
      'pod updates may not',
    );
    await ok(['delete', 'pod', 'p', '--timeout=5s']);
  });

  it('refuses unknown fields and bad names in the words of Kubernetes', async () => {
    expect(await refused(['apply', '-f', '-'], POD.replace('image: busybox,', 'imagex: busybox,'))).toContain(
      'strict decoding error: unknown field "spec.containers[1].imagex"',
    );
    expect(await refused(['create', 'configmap', 'Bad_Name'])).toContain('a lowercase RFC 1123 subdomain must consist');
    expect(await refused(['get', 'pod', 'nosuch'])).toContain('Error from server (NotFound): pods "nosuch" not found');
  });

  it('decides by roles', async () => {
    await ok(['create', 'role', 'reader', '--verb=get,list', '--resource=pods']);
    await ok(['create', 'rolebinding', 'jane-reads', '--role=reader', '--user=jane']);
    expect(await ok(['auth', 'can-i', 'delete', 'nodes'])).toBe('yes\n');
    expect(await ok(['auth', 'can-i', 'list', 'pods', '--as=jane'])).toBe('yes\n');
    expect((await test.kubectl(['auth', 'can-i', 'delete', 'pods', '--as=jane'])).stdout).toBe('no\n');
    expect(await refused(['get', 'secrets', '--as=jane'])).toContain(
      'User "jane" cannot list resource "secrets" in API group "" in the namespace "default"',
    );
  });
});

describe('custom kinds', () => {
  it('applies, shows columns, explains what is wrong', async () => {
    await ok(['apply', '-f', '-'], MACHINE);
    expect(await ok(['get', 'mc'])).toMatch(/NAME\s+PHASE\s+READY\none/);
    expect(await ok(['get', 'mc', '-o', 'wide'])).toMatch(/CORES\none\s+2/);
    const bad = MACHINE.replace('name: one', 'name: bad').replace('cores: 2', 'cores: two');
    expect(await refused(['apply', '-f', '-'], bad)).toContain(
      'spec.cpu.cores: Invalid value: "string": spec.cpu.cores in body must be of type integer: "string"',
    );
    expect(await refused(['apply', '-f', '-'], MACHINE.replace('cores: 2', 'coresx: 2'))).toContain(
      'unknown field "spec.cpu.coresx"',
    );
  });

  it('diffs, edits, scales, and counts generations by spec alone', async () => {
    const wanted = MACHINE.replace('cores: 2', 'cores: 4');
    const diff = await test.kubectl(['diff', '-f', '-'], wanted);
    expect(diff.code).toBe(1);
    expect(diff.stdout).toContain('+    cores: 4');
    await ok(['edit', 'machine', 'one'], '', { EDITOR: 'sed -i s/cores:.2/cores:\\ 3/' });
    await ok(['scale', 'machine', 'one', '--replicas=5']);
    await ok(['patch', 'machine', 'one', '--subresource=status', '--type=merge', '-p', '{"status":{"phase":"Up"}}']);
    await ok(['label', 'machine', 'one', 'x=y']);
    const path = 'jsonpath={.metadata.generation} {.spec.cpu.cores} {.spec.replicas} {.status.phase}';
    expect(await ok(['get', 'machine', 'one', '-o', path])).toBe('3 3 5 Up');
    await ok(['wait', '--for=jsonpath={.status.phase}=Up', 'machine/one', '--timeout=5s']);
  });

  it('applies on the server, with conflicts', async () => {
    await ok(['apply', '--server-side', '--force-conflicts', '-f', '-'], MACHINE);
    const other = MACHINE.replace('1Gi', '2Gi').replace('cpu: {cores: 2}, ', '');
    const args = ['apply', '--server-side', '--field-manager=other', '-f', '-'];
    expect(await refused(args, other)).toContain('conflict with "kubectl": .spec.disks[name="root"].size');
    await ok([...args, '--force-conflicts'], other);
    expect(await ok(['get', 'machine', 'one', '-o', 'jsonpath={.spec.disks[0].size}'])).toBe('2Gi');
  });

  it('serves other versions with a warning', async () => {
    const { stdout, stderr } = await test.kubectl(['get', 'machines.v1alpha1.example.io', 'one', '-o', 'yaml']);
    expect(stdout).toContain('apiVersion: example.io/v1alpha1');
    expect(stderr).toContain('Warning: example.io/v1alpha1 is going');
  });

  it('watches', async () => {
    const config = join(test.dir, 'kubeconfig');
    const child = spawn('kubectl', ['--kubeconfig', config, 'get', 'machines', '-w', '--output-watch-events']);
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    try {
      await eventually(() => (seen.includes('ADDED') ? true : undefined));
      await ok(['create', '-f', '-'], MACHINE.replace('name: one', 'name: two'));
      await ok(['delete', 'machine', 'two']);
      await eventually(() => (/ADDED\s+two[^]*DELETED\s+two/.test(seen) ? true : undefined));
    } finally {
      child.kill();
    }
  });

  it('creates, replaces, lists in pages and as a category, and takes its objects along', async () => {
    const file = join(test.dir, 'machine.yaml');
    writeFileSync(file, MACHINE.replace('name: one', 'name: three'));
    await ok(['create', '-f', file]);
    await ok(['replace', '-f', file]);
    expect(await refused(['create', '-f', file])).toContain('(AlreadyExists)');
    expect(await ok(['get', 'all', '--chunk-size=1'])).toContain('machine.example.io/three');
    await ok(['delete', 'crd', 'machines.example.io', '--timeout=10s']);
    expect(await refused(['get', 'machines'])).toMatch(
      /could not find the requested resource|doesn't have a resource type/,
    );
  });
});
