/** All tasks of the runtime: one folder each, named after the task, so that a task has one at a time whichever run it is of. */
import { chmod, chown, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TASK_ID_PATTERN } from '../../../shared/domain/ids.ts';
import { SECRETS_VARIABLE } from '../../../shared/domain/secret.ts';
import type { AssignedTask } from '../../../shared/protocol/agent.ts';
import { type Random, randomId } from '../../../shared/util/random.ts';
import { processGpuEnvironment } from '../../core/gpu-environment.ts';
import { givenFiles, identityVariables } from '../../core/identity.ts';
import { type Container, PROCESS_ID_PREFIX } from '../../core/model.ts';
import { namedUser, namedUserRefusal } from '../../core/named-user.ts';
import { EXECUTOR_SOCKET, type Place, socketVariable, taskEnvironment } from '../../core/task-environment.ts';
import { type ContainerRequest, type Log, type RunResult, RuntimeFault } from '../../executor/contracts.ts';
import { ownFiles } from '../task-files/own-files.ts';
import type { Cgroups } from './cgroups.ts';
import { isFaultOf } from './faults.ts';
import { STREAMS } from './output-index.ts';
import { isTreeAlive } from './process-tree.ts';
import { isExported, launchScript, SEGMENTS_KEPT } from './supervisor.ts';
import {
  containerOf,
  forestall,
  type Progress,
  readProgress,
  readRecord,
  recordPath,
  removeFolder,
  type TaskRecord,
  writeRecord,
} from './task-folder.ts';
import type { UserIds } from './user-ids.ts';

const MIB = 1024 * 1024;
/** A supervisor that has just been the first may not have written yet who it is. */
const NAMELESS_MAX_MS = 10_000;

export interface TaskFoldersOptions {
  readonly dir: string;
  readonly place: Place;
  readonly users: readonly string[];
  readonly bootId: string | null;
  readonly logMaxMiB: number;
  readonly path: string;
  readonly random: Random;
  readonly cgroups: Cgroups | null;
  readonly userIds: UserIds;
  readonly log: Log;
}

export interface Found {
  readonly folder: string;
  readonly record: TaskRecord;
}

type Refused = Extract<RunResult, { readonly type: 'refused' }>;
type User = Pick<TaskRecord, 'uid' | 'gid' | 'rights' | 'isOwnUser'>;

export class TaskFolders {
  readonly #options: TaskFoldersOptions;
  /** What has ended never changes: it is looked at once. */
  readonly #ended = new Map<string, Container>();
  /** Of what was seen, by container. */
  readonly #seen = new Map<string, Found>();

  constructor(options: TaskFoldersOptions) {
    this.#options = options;
  }

  /** Removes what was left half-made, and keeps the users of what is there. */
  async takeUp(): Promise<void> {
    for (const folder of await this.#names()) {
      const record = await readRecord(folder);
      if (record === 'damaged') await this.#clearDamaged(folder);
      else if (record === null) await removeFolder(folder);
      else if (record.isOwnUser) await this.#options.userIds.keep(record.uid, folder);
    }
  }

