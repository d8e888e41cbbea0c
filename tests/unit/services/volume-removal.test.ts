/** A volume's end: asked for by an operator, told to the agent with its assignment, and over when the agent says so. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../../control-plane/services/assignments.ts';
import { createVolumeOnNode, deleteVolumeOnNode, reserveOnNode } from '../../../control-plane/services/reservations.ts';
import type { NodeSession } from '../../../control-plane/services/session-check.ts';
import { callOf, caughtUp, JOINER, nodeOf, startReplica, type TestReplica } from '../../support/replica.ts';

let replica: TestReplica;
let session: NodeSession;

beforeEach(async () => {
  replica = await startReplica();
  const { ctx } = replica;
  const { epoch } = await registerNode(ctx, JOINER, { node: nodeOf('edge-1'), seen: null, tasks: [] });
  session = { node: 'edge-1', epoch };
  await caughtUp(ctx);
  const reservation = { id: 'r1', role: 'eng', amounts: { diskMiB: 500 }, labels: {} };
  await reserveOnNode(ctx, callOf(), 'edge-1', reservation);
  await caughtUp(ctx);
  for (const id of ['data', 'kept']) {
    await createVolumeOnNode(ctx, callOf(), 'edge-1', { id, reservation: 'r1', sizeMiB: 100 });
    await caughtUp(ctx);
  }
});
afterEach(() => replica.stop());

async function removing(): Promise<readonly string[] | undefined> {
  const query = { position: null, streamsVersion: '', waitMs: 0, signal: new AbortController().signal };
  return (await waitForAssignment(replica.ctx, session, query))?.removingVolumes;
}

function volumes(): string[] {
  return Object.keys(replica.ctx.mirror.snapshot.ledgers.get('edge-1')?.volumes ?? {});
}

it('only what was asked for goes, and only when the agent of this session says that it is gone', async () => {
  const { ctx } = replica;
  expect(await removing()).toBeUndefined();
  await deleteVolumeOnNode(ctx, callOf(), 'edge-1', 'data');
  await caughtUp(ctx);
  expect(await removing()).toEqual(['data']);
  const gone = { statuses: [], released: [], removedVolumes: ['data', 'kept', 'never-was'] };
  await expect(commitStatuses(ctx, { ...session, epoch: session.epoch - 1 }, gone)).rejects.toMatchObject({
    code: 'stale-epoch',
  });
  expect(volumes()).toEqual(['data', 'kept']);
  await commitStatuses(ctx, session, gone);
  await caughtUp(ctx);
  expect(volumes()).toEqual(['kept']);
  expect(await removing()).toBeUndefined();
  await commitStatuses(ctx, session, gone);
});
