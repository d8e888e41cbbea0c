/** Images on their way to a node, over the agent's calls. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitStatuses, registerNode } from '../../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../../control-plane/services/assignments.ts';
import { keys } from '../../../control-plane/store/keys.ts';
import { putRecord } from '../../../control-plane/store/records.ts';
import { deploymentId, type ImageFetch } from '../../../shared/domain/deployment.ts';
import type { ImageReport } from '../../../shared/protocol/agent.ts';
import { caughtUp, JOINER, nodeOf, nodePrincipal, startReplica, type TestReplica } from '../../support/replica.ts';

let replica: TestReplica;
let session: { readonly node: string; readonly epoch: number };

beforeEach(async () => {
  replica = await startReplica();
  const request = { node: nodeOf('edge-1', {}), seen: null, tasks: [] };
  session = { node: 'edge-1', epoch: (await registerNode(replica.ctx, JOINER, request)).epoch };
});
afterEach(() => replica.stop());

async function want(...fetches: readonly Partial<ImageFetch>[]): Promise<void> {
  const records = fetches.map((change): ImageFetch => {
    const about = { node: 'edge-1', image: 'web:2', deployment: deploymentId('uid1', 1) };
    return { ...about, state: 'wanted', message: '', atMs: 1, ...change };
  });
  const writes = records.map((fetch) => putRecord('fetches', keys.imageFetch(fetch.node, fetch.image), fetch));
  await replica.ctx.store.transact({ compares: [], writes });
  await caughtUp(replica.ctx);
}

const assignment = (
  waitMs = 0,
  streamsVersion = '',
  position: { incarnation: number; generation: number } | null = null,
) =>
  waitForAssignment(replica.ctx, session, {
    position,
    streamsVersion,
    waitMs,
    signal: new AbortController().signal,
  });

async function report(...images: readonly ImageReport[]): Promise<string[]> {
  await commitStatuses(replica.ctx, session, { statuses: [], released: [], images });
  await caughtUp(replica.ctx);
  const fetches = [...replica.ctx.mirror.snapshot.imageFetchesOn('edge-1')];
  return fetches.map(({ image, state, message }) => [image, state, message].join(' ').trim());
}

describe('what a node is told', () => {
  it('are the images that are wanted there, as soon as they are', async () => {
    const before = await assignment();
    expect(before?.images).toBeUndefined();
    const { position = null, streamsVersion } = before ?? {};
    const waiting = assignment(60_000, streamsVersion, position);
    await want({}, { image: 'old:1', state: 'ready' }, { node: 'edge-2', image: 'far:1' });
    const after = await waiting;
    expect(after?.images).toEqual(['web:2']);
    expect(after?.position.generation).toBe(position?.generation);
    expect(after?.streamsVersion).not.toBe(streamsVersion);
  });
});

describe('what a node tells', () => {
  it('is put down for what is wanted, once', async () => {
    await want({}, { image: 'gone:1' }, { image: 'old:1', state: 'ready' });
    const reports: ImageReport[] = [
      { image: 'web:2', state: 'ready', message: '' },
      { image: 'gone:1', state: 'failed', message: 'not found' },
      { image: 'old:1', state: 'failed', message: 'late' },
      { image: 'unknown:1', state: 'ready', message: '' },
    ];
    const expected = ['gone:1 failed not found', 'old:1 ready', 'web:2 ready'];
    expect((await report(...reports)).toSorted()).toEqual(expected);
    const repeated = await report({ image: 'web:2', state: 'failed', message: 'later' });
    expect(repeated.toSorted()).toEqual(expected);
    expect((await assignment())?.images).toBeUndefined();
  });

  it('is refused in a session that is over', async () => {
    await want({});
    const request = { node: nodeOf('edge-1', {}), seen: null, tasks: [] };
    await registerNode(replica.ctx, nodePrincipal('edge-1'), request);
    await expect(report({ image: 'web:2', state: 'ready', message: '' })).rejects.toMatchObject({
      code: 'stale-epoch',
    });
  });
});
