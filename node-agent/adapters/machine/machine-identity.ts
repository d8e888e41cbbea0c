/**
 * What tells this machine from another one that has the same disk. A state folder that was copied along with a machine's image, or
 * whose disk was moved, is noticed by it before anything is said to the control plane. It only ever says "another machine" where it
 * knows; where a machine has nothing to be told by, as in many containers and on many boards, it says nothing.
 */
import { readFile } from 'node:fs/promises';

/** Hardware comes before the system: a machine that was installed anew is the same one, and clones share a system's id. */
const KINDS = ['hardware', 'system'] as const;
type Kind = (typeof KINDS)[number];

/** By kind, whatever can be told. */
export type MachineIdentity = Readonly<Partial<Record<Kind, string>>>;

const SYSTEM_ID_FILE = '/etc/machine-id';
/** Boards that carry a serial number say it here; others the firmware's id of the product, to root only. */
const HARDWARE_ID_FILES = ['/sys/class/dmi/id/product_uuid', '/sys/firmware/devicetree/base/serial-number'];
const MOUNTS_FILE = '/proc/self/mountinfo';

/** Vendors that don't fill it in leave such values, on thousands of machines. */
const NO_HARDWARE_ID = /^(0+|f+|0?123456789.*|03000200040005000006000700080009)$/;

export async function readMachineIdentity(
  read: (path: string) => Promise<string | null> = readText,
): Promise<MachineIdentity> {
  const [system, mounts, ...hardware] = await Promise.all(
    [SYSTEM_ID_FILE, MOUNTS_FILE, ...HARDWARE_ID_FILES].map(read),
  );
  return identityFrom({ system: system ?? null, mounts: mounts ?? null, hardware });
}

export function identityFrom(found: {
  readonly system: string | null;
  readonly mounts: string | null;
  readonly hardware: readonly (string | null)[];
}): MachineIdentity {
  const hardware = found.hardware.flatMap((text) => usableHardwareId(text) ?? [])[0];
  const system = isTransient(found.mounts) ? null : usableSystemId(found.system);
  return { ...(hardware !== undefined && { hardware }), ...(system !== null && { system }) };
}

/**
 * Whether a folder that was made where `before` was read has come to another machine. The first kind that both have decides;
 * null: they have none in common.
 */
export function isOtherMachine(before: MachineIdentity, now: MachineIdentity): boolean | null {
  const kind = KINDS.find((candidate) => before[candidate] !== undefined && now[candidate] !== undefined);
  return kind === undefined ? null : before[kind] !== now[kind];
}

function usableHardwareId(text: string | null): string | null {
  const id = (text ?? '').toLowerCase().replace(/[^0-9a-z]/g, '');
  return id.length < 8 || NO_HARDWARE_ID.test(id) ? null : id;
}

/** machine-id(5): 32 hexadecimal digits. Images hold an empty file, or the word `uninitialized`. */
function usableSystemId(text: string | null): string | null {
  const id = (text ?? '').trim();
  return /^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id) ? id : null;
}

/** Where /etc can't be written, systemd makes one up at each boot and mounts it over the file; so do managers of containers. */
function isTransient(mounts: string | null): boolean {
  return (mounts ?? '').split('\n').some((line) => line.split(' ')[4] === SYSTEM_ID_FILE);
}

async function readText(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).replaceAll('\0', '');
  } catch {
    // Not there, or not for us.
    return null;
  }
}