  async list(): Promise<Container[]> {
    const containers: Container[] = [];
    for (const folder of await this.#names()) {
      const record = await readRecord(folder);
      if (record === null || record === 'damaged') continue;
      this.#seen.set(record.id, { folder, record });
      containers.push(await this.#look({ folder, record }));
    }
    const ids = new Set(containers.map(({ id }) => id));
    for (const id of [...this.#seen.keys()]) if (!ids.has(id)) this.#forget(id);
    return containers;
  }

  /** What was seen or made last; undefined: nothing is known of it. */
  known(container: string): Found | undefined {
    return this.#seen.get(container);
  }

  /** Null: there is no such task. */
  async find(container: string): Promise<Found | null> {
    const known = this.#seen.get(container);
    if (known !== undefined) {
      const record = await readRecord(known.folder);
      return record !== null && record !== 'damaged' && record.id === container ? known : null;
    }
    await this.list();
    return this.#seen.get(container) ?? null;
  }

  async inspect(container: string): Promise<Container | null> {
    const found = await this.find(container);
    return found === null ? null : this.#look(found);
  }

  /** The folder with all that the task needs to be started; nothing of it runs yet. */
  async make(request: ContainerRequest): Promise<({ readonly type: 'made' } & Found) | Refused> {
    const { assigned, run, secrets } = request;
    const folder = join(this.#options.dir, assigned.id);
    const refusal = this.#refusalOf(assigned) ?? variableRefusal(secrets);
    if (refusal !== null) return refused('refused-by-node', refusal);
    await this.#makeRoom(folder);
    try {
      const user = await this.#userOf(assigned, folder);
      if (typeof user === 'string') {
        await removeFolder(folder);
        return refused('refused-by-node', user);
      }
      const record = this.#record(assigned.id, run, user);
      await this.#fill(folder, record, request);
      this.#seen.set(record.id, { folder, record });
      return { type: 'made', folder, record };
    } catch (cause) {
      await removeFolder(folder);
      throw cause;
    }
  }

  /** False: it runs. */
  async remove(container: string): Promise<boolean> {
    const found = await this.find(container);
    if (found === null) return true;
    const { folder, record } = found;
    const { state } = await this.#look(found);
    if (state === 'running' || (state === 'created' && !(await forestall(folder)))) return false;
    await this.#options.cgroups?.remove(record.id);
    await removeFolder(folder);
    await rm(join(this.#options.dir, '.ends', record.task), { force: true });
    if (record.isOwnUser) await this.#options.userIds.release(record.uid, folder);
    this.#forget(container);
    return true;
  }

  async #look({ folder, record }: Found): Promise<Container> {
    const known = this.#ended.get(record.id);
    if (known !== undefined) return known;
    const progress = await readProgress(folder);
    const container = containerOf(record, await this.#stateOf(folder, record, progress));
    if (container.state === 'exited') this.#ended.set(record.id, container);
    return container;
  }

  async #stateOf(
    folder: string,
    record: TaskRecord,
    progress: Progress,
  ): Promise<Omit<Container, 'id' | 'task' | 'run' | 'error'>> {
    switch (progress.type) {
      case 'created':
        return { state: 'created', exitCode: null, outOfMemory: false, startedAtMs: null, endedAtMs: null };
      case 'ended': {
        const { exitCode, isOutOfMemory: outOfMemory, startedAtMs, endedAtMs } = progress;
        return { state: 'exited', exitCode, outOfMemory, startedAtMs, endedAtMs };
      }
      case 'begun': {
        const { startedAtMs } = progress;
        if (await this.#isRunning(folder, record, progress)) {
          return { state: 'running', exitCode: null, outOfMemory: false, startedAtMs, endedAtMs: null };
        }
        // It may have written how it came out in the meantime.
        const again = await readProgress(folder);
        if (again.type === 'ended') return this.#stateOf(folder, record, again);
        return { state: 'exited', exitCode: null, outOfMemory: false, startedAtMs, endedAtMs: null };
      }
    }
  }

  /** Of another boot nothing does. Without its supervisor it does for as long as something of it is there. */
  async #isRunning(
    folder: string,
    record: TaskRecord,
    { boot, supervisor, startedAtMs }: Extract<Progress, { readonly type: 'begun' }>,
  ): Promise<boolean> {
    if (boot !== (this.#options.bootId ?? '')) return false;
    if (supervisor === null && Math.abs(Date.now() - startedAtMs) < NAMELESS_MAX_MS) return true;
    if (supervisor !== null && (await isSupervisorOf(supervisor, folder))) return true;
    return isTreeAlive(record);
  }

  /** One that can't be read keeps nobody from the others. False: something of it may run, so that it stays for this life of the machine. */
  async #clearDamaged(folder: string): Promise<boolean> {
    const file = recordPath(folder);
    const progress = await readProgress(folder);
    if (progress.type === 'begun' && progress.boot === (this.#options.bootId ?? '')) {
      const message =
        'the record of a task without a container is damaged; what may run of it is left alone until a reboot';
      this.#options.log.warn(message, { file });
      return false;
    }
    await removeFolder(folder);
    this.#options.log.warn('the record of a task without a container was damaged; its folder is removed', { file });
    return true;
  }

  async #names(): Promise<string[]> {
    const names = await readdir(this.#options.dir);
    return names.filter((name) => TASK_ID_PATTERN.test(name)).map((name) => join(this.#options.dir, name));
  }

  /** One that was made and never ran makes way; one that runs or has run comes from a call that was thought lost. */
  async #makeRoom(folder: string): Promise<void> {
    for (let isRetry = false; ; isRetry = true) {
      try {
        await mkdir(folder, { mode: 0o711 });
        return await chmod(folder, 0o711);
      } catch (cause) {
        if (!isFaultOf(cause, 'EEXIST') || isRetry) throw cause;
      }
      const record = await readRecord(folder);
      if (record === null) await removeFolder(folder);
      else if (record === 'damaged') {
        if (await this.#clearDamaged(folder)) continue;
        throw new RuntimeFault(`make the folder ${folder}: there is one already, whose record can't be read`);
      } else if ((await this.inspect(record.id))?.state !== 'created' || !(await this.remove(record.id))) {
        throw new RuntimeFault(`make the folder of task ${record.task}: there is one already, from an earlier call`);
      }
    }
  }

  /** What this machine can't do for a task of this kind; null: it can. */
  #refusalOf({ group, stopAfterDisconnectMs }: AssignedTask): string | null {
    const { users, cgroups } = this.#options;
    const refusal = group.user === undefined ? null : namedUserRefusal(group.user, users);
    if (refusal !== null) return refusal;
    if (cgroups !== null) return null;
    if (stopAfterDisconnectMs !== null) {
      return 'a process outside of containers can be stopped while the node is cut off (stopAfterDisconnectSeconds) only where the machine has cgroups';
    }
    if (group.user !== undefined)
      return 'a process can be given a named user only where the machine has cgroups, which tell it from others';
    return null;
  }

  /** Or why there is none. */
  async #userOf({ group }: AssignedTask, folder: string): Promise<User | string> {
    if (group.user !== undefined) {
      const named = namedUser(await readFile('/etc/passwd', 'utf8'), group.user);
      if (named === null || named.uid === 0) return `the machine has no user ${group.user} who isn't root`;
      return { ...named, rights: '--init-groups', isOwnUser: false };
    }
    const id = await this.#takeUser(folder);
    if (id === null) return 'every user that the node may give to tasks (--process-uids) has one that runs';
    return { uid: id, gid: id, rights: '--clear-groups', isOwnUser: true };
  }

  /** Those that have ended are kept for their output, and give their users up when there are no more. */
  async #takeUser(folder: string): Promise<number | null> {
    for (;;) {
      const id = await this.#options.userIds.take(folder);
      if (id !== null || !(await this.#freeUser())) return id;
    }
  }

  /** The one that ended first is closed to whoever is given its user next. False: all of them run. */
  async #freeUser(): Promise<boolean> {
    const ended = (await this.list()).filter(({ state }) => state === 'exited');
    for (const { id } of ended.sort((a, b) => (a.endedAtMs ?? 0) - (b.endedAtMs ?? 0))) {
      const found = this.#seen.get(id);
      if (found === undefined || !found.record.isOwnUser) continue;
      const { folder, record } = found;
      const progress = await readProgress(folder);
      // Of one whose supervisor was killed, it is the user that tells whether something runs.
      if (progress.type === 'begun' && progress.boot === (this.#options.bootId ?? '')) continue;
      await chmod(folder, 0o700);
      if (await this.#options.userIds.release(record.uid, folder)) return true;
    }
    return false;
  }

  #record(task: string, run: number, user: User): TaskRecord {
    const { cgroups, random, logMaxMiB } = this.#options;
    const id = `${PROCESS_ID_PREFIX}${randomId(random, 24)}`;
    return {
      ...{ id, task, run, ...user },
      tracking: cgroups?.trackingOf(id) ?? null,
      cgroups: cgroups?.foldersOf(id) ?? [],
      // The oldest file goes when the first byte of a new one is there.
      segmentBytes: Math.floor(((logMaxMiB * MIB) / STREAMS.length - 1) / SEGMENTS_KEPT),
    };
  }

  async #fill(
    folder: string,
    record: TaskRecord,
    { assigned, run, endpoint, secrets, identity }: ContainerRequest,
  ): Promise<void> {
    const { place, path, cgroups } = this.#options;
    const { group } = assigned;
    const work = join(folder, 'work');
    const temporary = join(work, 'tmp');
    for (const each of [work, temporary]) {
      await mkdir(each, { mode: 0o700 });
      await chown(each, record.uid, record.gid);
    }
    const environment = {
      ...{ PATH: path, HOME: work, TMPDIR: temporary },
      ...taskEnvironment(place, assigned, run),
      ...(endpoint === undefined ? {} : socketVariable(endpoint)),
      ...processGpuEnvironment(assigned),
      ...(secrets === undefined ? {} : { [SECRETS_VARIABLE]: secrets.folder, ...secrets.variables }),
      ...identityVariables(group.identity, identity),
    };
    const command = [...(group.command ?? []), ...(group.args ?? [])];
    if (identity !== undefined) await ownFiles(givenFiles(identity), record);
    if (endpoint !== undefined) await chown(join(endpoint, EXECUTOR_SOCKET), record.uid, record.gid);
    // What is given in confidence is never on a disk: where there is any, the script is in memory too.
    const launch = join(secrets?.folder ?? folder, secrets === undefined ? 'launch' : '.launch');
    if (secrets !== undefined) {
      await ownFiles(secrets.files, record);
      await symlink(launch, join(folder, 'launch'));
      await rm(launch, { force: true });
    }
    await writeFile(launch, launchScript({ environment, workingDir: group.workingDir ?? work, command }), {
      mode: 0o400,
    });
    await chown(launch, record.uid, record.gid);
    await cgroups?.make(record.id, group.resources);
    // Last: a folder without it is one that was left half-made.
    await writeRecord(folder, record);
  }

  #forget(container: string): void {
    this.#seen.delete(container);
    this.#ended.delete(container);
  }
}

/** A secret that everybody could read for a moment, among a program's arguments; null: none would be. */
function variableRefusal(secrets: ContainerRequest['secrets']): string | null {
  const shown = Object.keys(secrets?.variables ?? {}).find((name) => !isExported(name));
  if (shown === undefined) return null;
  return `a secret can't be given to a process in the variable ${shown}, in which shells have a say: choose another one, or a file`;
}

/** Another process may have got its number meanwhile. */
async function isSupervisorOf(pid: number, folder: string): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return command.split('\0').includes(folder);
}

function refused(reason: Refused['reason'], message: string): Refused {
  return { type: 'refused', reason, message };
}
