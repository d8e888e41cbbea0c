/** What the control plane is told about this node: what was found, as the operator has changed it. */
import type { GpuDevice, NodeConsent } from '../../shared/domain/node.ts';
import type { StaticReservation } from '../../shared/domain/reservation.ts';
import { NO_SCALARS, type PortRange } from '../../shared/domain/resources.ts';
import type { RegisterRequest } from '../../shared/protocol/agent.ts';
import { type Random, randomId } from '../../shared/util/random.ts';
import { chooseGpus, describeGpus, type GpuChoice, type GpuReport } from './gpus.ts';
import { overreserved } from './reservations.ts';
import { overridden, type ResourceChange, reserved } from './resources.ts';

export interface Found {
  readonly hostname: string;
  readonly arch: string;
  readonly os: string;
  readonly cpus: number;
  readonly memMiB: number;
  readonly diskMiB: number;
  readonly ports: readonly PortRange[];
  readonly gpus: GpuReport;
}

export interface NodeDescription {
  readonly nodeId: string;
  readonly found: Found;
  readonly engine: string;
  readonly agentVersion: string;
  readonly options: {
    readonly address: string | null;
    readonly attributes: Readonly<Record<string, string>>;
    readonly resources: ResourceChange;
    readonly gpus: GpuChoice;
    readonly reserve: ResourceChange;
    readonly reservations: readonly StaticReservation[];
    readonly consent: NodeConsent;
  };
}

const HOSTNAME_LENGTH_MAX = 253;

/**
 * `faults` isn't empty where the settings don't fit the machine: more is kept back or reserved than there is, or a GPU that is named isn't there.
 * `warnings`: what an operator would like to know about GPUs; the node joins all the same.
 */
export function describeNode(description: NodeDescription): {
  readonly node: RegisterRequest['node'];
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
} {
  const { nodeId, found, options } = description;
  const { cpus, memMiB, diskMiB, ports } = found;
  const { gpus, count, ...told } = countedGpus(found.gpus, options);
  const change = { ...options.resources, gpus: count };
  const total = overridden({ ...NO_SCALARS, cpus, memMiB, diskMiB, ports }, change);
  const { left, faults } = reserved(total, options.reserve);
  const hostname = found.hostname.slice(0, HOSTNAME_LENGTH_MAX);
  return {
    faults: [
      ...faults.map((fault) => `--reserve ${fault}`),
      ...overreserved(left, options.reservations, told.warnings.length > 0 ? ['gpus'] : []).map(
        (fault) => `--reservations ${fault}`,
      ),
      ...told.faults,
    ],
    warnings: told.warnings,
    node: {
      id: nodeId,
      address: options.address,
      hostname,
      resources: left,
      attributes: { ...options.attributes, hostname, arch: found.arch, os: found.os, node: nodeId },
      consent: options.consent,
      gpus,
      reservations: options.reservations,
      agentVersion: description.agentVersion,
      engine: description.engine,
    },
  };
}

/** The GPUs that tasks may have; null where that can't be told now. And what is wrong with them. */
export function usableGpus(
  report: GpuReport,
  choice: GpuChoice,
): { readonly gpus: readonly GpuDevice[] | null; readonly complaints: readonly string[] } {
  if (report.type === 'absent') return { gpus: null, complaints: [] };
  if (report.type === 'failed') return { gpus: null, complaints: [report.why] };
  const { gpus, unknown } = chooseGpus(report, choice);
  return {
    gpus,
    complaints: [...report.complaints, ...unknown.map((name) => `--gpus names ${name}, which isn't there`)],
  };
}

/**
 * How many GPUs the node counts, and which. A number by itself, without devices, is for tests and for cards of other makers, which
 * have to be reached in other ways. Where something is wrong with the cards, what is named and isn't there may have broken, so the
 * node joins without it; else it is a mistake.
 */
function countedGpus(report: GpuReport, { gpus: choice, resources }: NodeDescription['options']) {
  const { gpus, unknown } = chooseGpus(report, choice);
  const { complaints } = usableGpus(report, choice);
  const stated = resources.gpus;
  const found = report.type === 'found' ? report.gpus : [];
  const isUnharmed = report.type === 'absent' || (report.type === 'found' && report.complaints.length === 0);
  const faults = unknown.map((name) => `--gpus names ${name}, which isn't there; there are: ${describeGpus(found)}`);
  if (gpus.length > 0 && stated !== undefined && stated !== gpus.length) {
    faults.push(
      `--resources says gpus=${stated}, and tasks may have ${gpus.length} of those that were found; choose them with --gpus, and leave the number out`,
    );
  }
  if (isUnharmed) return { gpus, count: gpus.length > 0 ? gpus.length : (stated ?? 0), faults, warnings: [] };
  const isIgnored = stated !== undefined && stated !== gpus.length;
  const note = `--resources says gpus=${stated}, which doesn't count while something is wrong with them`;
  return { gpus, count: gpus.length, faults: [], warnings: [...complaints, ...(isIgnored ? [note] : [])] };
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
