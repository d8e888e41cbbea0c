/**
 * 2. No placement overcommits a node, GPU or port, at any revision.
 * 9. Drains, eligibility, maintenance and constraints hold in every plan.
 */
import type { Change, Snapshot } from '../../../control-plane/store/snapshot.ts';
import type { Constraint } from '../../../shared/domain/constraint.ts';
import type { Ledger, LedgerEntry } from '../../../shared/domain/ledger.ts';
import type { Resources } from '../../../shared/domain/resources.ts';
import type { Revision } from '../truth.ts';
import { entryChanges, offerChanges } from './past.ts';
import { type Violation, violation } from './violation.ts';

export function checkLedgers(revision: Revision, now: Snapshot): Violation[] {
  return revision.changes.flatMap((change) => {
    if (change.kind !== 'ledger' || change.after === null) return [];
    return [
      ...checkSums(change.after),
      ...checkPorts(change.after),
      ...checkDevices(change.after, now),
      ...checkPlacements(change, now),
      ...checkMaintenance(change, now),
    ];
  });
}

/** Counted here in thousandths by itself: the product's arithmetic is among what is checked. */
function checkSums({ node, total, entries }: Ledger): Violation[] {
  const custom = Object.values(entries).flatMap((entry) => Object.keys(entry.resources.custom));
  return [...SCALARS, ...new Set(custom)].flatMap((name) => {
    const used = Object.values(entries).reduce((sum, entry) => sum + thousandths(entry.resources, name), 0);
    const has = thousandths(total, name);
    return used <= has
      ? []
      : [violation(2, `node ${node} has ${has / 1000} ${name} and has given away ${used / 1000}`)];
  });
}

export const SCALARS = ['cpus', 'memMiB', 'diskMiB', 'gpus'] as const;

/** Of a resource by its name; those that operators declared have names of their own. */
export function thousandths(resources: Amounts, name: string): number {
  const known = SCALARS.find((scalar) => scalar === name);
  return Math.round((known === undefined ? (resources.custom[name] ?? 0) : resources[known]) * 1000);
}

type Amounts = Pick<Resources, (typeof SCALARS)[number] | 'custom'>;

function checkPorts({ node, total, entries }: Ledger): Violation[] {
  const holders = new Map<number, string>();
  const violations: Violation[] = [];
  for (const entry of Object.values(entries)) {
    for (const port of Object.values(entry.ports)) {
      const holder = holders.get(port);
      if (holder !== undefined) violations.push(violation(2, `port ${port} of ${node}: ${holder} and ${entry.task}`));
      if (!total.ports.some(({ first, last }) => port >= first && port <= last)) {
        violations.push(violation(2, `port ${port}, which ${entry.task} holds on ${node}, is not the node's to give`));
      }
      holders.set(port, entry.task);
    }
  }
  return violations;
}

/** Each task holds as many of the node's devices as it has been given GPUs, and no two hold the same one. */
function checkDevices({ node, entries }: Ledger, now: Snapshot): Violation[] {
  const known = new Set(now.nodes.get(node)?.gpus.map(({ id }) => id));
  if (known.size === 0) return [];
  const holders = new Map<string, string>();
  return Object.values(entries).flatMap(({ task, devices, resources }) => {
    const twice = devices.filter((device) => holders.has(device) || !known.has(device));
    for (const device of devices) holders.set(device, task);
    return [
      ...twice.map((device) => violation(2, `${task} got the GPU ${device} of ${node}, which isn't free`)),
      ...(devices.length === resources.gpus
        ? []
        : [violation(2, `${task} was given ${resources.gpus} GPUs of ${node} and holds ${devices.length} devices`)]),
    ];
  });
}

function checkPlacements(change: Extract<Change, { kind: 'ledger' }>, now: Snapshot): Violation[] {
  const { before, after, id: node } = change;
  if (after === null) return [];
  return entryChanges(change).added.flatMap((task) => {
    const entry = after.entries[task];
    if (entry === undefined) return [];
    const isClosed =
      before === null || !before.eligible || before.drain !== null || !after.eligible || after.drain !== null;
    const closed = isClosed ? [violation(9, `${task} was placed on ${node}, which takes no tasks`)] : [];
    return [...closed, ...checkNeeds(entry, node, now)];
  });
}

/** From when its begin is noted until it is taken off, nothing new comes to a node: whoever decided it, and by whatever clock. */
function checkMaintenance(change: Extract<Change, { kind: 'ledger' }>, now: Snapshot): Violation[] {
  const window = now.maintenance.get(change.id);
  if (window === undefined || window.begunAtMs === null) return [];
  return [...entryChanges(change).added, ...offerChanges(change).added].map((what) =>
    violation(9, `${what} got something of ${change.id}, which is out of service since ${window.begunAtMs}`),
  );
}

/** What the entry holds is what its group asked for, and the node is one that the job accepts. */
function checkNeeds(entry: LedgerEntry, node: string, now: Snapshot): Violation[] {
  const spec = now.version(entry.jobUid, entry.jobVersion)?.spec;
  const inJob = spec?.groups.find((candidate) => candidate.name === entry.group);
  const group = inJob ?? now.tasks.get(entry.task)?.template?.group;
  if (group === undefined) return [violation(9, `${entry.task} was placed without a template`)];
  const attributes = now.nodes.get(node)?.attributes ?? {};
  const unmet = [...(spec?.constraints ?? []), ...group.constraints].filter(
    (constraint) => !isMet(constraint, attributes),
  );
  const names = [...SCALARS, ...Object.keys(group.resources.custom), ...Object.keys(entry.resources.custom)];
  const holdsOther = names.some((name) => thousandths(entry.resources, name) !== thousandths(group.resources, name));
  const ports = group.ports.filter(({ name, hostPort }) => {
    const given = entry.ports[name];
    return given === undefined || (hostPort !== undefined && given !== hostPort);
  });
  return [
    ...unmet.map((constraint) => violation(9, `${entry.task} is on ${node} against ${JSON.stringify(constraint)}`)),
    ...(holdsOther ? [violation(2, `${entry.task} holds something else on ${node} than its group asks for`)] : []),
    ...ports.map((port) => violation(2, `${entry.task} did not get its port "${port.name}" on ${node}`)),
  ];
}

/** The operators that the workload uses. */
export function isMet(
  { attribute, operator, value, values }: Constraint,
  attributes: Readonly<Record<string, string>>,
): boolean {
  switch (operator) {
    case '=':
      return attributes[attribute] === value;
    case '!=':
      return attributes[attribute] !== value;
    case 'in':
      return (values ?? []).some((each) => each === attributes[attribute]);
    default:
      throw new RangeError(`the simulated workload does not use the operator ${operator}`);
  }
}
