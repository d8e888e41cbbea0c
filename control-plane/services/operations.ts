/**
 * Operations on offers that have a name. That one was carried out is put on record in the transaction that carries it out, so that it
 * is told neither of one that wasn't, nor kept silent of one that was, whoever fails when. It goes when the framework has
 * acknowledged it, or has ended.
 */
import { type Fault, Refusal } from '../../shared/domain/errors.ts';
import {
  FINISHED_OPERATIONS_MAX,
  type FinishedOperation,
  type OperationAcknowledgement,
} from '../../shared/domain/finished-operation.ts';
import type { Framework } from '../../shared/domain/framework.ts';
import type { NodeId } from '../../shared/domain/ids.ts';
import type { OfferOperation } from '../../shared/domain/offer-operation.ts';
import type { AcknowledgedOperations, ReconciledOperations } from '../../shared/protocol/framework.ts';
import { randomId } from '../../shared/util/random.ts';
import type { Principal } from '../auth/principal.ts';
import { keys } from '../store/keys.ts';
import { putRecord } from '../store/records.ts';
import { packTransactions } from '../store/transact.ts';
import type { Unit } from '../store/units.ts';
import type { ServiceContext } from './context.ts';
import { actingFramework, reachPresent, reachSession, sessionFence } from './framework-access.ts';
import type { SessionOf } from './framework-calls.ts';
import { askedView, unknownOperationView } from './operation-views.ts';

const CATCH_UP_MS = 2000;

/** Tries of one acknowledgement while others acknowledge the same. */
const TRIES_MAX = 8;

const STATUS_ID_LENGTH = 16;

/** The records of those that have a name. Throws for a name that is on record, and where there are too many. */
export function namedOperations(
  { mirror, random, clock }: ServiceContext,
  framework: Framework,
  { node, operations }: { readonly node: NodeId; readonly operations: readonly OfferOperation[] },
): Unit {
  const { snapshot } = mirror;
  const named = operations.flatMap((operation, place) => {
    const name = 'operation' in operation ? operation.operation : undefined;
    return name === undefined ? [] : [{ name, place, key: keys.operation(framework.id, name) }];
  });
  if (named.length === 0) return { compares: [], writes: [] };
  demandFresh(named.filter(({ key }) => snapshot.modRevision(key) > 0));
  const outstanding = [...snapshot.operationsOf(framework.id)].length;
  if (outstanding + named.length > FINISHED_OPERATIONS_MAX) {
    const why = `the framework has ${outstanding} operations on record that it hasn't acknowledged, of ${FINISHED_OPERATIONS_MAX}; acknowledge those that it has heard of, or give this one no name; nothing was changed`;
    throw new Refusal('limit-exceeded', why, {
      faults: named.map(({ place }) => ({ path: `/operations/${place}/operation`, message: 'is one too many' })),
    });
  }
  const finished = named.map(({ name, key }): readonly [string, FinishedOperation] => {
    const id = `p${randomId(random, STATUS_ID_LENGTH)}`;
    return [key, { id, framework: framework.id, name, node, atMs: clock.now() }];
  });
  return {
    compares: finished.map(([key]) => ({ key, modRevision: 0 })),
    writes: finished.map(([key, operation]) => putRecord('operations', key, operation)),
  };
}

function demandFresh(taken: readonly { readonly name: string; readonly place: number }[]): void {
  const faults = taken.map(
    ({ name, place }): Fault => ({
      path: `/operations/${place}/operation`,
      message: `"${name}" was carried out before and isn't acknowledged yet; acknowledge it, or choose another name`,
    }),
  );
  const [first] = faults;
  if (first === undefined) return;
  throw new Refusal('already-exists', `${first.path} ${first.message}; nothing was changed`, { faults });
}

/** Notes that the framework has heard of them: they are not told again, and their names are free. Harmless to repeat. */
export async function acknowledgeOperations(
  ctx: ServiceContext,
  principal: Principal,
  { operations, ...of }: SessionOf & { readonly operations: readonly string[] },
): Promise<AcknowledgedOperations> {
  await reachSession(ctx, of);
  const byId = () => new Map([...ctx.mirror.snapshot.operationsOf(of.id)].map((one) => [one.id, one]));
  if (!operations.every((id) => byId().has(id))) await reachPresent(ctx, of.id);
  const results = new Map<string, OperationAcknowledgement>();
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const framework = actingFramework(ctx, principal, of);
    const known = byId();
    const outstanding = [...new Set(operations)].flatMap((id) => known.get(id) ?? []);
    for (const { id } of outstanding) results.set(id, 'acknowledged');
    if (await forget(ctx, framework, outstanding)) {
      return { results: operations.map((id) => results.get(id) ?? 'unknown') };
    }
  }
  throw new Refusal('conflict', 'the operations kept changing; acknowledge again', { retryAfterSeconds: 1 });
}

/** False: a compare was lost, and the mirror has been given the time to see why. */
async function forget(
  { store, mirror }: ServiceContext,
  { id }: Framework,
  operations: readonly FinishedOperation[],
): Promise<boolean> {
  const { snapshot } = mirror;
  const units = operations.map(({ framework, name }): Unit => {
    const key = keys.operation(framework, name);
    return { compares: [{ key, modRevision: snapshot.modRevision(key) }], writes: [{ type: 'delete', key }] };
  });
  let isDone = true;
  for (const { compares, writes } of packTransactions(units, [sessionFence(snapshot, id)])) {
    const { committed, revision } = await store.transact({ compares, writes });
    await mirror.waitFor(revision, { timeoutMs: CATCH_UP_MS });
    isDone &&= committed;
  }
  return isDone;
}

/** How the framework's operations of these names stand, or (null) all that are on record. */
export async function reconcileOperations(
  ctx: ServiceContext,
  principal: Principal,
  { names, ...of }: SessionOf & { readonly names: readonly string[] | null },
): Promise<ReconciledOperations> {
  await reachSession(ctx, of);
  // "Unknown" ends a framework's questions, so it takes a mirror of the present.
  const byName = () => new Map([...ctx.mirror.snapshot.operationsOf(of.id)].map((one) => [one.name, one]));
  if (names === null || !names.every((name) => byName().has(name))) await reachPresent(ctx, of.id);
  actingFramework(ctx, principal, of);
  const known = byName();
  const nowMs = ctx.clock.now();
  return {
    operations: [...new Set(names ?? known.keys())].map((name) => {
      const operation = known.get(name);
      return operation === undefined ? unknownOperationView(name, nowMs) : askedView(operation);
    }),
  };
}
