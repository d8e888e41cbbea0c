/**
 * The agent's settings, from its arguments and its environment. Each option `--some-name` is also the variable `BERTH_SOME_NAME`;
 * the argument wins. Everything that is wrong is told at once, each with the name of the setting.
 */
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { NODE_ID_PATTERN } from '../../shared/domain/ids.ts';
import type { NodeConsent } from '../../shared/domain/node.ts';
import type { StaticReservation } from '../../shared/domain/reservation.ts';
import { USER_NAME_PATTERN } from '../core/named-user.ts';
import { DEFAULT_RETENTION, type Retention } from '../core/retention.ts';
import type { GpuChoice } from './gpus.ts';
import { OPTIONS, type OptionName } from './option-table.ts';
import { parseReservations } from './reservations.ts';
import { NO_CHANGE, parseResources, type ResourceChange } from './resources.ts';

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** What lies below belongs to users of the machine, and this is the most that a kernel knows. */
const USER_ID_MIN = 60_000;
const USER_ID_MAX = 2 ** 31 - 1;

/** Its last label isn't a number: what looks like an IPv4 address has to be one. */
const HOST_NAME_PATTERN =
  /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

export interface AgentOptions {
  readonly controlPlane: readonly string[];
  readonly joinToken: string | null;
  readonly joinTokenFile: string | null;
  readonly stateDir: string;
  readonly isStateDirMoved: boolean;
  readonly nodeId: string | null;
  /** Null: as is found. */
  readonly address: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly resources: ResourceChange;
  readonly gpus: GpuChoice;
  readonly reserve: ResourceChange;
  readonly reservations: readonly StaticReservation[];
  /** Null: the node has no container engine. */
  readonly dockerSocket: string | null;
  readonly registryConfig: string | null;
  readonly consent: NodeConsent;
  readonly processes: ProcessOptions;
  /** Null: the first of the usual ones that is in memory. */
  readonly secretsDir: string | null;
  readonly startConcurrency: number;
  readonly retention: Retention;
  readonly logMaxMiB: number;
  readonly logLevel: (typeof LEVELS)[number];
}

/** Of tasks without a container. */
export interface ProcessOptions {
  /** Users of the machine that they may run as. */
  readonly users: readonly string[];
  /** Numbers of those that each is given one of otherwise; null: those of the runtime. */
  readonly userIds: { readonly first: number; readonly last: number } | null;
  /** Null: in the state folder. */
  readonly dir: string | null;
}

export type ParsedOptions =
  | { readonly type: 'run'; readonly options: AgentOptions }
  /** Show what would be told of the machine; needs no control plane. */
  | { readonly type: 'describe'; readonly options: AgentOptions }
  | { readonly type: 'help' }
  | { readonly type: 'version' }
  | { readonly type: 'faulty'; readonly faults: readonly string[] };

type Environment = Readonly<Record<string, string | undefined>>;
type Raw = Readonly<Record<OptionName, readonly string[]>>;

export function parseOptions(args: readonly string[], env: Environment): ParsedOptions {
  const given = readArguments(args);
  if ('fault' in given) return { type: 'faulty', faults: [given.fault] };
  const { values } = given;
  if (values['help'] !== undefined) return { type: 'help' };
  if (values['version'] !== undefined) return { type: 'version' };
  const type = values['describe'] === undefined ? 'run' : 'describe';
  const checks = new Checks(withEnvironment(values, env));
  const options = checkedOptions(checks, env);
  if (type === 'run' && options.controlPlane.length === 0) {
    checks.fault('control-plane', 'is missing: the address of the control plane, such as https://berth.example');
  }
  return checks.faults.length > 0 ? { type: 'faulty', faults: checks.faults } : { type, options };
}

type Values = Readonly<Record<string, readonly string[] | undefined>>;

