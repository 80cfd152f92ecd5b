// The set-up as a user meets it. Installing on a bare system is tried by hand and in CI: here nothing may be installed.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'vl-setup-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function node(args: string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', env: { ...process.env, ...env } });
}

describe('setup', () => {
  it('says how it is called', () => {
    const { status, stderr } = node(['scripts/setup.mjs', 'dance']);
    expect(status).toBe(2);
    expect(stderr).toContain('usage: node scripts/setup.mjs start|test');
  });

  it('names what to install by hand where there is no apt', () => {
    const { status, stderr } = node(['scripts/setup.mjs', 'start'], { PATH: directory });
    expect(status).toBe(1);
    expect(stderr).toMatch(/not a Debian or Ubuntu system/);
    expect(stderr).toMatch(/libvirt-daemon .*qemu-system-x86/);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it('runs on Node 18: no syntax and no module of later versions', () => {
    const lists = JSON.parse(readFileSync(join(ROOT, 'scripts/packages.json'), 'utf8')) as Record<string, string[]>;
    expect(lists['run']).toContain('libvirt-daemon');
    for (const file of ['setup.mjs', 'debian.mjs', 'steps.mjs'])
      expect(readFileSync(join(ROOT, 'scripts', file), 'utf8')).not.toMatch(
        /import\.meta\.(dirname|main|filename)|withResolvers|\.globSync/,
      );
  });
});

describe('installing packages', () => {
  const POLICY = '/usr/sbin/policy-rc.d';
  const script = `import { installPackages } from '${join(ROOT, 'scripts/debian.mjs')}';
    await installPackages('${directory}/log', ['no-such-thing']).catch((error) => console.log(error.constructor.name, error.message));`;

  /** With an apt-get that does nothing but ask the policy and fail, and a /usr/sbin of its own. */
  function install(policyBefore: string) {
    const apt = `#!/bin/sh\necho "apt-get $*"\ncase "$*" in *update*) exit 0;; esac\n${POLICY}; echo "policy says $?"\nexit 100\n`;
    writeFileSync(join(directory, 'apt-get'), apt, { mode: 0o755 });
    const around = `mount -t tmpfs none /usr/sbin && { ${policyBefore}; } && "$@"; echo "left: $(cat ${POLICY} 2>&1)"`;
    const argv = ['-m', '--propagation', 'private', 'sh', '-c', around, 'sh', process.execPath];
    return spawnSync('unshare', [...argv, '--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${directory}:/usr/bin:/bin` },
    });
  }

  it('lets no service start, and takes the policy away after a failure', () => {
    const { stdout } = install(':');
    expect(stdout).toContain('SetupError apt-get install failed:');
    expect(stdout).toContain(`${directory}/log`);
    expect(stdout).toMatch(/left: .*No such file/);
    const said = readFileSync(join(directory, 'log'), 'utf8');
    expect(said).toContain('policy says 101');
    expect(said).toMatch(/update[\s\S]*install/);
    expect(said).toContain('APT::Install-Recommends=false');
  });

  it("leaves the administrator's own policy alone", () => {
    const { stdout } = install(`printf '#!/bin/sh\\nexit 104\\n' >${POLICY}; chmod 755 ${POLICY}`);
    expect(readFileSync(join(directory, 'log'), 'utf8')).toContain('policy says 104');
    expect(stdout).toMatch(/left: #!\/bin\/sh\nexit 104/);
  });

  it('takes away what a killed run left behind', () => {
    const left = `printf '#!/bin/sh\\n# made by the Virtloom set-up\\n' >${POLICY}`;
    expect(install(left).stdout).toMatch(/left: .*No such file/);
  });
});
