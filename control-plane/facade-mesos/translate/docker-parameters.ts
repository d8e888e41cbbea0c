/**
 * `docker.parameters` are options of the command `docker run`, by their long names. Those that say what a task of Berth can say are
 * taken over; any other is refused by its name, since leaving it out would run something else than was asked for.
 */
import type { WireDockerInfo } from '../wire/task-info.ts';
import type { LaunchedTask } from './native-operation.ts';
import { unsupported } from './task-checks.ts';
import { WireFault } from './wire-fault.ts';

export interface DockerOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly mounts: NonNullable<LaunchedTask['mounts']>;
  readonly devices: readonly string[];
  readonly capAdd: readonly string[];
  /** Replaces the image's entrypoint, whatever the command says. */
  readonly entrypoint?: string;
  readonly user?: string;
  readonly workingDir?: string;
  readonly network?: string;
  readonly privileged?: boolean;
  readonly pullPolicy?: 'always' | 'missing' | 'never';
}

const NO_OPTIONS: DockerOptions = { env: {}, labels: {}, mounts: [], devices: [], capAdd: [] };

export function dockerOptions({ parameters }: Pick<WireDockerInfo, 'parameters'>): DockerOptions {
  return parameters.reduce(withParameter, NO_OPTIONS);
}

/** Of an option that can be given once, the last counts. */
function withParameter(options: DockerOptions, { key, value }: { key: string; value: string }): DockerOptions {
  switch (key) {
    case 'env':
      return { ...options, env: { ...options.env, ...assignment(key, value) } };
    case 'label':
      return { ...options, labels: { ...options.labels, ...assignment(key, value) } };
    case 'volume':
      return { ...options, mounts: [...options.mounts, mountOf(value)] };
    case 'tmpfs':
      return { ...options, mounts: [...options.mounts, { type: 'tmpfs', target: value }] };
    case 'device':
      return { ...options, devices: [...options.devices, deviceOf(value)] };
    case 'cap-add':
      return { ...options, capAdd: [...options.capAdd, value.replace(/^CAP_/, '')] };
    case 'entrypoint':
      return { ...options, entrypoint: value };
    case 'user':
      return { ...options, user: value };
    case 'workdir':
      return { ...options, workingDir: value };
    case 'net':
    case 'network':
      return { ...options, network: value };
    case 'privileged':
      return { ...options, privileged: value !== 'false' };
    case 'pull':
      return { ...options, pullPolicy: pullPolicyOf(value) };
    default:
      throw unsupported(`container.docker.parameters '${key}'`);
  }
}

/** A name alone would take over a variable of the engine's client, of which there is none. */
function assignment(key: string, value: string): Record<string, string> {
  const place = value.indexOf('=');
  if (place < 1) throw new WireFault(`'container.docker.parameters' '${key}' must be NAME=VALUE, not '${value}'`);
  return { [value.slice(0, place)]: value.slice(place + 1) };
}

/** `/srv:/data`, `/srv:/data:ro` or `name:/data`. */
function mountOf(value: string): DockerOptions['mounts'][number] {
  const [source = '', target, options = 'rw', ...more] = value.split(':');
  if (target === undefined || more.length > 0) {
    throw new WireFault(
      `'container.docker.parameters' 'volume' must be SOURCE:TARGET or SOURCE:TARGET:ro, not '${value}'`,
    );
  }
  const flags = options.split(',');
  const odd = flags.filter((flag) => flag !== 'ro' && flag !== 'rw' && flag !== 'z' && flag !== 'Z');
  if (odd.length > 0) throw unsupported(`container.docker.parameters 'volume' with the option ${odd.join(',')}`);
  const type = source.startsWith('/') ? 'bind' : 'volume';
  return { type, source, target, readOnly: flags.includes('ro') };
}

/** A device has the same path inside as outside, and may be read, written and made. */
function deviceOf(value: string): string {
  const [outside = '', inside = outside, rights = 'rwm'] = value.split(':');
  if (inside === outside && rights === 'rwm') return outside;
  throw unsupported(`container.docker.parameters 'device' '${value}'`, 'give the path of the device alone');
}

function pullPolicyOf(value: string): 'always' | 'missing' | 'never' {
  if (value === 'always' || value === 'missing' || value === 'never') return value;
  throw new WireFault(`'container.docker.parameters' 'pull' must be always, missing or never, not '${value}'`);
}