function readArguments(args: readonly string[]): { readonly values: Values } | { readonly fault: string } {
  const options = Object.fromEntries([
    ...Object.entries(OPTIONS).map(([name, { isFlag }]) => [
      name,
      { type: isFlag ? 'boolean' : 'string', multiple: true },
    ]),
    ['help', { type: 'boolean', short: 'h' }],
    ['version', { type: 'boolean' }],
    ['describe', { type: 'boolean' }],
  ]);
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
    const texts = Object.entries(values).map(([name, value]) => [name, [value].flat().map(String)] as const);
    return { values: Object.fromEntries(texts) };
  } catch (cause) {
    return { fault: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** Lists are separated by commas in the environment, except for resources, where commas have their own meaning. */
function withEnvironment(values: Values, env: Environment): Raw {
  const raw: Partial<Record<OptionName, readonly string[]>> = {};
  for (const name of Object.keys(OPTIONS) as OptionName[]) {
    const variable = env[variableOf(name)];
    const isList = OPTIONS[name].isList;
    const fromEnv = variable === undefined || variable === '' ? [] : isList ? variable.split(',') : [variable];
    raw[name] = values[name] ?? fromEnv.map((text) => text.trim());
  }
  return raw as Raw;
}

export function variableOf(name: string): string {
  return `BERTH_${name.toUpperCase().replaceAll('-', '_')}`;
}

function checkedOptions(checks: Checks, env: Environment): AgentOptions {
  const joinToken = checks.text('join-token');
  const joinTokenFile = checks.text('join-token-file');
  const processRuntime = checks.flag('allow-process-runtime');
  const dockerSocket = checks.socket('docker-socket', env['DOCKER_HOST']);
  if (dockerSocket === null && !processRuntime) {
    checks.fault('docker-socket', 'is "none", and such a node runs nothing unless --allow-process-runtime is set');
  }
  if (joinToken !== null && joinTokenFile !== null)
    checks.fault('join-token', 'and --join-token-file are both set; use one');
  return {
    controlPlane: checks.urls('control-plane'),
    joinToken,
    joinTokenFile,
    stateDir: checks.text('state-dir') ?? '/var/lib/berth-agent',
    isStateDirMoved: checks.flag('state-dir-moved'),
    nodeId: checks.nodeId('node-id'),
    address: checks.host('address'),
    attributes: checks.attributes('attributes'),
    resources: checks.resources('resources'),
    gpus: checks.gpus('gpus'),
    reservations: checks.reservations('reservations'),
    reserve: checks.reserve('reserve'),
    dockerSocket,
    registryConfig: checks.text('registry-config'),
    consent: {
      hostNetwork: checks.flag('allow-host-network'),
      hostMounts: checks.paths('allow-host-mount'),
      privileged: checks.flag('allow-privileged'),
      devices: checks.paths('allow-device'),
      capabilities: checks.capabilities('allow-capability'),
      processRuntime,
      executors: checks.flag('allow-executors'),
    },
    processes: {
      users: checks.users('process-user'),
      userIds: checks.userIds('process-uids'),
      dir: checks.path('process-dir'),
    },
    secretsDir: checks.path('secrets-dir'),
    startConcurrency: checks.whole('start-concurrency', { least: 1, most: 64, otherwise: 4 }),
    retention: {
      keepMs:
        1000 *
        checks.whole('keep-ended-seconds', { least: 0, most: 31_536_000, otherwise: DEFAULT_RETENTION.keepMs / 1000 }),
      keepMax: checks.whole('keep-ended-max', { least: 0, most: 1000, otherwise: DEFAULT_RETENTION.keepMax }),
    },
    logMaxMiB: checks.whole('log-max-mib', { least: 1, most: 65_536, otherwise: 96 }),
    logLevel: checks.oneOf('log-level', LEVELS, 'info'),
  };
}

/** Reads each setting as what it should be, and keeps count of what isn't. */
class Checks {
  readonly #raw: Raw;
  readonly faults: string[] = [];

  constructor(raw: Raw) {
    this.#raw = raw;
  }

  fault(name: OptionName, message: string): void {
    this.faults.push(`--${name} (or ${variableOf(name)}) ${message}`);
  }

  text(name: OptionName): string | null {
    const values = this.#raw[name];
    if (values.length > 1) this.fault(name, 'is given more than once');
    if (values[0] === '') this.fault(name, 'is empty');
    return values[0] ?? null;
  }

  flag(name: OptionName): boolean {
    const value = this.text(name) ?? 'false';
    if (value === 'true' || value === '1') return true;
    if (value !== 'false' && value !== '0') this.fault(name, `is "${value}"; write true or false`);
    return false;
  }

  /** An IP address or a host's name, without a port. */
  host(name: OptionName): string | null {
    const value = this.text(name);
    if (value === null || value === '') return null;
    if (isIP(value) === 0 && !HOST_NAME_PATTERN.test(value)) {
      this.fault(name, `is "${value}"; it must be an IP address or the name of a host, without a port`);
    } else if (value === '0.0.0.0' || value === '::') {
      this.fault(name, `is "${value}", where nobody is reached; it must be one of the machine's own addresses`);
    }
    return value;
  }

  urls(name: OptionName): readonly string[] {
    const values = this.#raw[name];
    for (const value of values) {
      const url = URL.canParse(value) ? new URL(value) : null;
      const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
      if (!isHttp || url.search !== '' || url.hash !== '') {
        this.fault(name, `is "${value}"; it must be the control plane's address, such as https://berth.example`);
      }
    }
    return values;
  }

  nodeId(name: OptionName): string | null {
    const id = this.text(name);
    if (id !== null && !NODE_ID_PATTERN.test(id)) {
      this.fault(name, `is "${id}"; it must be lower-case letters, digits and inner hyphens, 1 to 63 characters`);
    }
    return id;
  }

  attributes(name: OptionName): Readonly<Record<string, string>> {
    const attributes: Record<string, string> = {};
    for (const pair of this.#raw[name]) {
      const match = /^([A-Za-z0-9][A-Za-z0-9._/-]{0,127})=(.{0,1024})$/s.exec(pair);
      if (match?.[1] === undefined) this.fault(name, `is "${pair}"; it must be of the form name=value`);
      else attributes[match[1]] = match[2] ?? '';
    }
    return attributes;
  }

  resources(name: OptionName): ResourceChange {
    const text = this.text(name);
    if (text === null) return NO_CHANGE;
    const { change, faults } = parseResources(text);
    for (const each of faults) this.fault(name, each);
    return change;
  }

  reserve(name: OptionName): ResourceChange {
    const change = this.resources(name);
    if (change.gpus !== undefined) this.fault(name, 'can\'t keep back "gpus": say with --gpus which ones are used');
    return change;
  }

  /** Lists may be separated by commas in arguments too: so are lists of GPUs everywhere. */
  gpus(name: OptionName): GpuChoice {
    const names = this.#raw[name].flatMap((value) => value.split(',')).map((value) => value.trim());
    if (names.includes('')) this.fault(name, 'has an empty place in its list');
    const [first = 'all'] = names;
    if (first === 'all' || first === 'none') {
      if (names.length > 1) this.fault(name, `is "${first}" and more; write ${first} alone, or a list`);
      return first;
    }
    for (const each of names) {
      if (/^(\d+(:\d+)?|(GPU|MIG)-[0-9A-Za-z/-]+)$/.test(each)) continue;
      this.fault(name, `has "${each}"; each is all, none, a place such as 0 or 0:1, or a UUID such as GPU-… or MIG-…`);
    }
    return names;
  }

  /** May be given more than once; in the environment, roles are joined as they are in one argument. */
  reservations(name: OptionName): readonly StaticReservation[] {
    const { reservations, faults } = parseReservations(this.#raw[name]);
    for (const each of faults) this.fault(name, each);
    return reservations;
  }

  /** Other transports would carry the engine's full power over the network, so they are not offered. Null: there is no engine. */
  socket(name: OptionName, dockerHost: string | undefined): string | null {
    const given = this.text(name);
    if (given === 'none') return null;
    if (given === null && dockerHost !== undefined && dockerHost !== '' && !dockerHost.startsWith('unix://')) {
      this.fault(
        name,
        `is not set, and DOCKER_HOST is "${dockerHost}"; the agent uses an engine through a local socket only`,
      );
    }
    const path = given ?? (dockerHost?.startsWith('unix://') ? dockerHost : '/var/run/docker.sock');
    return this.#absolute(name, path.replace(/^unix:\/\//, ''));
  }

  users(name: OptionName): readonly string[] {
    for (const user of this.#raw[name]) {
      if (!USER_NAME_PATTERN.test(user)) this.fault(name, `is "${user}"; it must be the name of a user`);
    }
    return this.#raw[name];
  }

  /** Never those of the machine's own users, which begin at 0. */
  userIds(name: OptionName): ProcessOptions['userIds'] {
    const text = this.text(name);
    if (text === null) return null;
    const [first = 0, last = 0] = (/^(\d{1,10})-(\d{1,10})$/.exec(text)?.slice(1) ?? []).map(Number);
    if (first < USER_ID_MIN || last > USER_ID_MAX || first > last) {
      this.fault(name, `is "${text}"; it must be a range such as 1880000000-1880009999, from ${USER_ID_MIN} on`);
    }
    return { first, last };
  }

  path(name: OptionName): string | null {
    const path = this.text(name);
    return path === null ? null : this.#absolute(name, path);
  }

  paths(name: OptionName): readonly string[] {
    return this.#raw[name].map((path) => this.#absolute(name, path));
  }

  capabilities(name: OptionName): readonly string[] {
    return this.#raw[name].map((value) => {
      const capability = value.toUpperCase().replace(/^CAP_/, '');
      if (!/^[A-Z][A-Z_]{1,40}$/.test(capability)) this.fault(name, `is "${value}"; it must be one such as NET_ADMIN`);
      return capability;
    });
  }

  whole(
    name: OptionName,
    bounds: { readonly least: number; readonly most: number; readonly otherwise: number },
  ): number {
    const text = this.text(name);
    if (text === null) return bounds.otherwise;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < bounds.least || value > bounds.most) {
      this.fault(name, `is "${text}"; it must be a whole number from ${bounds.least} to ${bounds.most}`);
    }
    return value;
  }

  oneOf<T extends string>(name: OptionName, words: readonly T[], otherwise: T): T {
    const text = this.text(name);
    if (text === null) return otherwise;
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) this.fault(name, `is "${text}"; it must be one of ${words.join(', ')}`);
    return word ?? otherwise;
  }

  #absolute(name: OptionName, path: string): string {
    if (!path.startsWith('/') || path.split('/').includes('..')) {
      this.fault(name, `is "${path}"; it must be an absolute path without ".."`);
    }
    return path;
  }
}
