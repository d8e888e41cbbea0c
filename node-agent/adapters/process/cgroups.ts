/**
 * The kernel's groups of processes: they hold a task to its limits, and know every process of it, whatever session it has gone to.
 * One group for each task in each hierarchy that is needed. Of version 2 there is one hierarchy for everything; of version 1 one for
 * each resource, and where the machine has an empty one of version 2 beside them, that one tells the processes.
 */
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GroupResources } from '../../../shared/domain/job.ts';
import { cpuQuota, MEMORY_BYTES_MIN } from '../../core/limits.ts';

const CONTROLLERS = ['cpu', 'memory', 'pids'] as const;
type Controller = (typeof CONTROLLERS)[number];
const MIB = 1024 * 1024;

/** Where the hierarchies are to be found; those that the machine lacks are left out. */
export interface CgroupLayout {
  readonly version: 1 | 2;
  readonly roots: Readonly<Partial<Record<Controller, string>>>;
  /** The hierarchy that tells the processes. */
  readonly tracking: string;
}

/** `mounts`: what the kernel says in `/proc/self/mounts`. Null: there are no hierarchies to be used. */
export function cgroupLayout(mounts: string): CgroupLayout | null {
  const found = mounts.split('\n').map((line) => line.split(' '));
  const unified = found.find(([, , type]) => type === 'cgroup2')?.[1];
  const olds = found.filter(([, , type]) => type === 'cgroup');
  const rootOf = (name: string) => olds.find(([, , , options = '']) => options.split(',').includes(name))?.[1];
  const roots = Object.fromEntries(
    CONTROLLERS.flatMap((name) => {
      const root = olds.length === 0 ? unified : rootOf(name);
      return root === undefined ? [] : [[name, root]];
    }),
  );
  const tracking = unified ?? rootOf('freezer') ?? roots['pids'];
  return tracking === undefined ? null : { version: olds.length === 0 ? 2 : 1, roots, tracking };
}

export class Cgroups {
  readonly #layout: CgroupLayout;
  /** The node's own group, below which its tasks' are. */
  readonly #name: string;
  /** What tasks are held to here. */
  readonly limits: readonly Controller[];

  private constructor(layout: CgroupLayout, name: string, limits: readonly Controller[]) {
    this.#layout = layout;
    this.#name = name;
    this.limits = limits;
  }

  /** `mountsFile`: where the kernel tells its hierarchies. Null: this process may not make groups, or the machine has none. */
  static async open(nodeId: string, mountsFile: string): Promise<Cgroups | null> {
    const layout = cgroupLayout(await readFile(mountsFile, 'utf8').catch(() => ''));
    if (layout === null) return null;
    const name = `berth-${nodeId}`;
    try {
      await mkdir(join(layout.tracking, name), { recursive: true });
    } catch {
      return null;
    }
    const usable = await Promise.all(CONTROLLERS.map((controller) => isUsable(layout, name, controller)));
    const limits = CONTROLLERS.filter((_, at) => usable[at] === true);
    const cgroups = new Cgroups(layout, name, limits);
    await cgroups.#leave();
    return cgroups;
  }

  /** The group whose list of processes counts. */
  trackingOf(id: string): string {
    return join(this.#layout.tracking, this.#name, id);
  }

  /** All that a task's process has to join. */
  foldersOf(id: string): string[] {
    const roots = this.limits.flatMap((controller) => this.#layout.roots[controller] ?? []);
    return [...new Set([this.#layout.tracking, ...roots])].map((root) => join(root, this.#name, id));
  }

  async make(id: string, resources: GroupResources): Promise<void> {
    const { version, roots } = this.#layout;
    for (const controller of this.limits) await handDown(this.#layout, this.#name, controller);
    for (const folder of this.foldersOf(id)) await mkdir(folder, { recursive: true });
    for (const controller of this.limits) {
      const folder = join(roots[controller] ?? '', this.#name, id);
      for (const [file, value, mayLack] of settings(version, controller, resources)) {
        await writeFile(join(folder, file), value, { flag: 'r+' }).catch((cause: unknown) => {
          if (mayLack !== true) throw cause;
        });
      }
    }
  }

  /** Only empty groups can be removed; what isn't there is fine. */
  async remove(id: string): Promise<void> {
    for (const folder of this.foldersOf(id)) await rmdir(folder).catch(() => undefined);
    await this.#leave();
  }

  /** The node's own groups go with the last task. */
  async #leave(): Promise<void> {
    for (const folder of this.foldersOf('')) await rmdir(folder).catch(() => undefined);
  }
}

async function isUsable(layout: CgroupLayout, name: string, controller: Controller): Promise<boolean> {
  try {
    await handDown(layout, name, controller);
    return layout.roots[controller] !== undefined;
  } catch {
    return false;
  }
}

/** Of version 2 a group's children have only what it has handed down. */
async function handDown({ version, roots }: CgroupLayout, name: string, controller: Controller): Promise<void> {
  const root = roots[controller];
  if (root === undefined) return;
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  if (version === 1) return;
  for (const group of [root, folder]) {
    await writeFile(join(group, 'cgroup.subtree_control'), `+${controller}`, { flag: 'r+' });
  }
}

type Setting = readonly [file: string, value: string, mayLack?: boolean];

/** In the order in which they have to be written. No swap on top of the memory, where the kernel counts it. */
function settings(version: 1 | 2, controller: Controller, { cpus, memMiB, pids }: GroupResources): readonly Setting[] {
  const { periodUs, quotaUs } = cpuQuota(cpus);
  const memory = String(Math.max(MEMORY_BYTES_MIN, memMiB * MIB));
  switch (controller) {
    case 'cpu':
      if (version === 2) return [['cpu.max', `${quotaUs} ${periodUs}`]];
      return [
        ['cpu.cfs_period_us', String(periodUs)],
        ['cpu.cfs_quota_us', String(quotaUs)],
      ];
    case 'memory':
      if (version === 2) {
        return [
          ['memory.max', memory],
          ['memory.swap.max', '0', true],
        ];
      }
      return [
        ['memory.limit_in_bytes', memory],
        ['memory.memsw.limit_in_bytes', memory, true],
      ];
    case 'pids':
      return [['pids.max', String(pids)]];
  }
}
