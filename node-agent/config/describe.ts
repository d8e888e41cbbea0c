/** What the control plane is told about this node: what was found, as the operator has changed it. */
import type { NodeConsent } from '../../shared/domain/node.ts';
import { NO_SCALARS, type PortRange } from '../../shared/domain/resources.ts';
import type { RegisterRequest } from '../../shared/protocol/agent.ts';
import { type Random, randomId } from '../../shared/util/random.ts';
import { overridden, type ResourceChange, reserved } from './resources.ts';

export interface Found {
  readonly hostname: string;
  readonly arch: string;
  readonly os: string;
  readonly cpus: number;
  readonly memMiB: number;
  readonly diskMiB: number;
  readonly ports: readonly PortRange[];
}

export interface NodeDescription {
  readonly nodeId: string;
  readonly found: Found;
  readonly engine: string;
  readonly agentVersion: string;
  readonly options: {
    readonly attributes: Readonly<Record<string, string>>;
    readonly resources: ResourceChange;
    readonly reserve: ResourceChange;
    readonly consent: NodeConsent;
  };
}

const HOSTNAME_LENGTH_MAX = 253;

/** `faults` isn't empty where more is kept back than there is. */
export function describeNode(description: NodeDescription): {
  readonly node: RegisterRequest['node'];
  readonly faults: readonly string[];
} {
  const { nodeId, found, options } = description;
  const { cpus, memMiB, diskMiB, ports } = found;
  const total = overridden({ ...NO_SCALARS, cpus, memMiB, diskMiB, ports }, options.resources);
  const { left, faults } = reserved(total, options.reserve);
  const hostname = found.hostname.slice(0, HOSTNAME_LENGTH_MAX);
  return {
    faults: faults.map((fault) => `--reserve ${fault}`),
    node: {
      id: nodeId,
      hostname,
      resources: left,
      attributes: { ...options.attributes, hostname, arch: found.arch, os: found.os, node: nodeId },
      consent: options.consent,
      gpus: [],
      agentVersion: description.agentVersion,
      engine: description.engine,
    },
  };
}

const ID_SUFFIX_LENGTH = 6;
const ID_LENGTH_MAX = 63;

/** An id that a person recognises and nobody else has: the host's name and a little chance. */
export function newNodeId(hostname: string, random: Random): string {
  const [label = ''] = hostname.toLowerCase().split('.');
  const safe = label.replace(/[^a-z0-9-]+/g, '-').replace(/^-+|-+$/g, '');
  const kept = safe.slice(0, ID_LENGTH_MAX - ID_SUFFIX_LENGTH - 1).replace(/-+$/, '');
  return `${kept === '' ? 'node' : kept}-${randomId(random, ID_SUFFIX_LENGTH)}`;
}
