// Whether this machine runs guests on hardware: found out by running one, for /dev/kvm may open and still not work.
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DEADLINE_MS = 3_000;
const SIGN = 'V';

/** 512 bytes that the firmware boots: `mov al,'V'; out 0xe9,al; cli; hlt; jmp $-1`, and the boot signature. */
function bootSector(): Buffer {
  const sector = Buffer.alloc(512);
  Buffer.from([0xb0, SIGN.charCodeAt(0), 0xe6, 0xe9, 0xfa, 0xf4, 0xeb, 0xfd]).copy(sector);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

export interface Virtualization {
  readonly works: boolean;
  /** For people: why not. */
  readonly why: string;
}

/** Tries KVM for real. */
export async function detectVirtualization(): Promise<Virtualization> {
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return { works: false, why: '/dev/kvm is not there or not open to us' };
  }
  return bootsUnder('kvm');
}

/** Boots a guest of one sector with this accelerator and waits for its sign. Leaves nothing behind. */
export async function bootsUnder(accelerator: 'kvm' | 'tcg'): Promise<Virtualization> {
  const folder = await mkdtemp(join(tmpdir(), 'virtloom-kvm-'));
  try {
    const disk = join(folder, 'boot.img');
    await writeFile(disk, bootSector());
    return await boot(disk, accelerator);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function boot(disk: string, accelerator: string): Promise<Virtualization> {
  const args = [
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-machine',
    `pc,accel=${accelerator}`,
    '-cpu',
    'max',
    '-m',
    '64',
    '-drive',
    `file=${disk},format=raw,if=ide`,
    '-chardev',
    'stdio,id=out',
    '-device',
    'isa-debugcon,iobase=0xe9,chardev=out',
  ];
  return new Promise((resolve) => {
    const guest = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let complaint = '';
    let verdict: Virtualization | undefined;
    const settle = (found: Virtualization): void => {
      verdict ??= found;
      guest.kill('SIGKILL');
    };
    const timer = setTimeout(
      () => settle({ works: false, why: `a guest under ${accelerator} gave no sign within ${DEADLINE_MS / 1000} s` }),
      DEADLINE_MS,
    );
    guest.stdout.on('data', (chunk: Buffer) => {
      // SeaBIOS itself writes nothing here: the first byte is the guest's.
      if (chunk.includes(SIGN)) settle({ works: true, why: '' });
    });
    guest.stderr.on('data', (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(-500);
    });
    guest.once('error', (error) => {
      clearTimeout(timer);
      resolve({ works: false, why: `QEMU cannot run: ${error.message}` });
    });
    guest.once('close', () => {
      clearTimeout(timer);
      const line = complaint.trim().split('\n').at(-1);
      resolve(verdict ?? { works: false, why: line === undefined || line === '' ? 'QEMU ended early' : line });
    });
  });
}
